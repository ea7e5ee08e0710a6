"""WebSocket frames by the byte: what RFC 6455 asks of a server, from a client that says anything."""

import asyncio
import base64
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.realtime.socket_server import Server, serving

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
INIT = b'{"type":"connection_init","payload":{"Authorization":"Bearer writer"}}'
ACK = (TEXT, b'{"type":"connection_ack"}')


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving() as started:
        yield started


def masked(first: int, payload: bytes = b"", mask: bytes = b"\x01\x02\x03\x04", size: int | None = None) -> bytes:
    """A frame of a client; `size` is told instead of the true one."""
    size = len(payload) if size is None else size
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = struct.pack("!BH", 0xFE, size) if size < 1 << 16 else struct.pack("!BQ", 0xFF, size)
    return bytes([first]) + length + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))


class Raw:
    """A connection after its handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte and its payload."""
        async with asyncio.timeout(5):
            first, size = await self._reader.readexactly(2)
            assert size < 128, "a server does not mask"
            if size >= 126:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
            return first, await self._reader.readexactly(size)

    async def is_cut(self) -> bool:
        """Whether the server has ended the connection."""
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                return await self._reader.read(1) == b""
            return True


@asynccontextmanager
async def raw(server: Server, early: bytes = b"") -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    if early:
        await asyncio.sleep(0)
        writer.write(early)
    try:
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield Raw(reader, writer)
    finally:
        writer.close()


async def test_bytes_one_by_one(server: Server) -> None:
    async with raw(server) as socket:
        for byte in masked(TEXT, INIT) + masked(TEXT, b'{"type":"ping"}'):
            socket.writer.write(bytes([byte]))
            await socket.writer.drain()
            await asyncio.sleep(0)
        assert await socket.frame() == ACK
        assert await socket.frame() == (TEXT, b'{"type":"pong"}')


async def test_many_messages_in_one_piece(server: Server) -> None:
    async with raw(server) as socket:
        socket.writer.write(masked(TEXT, INIT) + 5 * masked(TEXT, b'{"type":"ping"}', mask=bytes(4)))
        assert await socket.frame() == ACK
        assert [await socket.frame() for _ in range(5)] == [(TEXT, b'{"type":"pong"}')] * 5


async def test_a_message_in_pieces_with_pings_between(server: Server) -> None:
    async with raw(server) as socket:
        for n in range(0, len(INIT), 20):
            last = n + 20 >= len(INIT)
            socket.writer.write(masked((0x80 if last else 0) | (0 if n else 1), INIT[n : n + 20]))
            socket.writer.write(masked(PING, b"%d" % n) + masked(PONG, b"unasked"))
        for n in range(0, len(INIT), 20):
            if n + 20 >= len(INIT):
                assert await socket.frame() == ACK
            assert await socket.frame() == (PONG, b"%d" % n)


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536, 200_000])
async def test_every_length(server: Server, size: int) -> None:
    text = b'{"type":"ping","payload":{"a":"%s"}}' % (b"x" * (size - 36))
    async with raw(server) as socket:
        socket.writer.write(masked(TEXT, INIT) + masked(TEXT, text))
        assert await socket.frame() == ACK
        assert await socket.frame() == (TEXT, text.replace(b"ping", b"pong"))


BROKEN = {
    "no mask": (b"\x81\x02{}", 1002),
    "a bit of an extension": (masked(TEXT | 0x40, b"{}"), 1002),
    "an unknown kind": (masked(0x83, b"{}"), 1002),
    "an unknown control frame": (masked(0x8B, b""), 1002),
    "a ping in pieces": (masked(0x09, b"a"), 1002),
    "a long ping": (masked(PING, b"a" * 126), 1002),
    "the rest of nothing": (masked(0x80, b"{}"), 1002),
    "a message within another": (masked(0x01, b"{") + masked(TEXT, b"{}"), 1002),
    "no UTF-8": (masked(TEXT, b"\xff{}"), 1007),
    "no UTF-8 in pieces": (masked(0x01, b"\xc3") + masked(0x80, b"\x28"), 1007),
    "a surrogate": (masked(TEXT, b"\xed\xa0\x80"), 1007),
    "too large, told by its length": (masked(TEXT, b"", size=1 << 62), 1009),
    "too large in pieces": (masked(0x01, b"a" * 60) + masked(0x00, b"", size=(1 << 26)), 1009),
    "a close code of one byte": (masked(CLOSE, b"\x03"), 1002),
    "a close code that is never sent": (masked(CLOSE, struct.pack("!H", 1006)), 1002),
    "a close code of nobody": (masked(CLOSE, struct.pack("!H", 5000)), 1002),
    "a close reason that is no UTF-8": (masked(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_frame_ends_the_connection_with_its_code(server: Server, name: str) -> None:
    sent, code = BROKEN[name]
    async with raw(server) as socket:
        socket.writer.write(masked(TEXT, INIT) + sent)
        assert await socket.frame() == ACK
        first, payload = await socket.frame()
        assert (first, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
        assert await socket.is_cut()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"", b""), (struct.pack("!H", 1000) + b"bye", struct.pack("!H", 1000)), (b"\x0f\xa1", b"\x0f\xa1")],
)
async def test_a_close_frame_is_answered(server: Server, sent: bytes, answer: bytes) -> None:
    async with raw(server) as socket:
        socket.writer.write(masked(TEXT, INIT) + masked(CLOSE, sent))
        assert await socket.frame() == ACK
        assert await socket.frame() == (CLOSE, answer)
        assert await socket.is_cut()


async def test_a_close_of_ours_waits_for_its_answer_and_hears_nothing_else(server: Server) -> None:
    async with raw(server) as socket:
        socket.writer.write(masked(TEXT, b"{") + masked(TEXT, INIT) + masked(PING))
        first, payload = await socket.frame()
        assert (first, payload[:2]) == (CLOSE, struct.pack("!H", 4400))
        socket.writer.write(masked(CLOSE, payload))
        assert await socket.is_cut()


async def test_who_speaks_before_the_answer_is_served_all_the_same(server: Server) -> None:
    async with raw(server, early=masked(TEXT, INIT)) as socket:
        socket.writer.write(masked(TEXT, b'{"type":"ping"}'))
        frames = [await socket.frame()]
        if frames[0] == ACK:  # else uvicorn has dropped what came with the handshake
            frames.append(await socket.frame())
        assert frames[-1] == (TEXT, b'{"type":"pong"}')


async def test_many_pings_are_answered_while_others_are_served(server: Server) -> None:
    async with raw(server) as flooding, raw(server) as other:
        other.writer.write(masked(TEXT, INIT))
        assert await other.frame() == ACK
        flooding.writer.write(masked(PING) * 20_000)
        other.writer.write(masked(TEXT, b'{"type":"ping"}'))
        assert await other.frame() == (TEXT, b'{"type":"pong"}')
        assert [await flooding.frame() for _ in range(20_000)] == [(PONG, b"")] * 20_000


async def test_who_does_not_read_is_not_read_either(server: Server) -> None:
    async with raw(server) as socket:
        socket.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(40):
            socket.writer.write(masked(PING, b"x" * 125) * 2_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await socket.writer.drain()
        socket.writer.transport.abort()
