"""WebSocket frames of a server (RFC 6455, without extensions), after the handshake: bytes to messages and back.

No transport: whoever has one feeds what it receives. Frames of a server carry no mask, so that one head and one body
serve every socket.
"""

from __future__ import annotations

import struct
from enum import IntEnum

TOO_LONG = 1009
CLOSE_WITHOUT_CODE = 1005  # stands for a close frame without one; never sent
_HEAD = 2
_MASK = 4
_SHORT, _MEDIUM = 126, 127  # lengths that say where the length stands


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class BrokenFrame(Exception):
    """The peer does not keep to the protocol, or sends too much; `code` is what to close with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def head(size: int, opcode: int = Opcode.TEXT) -> bytes:
    """What stands before a payload of `size` bytes in an unfragmented frame."""
    first = 0x80 | opcode
    if size < _SHORT:
        return bytes((first, size))
    if size < 1 << 16:
        return struct.pack("!BBH", first, _SHORT, size)
    return struct.pack("!BBQ", first, _MEDIUM, size)


def frame(opcode: Opcode, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return head(len(payload), opcode) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason has at most 123 bytes."""
    return frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode())


def close_code(payload: bytes) -> int:
    """The code in a close frame's payload. Raises BrokenFrame for one that may not be sent."""
    if not payload:
        return CLOSE_WITHOUT_CODE
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise BrokenFrame(1002, "Bad close frame")
    text(payload[2:])
    return code


def text(payload: bytes) -> str:
    """The text of a message. Raises BrokenFrame for what is no UTF-8."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise BrokenFrame(1007, "Text is not UTF-8") from None


class FrameReader:
    """Cuts what a client sends into messages; while nothing is half received it holds nothing."""

    __slots__ = ("_max_size", "_opcode", "_parts", "_rest")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size  # of a message, in bytes
        self._rest: bytearray | None = None  # a frame that has not come whole
        self._parts: bytearray | None = None  # of a message in several frames
        self._opcode = 0  # of that message

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        if self._rest is None:
            self._rest = bytearray(data)
        else:
            self._rest += data

    def next(self) -> tuple[int, bytes] | None:
        """The next message, TEXT or BINARY, or control frame; CONTINUATION for a part of a message.

        None until more is fed. Raises BrokenFrame.
        """
        found = self._frame()
        if found is None:
            return None
        opcode, is_final, payload = found
        if opcode >= Opcode.CLOSE:
            return opcode, payload
        if (opcode == Opcode.CONTINUATION) == (self._parts is None):
            raise BrokenFrame(1002, "A continuation of nothing, or none where one is due")
        if self._parts is None:
            if is_final:
                return opcode, payload
            self._opcode, self._parts = opcode, bytearray()
        self._parts += payload
        if not is_final:
            return Opcode.CONTINUATION, b""
        payload, self._parts = bytes(self._parts), None
        return self._opcode, payload

    def _frame(self) -> tuple[int, bool, bytes] | None:
        rest = self._rest
        if rest is None or len(rest) < _HEAD:
            return None
        opcode = _opcode(rest[0], rest[1])
        size, start = rest[1] & 0x7F, _HEAD
        if size >= _SHORT:
            wide = 2 if size == _SHORT else 8
            if len(rest) < _HEAD + wide:
                return None
            size, start = int.from_bytes(rest[_HEAD : _HEAD + wide], "big"), _HEAD + wide
        if size + len(self._parts or ()) > self._max_size:
            raise BrokenFrame(TOO_LONG, "Message too large")
        end = start + _MASK + size
        if len(rest) < end:
            return None
        payload = _unmasked(bytes(rest[start + _MASK : end]), bytes(rest[start : start + _MASK]))
        is_final = bool(rest[0] & 0x80)
        if len(rest) == end:
            self._rest = None
        else:
            del rest[:end]
        return opcode, is_final, payload


def _opcode(first: int, second: int) -> int:
    """The opcode in a frame's first two bytes. Raises BrokenFrame when they may not stand there."""
    opcode = first & 0x0F
    if first & 0x70 or opcode not in (0, 1, 2, 8, 9, 10):
        raise BrokenFrame(1002, "A frame of an extension")
    if not second & 0x80:
        raise BrokenFrame(1002, "A frame without mask")
    if opcode >= Opcode.CLOSE and (not first & 0x80 or second & 0x7F > 125):
        raise BrokenFrame(1002, "A control frame that is long or cut")
    return opcode


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """As one number: C does the work, also without the extension module of a WebSocket library."""
    size = len(payload)
    pattern = (mask * (size // _MASK + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pattern, "little")).to_bytes(size, "little")
