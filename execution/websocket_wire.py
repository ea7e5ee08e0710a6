"""The two ways by which a socket's messages come and go: frames of our own on uvicorn's transport, and ASGI.

`FrameProtocol`, given to uvicorn as its `ws`, is uvicorn's own until the application has accepted a socket; then
`take` puts a `FrameWire` in its place, which has no task, no queue and no lock: 1 KiB instead of 30. Under any other
server an `AsgiWire` does the same by the messages of ASGI. Neither knows GraphQL.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol, cast

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from execution.connections import BoundedSocket
from execution.websocket_frames import (
    CLOSE_WITHOUT_CODE,
    BrokenFrame,
    FrameReader,
    Opcode,
    close_code,
    close_frame,
    frame,
    head,
    text,
)

EXTENSION = "fleetgraph.frames"  # in the ASGI scope; its value puts a FrameWire in uvicorn's place
SERVICE_RESTART = 1012
HIGH_WATER = 64 * 1024  # bytes that may wait for a peer; asyncio's default, and uvloop's
FRAMES = 400  # parsed in one turn of the loop; some 3 ms
CLOSE_S = 10.0  # how long a peer may take to answer a close frame; uvicorn's
ABORT_S = 1.0  # the same for a peer that does not read: it does not take the close frame either


class Receiver(Protocol):
    """Who the messages of a socket are for. None of these is called after `lost`."""

    def received(self, message: str | None) -> None:
        """A message came; None stands for a binary one."""
        ...

    def filled(self) -> None:
        """The peer does not read fast enough: `is_full` from now on."""
        ...

    def drained(self) -> None:
        """The peer has read: not `is_full` any more."""
        ...

    def lost(self) -> None:
        """The connection has ended, whoever ended it."""
        ...


class Wire(Protocol):
    """A socket's way out."""

    @property
    def is_full(self) -> bool:
        """Whether more waits for the peer than should; what is sent all the same waits with it."""
        ...

    def send(self, messages: Iterable[bytes]) -> None:
        """Send text messages, each UTF-8, in order."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close; no message comes any more, and `lost` will be called."""
        ...


class FrameWire(asyncio.Protocol):
    """A socket after its handshake, on its transport."""

    __slots__ = ("_connections", "_is_closing", "_is_parsing", "_reader", "_receiver", "_transport", "is_full")

    def __init__(self, transport: asyncio.Transport, connections: set[Any], max_size: int) -> None:
        self._transport = transport
        self._connections = connections  # uvicorn's, which it waits for when it stops
        self._connections.add(self)
        self._reader = FrameReader(max_size)
        self._receiver: Receiver | None = None
        self._is_closing = False
        self._is_parsing = False  # what was read; the rest of it in the loop's next turn
        self.is_full = False

    def begin(self, receiver: Receiver) -> None:
        """Tell `receiver` from now on."""
        self._receiver = receiver

    def send(self, messages: Iterable[bytes]) -> None:
        """See Wire."""
        if not self._is_closing:
            self._transport.write(b"".join([part for message in messages for part in (head(len(message)), message)]))

    def close(self, code: int, reason: str) -> None:
        """See Wire."""
        if self._is_closing:
            return
        self._is_closing = True
        self._transport.write(close_frame(code, reason))
        asyncio.get_running_loop().call_later(ABORT_S if self.is_full else CLOSE_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._reader.feed(data)
        if not self._is_parsing:
            self._parse()

    def _parse(self) -> None:
        """Take some frames, and the rest in the next turns of the loop: others have theirs between."""
        self._is_parsing = False
        reader = self._reader
        try:
            for _ in range(FRAMES):
                if self._transport.is_closing() or (found := reader.next()) is None:
                    self._read_on()
                    return
                self._take(*found)
        except BrokenFrame as broken:
            self._hang_up(close_frame(broken.code, broken.reason))
            return
        self._is_parsing = True
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._parse)

    def _read_on(self) -> None:
        """Read when everything was parsed, and the peer reads too: its pings would pile up as pongs."""
        if not self._is_parsing and not self.is_full:
            self._transport.resume_reading()

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.CLOSE:
            code = close_code(payload)
            self._hang_up(frame(Opcode.CLOSE) if code == CLOSE_WITHOUT_CODE else close_frame(code))
        elif self._is_closing:
            pass
        elif opcode == Opcode.PING:
            self._transport.write(frame(Opcode.PONG, payload))
        elif opcode in (Opcode.TEXT, Opcode.BINARY) and self._receiver is not None:
            self._receiver.received(text(payload) if opcode == Opcode.TEXT else None)

    def _hang_up(self, last: bytes) -> None:
        """End the connection from our side, behind a close frame if none was sent."""
        if not self._is_closing:
            self._is_closing = True
            self._transport.write(last)
        self._transport.close()
        asyncio.get_running_loop().call_later(CLOSE_S, self._transport.abort)  # a peer may not take what waits for it

    def pause_writing(self) -> None:
        """See asyncio.Protocol. Who does not read is not read either."""
        self.is_full = True
        self._transport.pause_reading()
        if self._receiver is not None:
            self._receiver.filled()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.is_full = False
        self._read_on()
        if self._receiver is not None:
            self._receiver.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._connections.discard(self)
        self._is_closing = True
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost()

    def shutdown(self) -> None:
        """What uvicorn calls when the server stops."""
        self._hang_up(close_frame(SERVICE_RESTART))


class _NoTransport:
    """What uvicorn's protocol is left with: it must not close what is not its own any more."""

    def close(self) -> None:
        """Do nothing."""


class FrameProtocol(BoundedSocket):
    """uvicorn's WebSocket protocol, whose sockets can be taken over once they are accepted."""

    def handle_connect(self, event: Any) -> None:
        """See the base class; the scope then has the extension."""
        super().handle_connect(event)
        if self.handshake_initiated and not self.handshake_complete and not self.conn.extensions:
            self.scope["extensions"][EXTENSION] = {"take": self.take}

    def take(self) -> FrameWire | None:
        """Put a wire in this protocol's place; None when the client has said anything before it was answered."""
        has_spoken = self._unparsed or self.conn.reader.buffer or not self.queue.empty()
        if has_spoken or self.disconnected or self.transport.is_closing():
            return None
        wire = FrameWire(self.transport, self.connections, self.config.ws_max_size)
        self.transport.set_protocol(wire)
        self.look_no_longer()  # what a peer does not read is watched by the receiver
        self.connections.discard(self)
        self.transport = cast(asyncio.Transport, _NoTransport())
        # Nothing may keep 10 KiB alive until the collector comes by: the parser holds its protocol, the scope holds us.
        self.conn.parser.close()
        del self.scope["extensions"][EXTENSION]
        return wire


class AsgiWire:
    """A socket by ASGI's messages: a bounded outbox, one task that sends and one that receives."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._outbox: deque[bytes] = deque()
        self._waiting = 0  # bytes in the outbox
        self._wake = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._closing: tuple[int, str] | None = None
        self._receiver: Receiver | None = None
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """See Wire."""
        return not self._has_room.is_set()

    async def run(self, receiver: Receiver) -> None:
        """Serve until either side closes."""
        self._receiver = receiver
        self._sending = asyncio.create_task(self._send())
        receiving = asyncio.create_task(self._receive(receiver))
        try:
            await asyncio.wait([self._sending, receiving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._receiver = None
            receiving.cancel()
            self._sending.cancel()
            await asyncio.gather(receiving, self._sending, return_exceptions=True)
            receiver.lost()

    def send(self, messages: Iterable[bytes]) -> None:
        """See Wire."""
        if self._closing is not None:
            return
        for message in messages:
            self._outbox.append(message)
            self._waiting += len(message)
        self._wake.set()
        if self._waiting > HIGH_WATER and not self.is_full:
            self._has_room.clear()
            if self._receiver is not None:
                self._receiver.filled()

    def close(self, code: int, reason: str) -> None:
        """See Wire."""
        if self._closing is None:
            self._closing = code, reason
            self._wake.set()
            if self.is_full and self._sending is not None:
                asyncio.get_running_loop().call_later(ABORT_S, self._sending.cancel)

    async def _receive(self, receiver: Receiver) -> None:
        while (received := await self._websocket.receive())["type"] != "websocket.disconnect":
            if self._closing is None:
                receiver.received(received.get("text"))
            await self._has_room.wait()  # who does not read is not read either

    async def _send(self) -> None:
        try:
            while True:
                while self._outbox:
                    await self._websocket.send_text(self._outbox[0].decode())
                    self._waiting -= len(self._outbox.popleft())
                if self.is_full:
                    self._has_room.set()
                    if self._receiver is not None:
                        self._receiver.drained()
                if self._closing is not None:
                    await self._websocket.close(*self._closing)
                    return
                self._wake.clear()
                await self._wake.wait()
        except (WebSocketDisconnect, WebSocketDisconnected):
            return
