"""uvicorn's protocols with bounds: what a peer may send before anybody looks at it, and for how long.

uvicorn takes heads of any size for any time, works through all that came in one read however many requests or frames
are in it, and keeps what a peer does not fetch for ever. It knows nothing of GraphQL; what a request or a message may
hold is for the endpoints to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

ANSWER = "fleetgraph.answer"  # of a request's scope: writes a whole answer, see BoundedHttp


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a connection may take; bytes, counts and seconds."""

    connections: int = 10_000  # of all peers; each has some 30 KiB
    head: int = 64 * 1024  # a GET with the largest document has some 50 KiB, percent-encoded
    headers: int = 100  # browsers send some 20
    head_s: float = 10.0  # an honest client sends it at once
    body_s: float = 60.0  # 1 MiB at 17 KiB/s
    stalled_s: float = 30.0  # nothing of what was sent is fetched: the peer sleeps, or is gone
    look_s: float = 5.0  # between two looks at these times
    piece: int = 16 * 1024  # parsed in one turn of the loop: 100 headers, or a part of a body
    frames: int = 4 * 1024  # the same of a WebSocket: 680 of the smallest frames, some 4 ms


def bounded(bounds: Bounds, socket: type[BoundedSocket] | None = None) -> tuple[type[BoundedHttp], type[BoundedSocket]]:
    """The protocols for uvicorn's `http` and `ws`, the latter of the given kind."""
    given = {"bounds": bounds}
    return type("BoundedHttp", (BoundedHttp,), given), type("BoundedSocket", (socket or BoundedSocket,), given)


class _Phase(Enum):
    """What the parser waits for."""

    HEAD = auto()
    BODY = auto()
    NOTHING = auto()  # a request is there; the next may come when it is answered
    FRAMES = auto()  # the other protocol's


class _Refused(Exception):
    """The peer's request is not looked at any further; raised in callbacks, it stops the parser."""


class _Unsent:
    """What waits for a peer to fetch it."""

    __slots__ = ("_since", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, now: float) -> None:
        self._transport = transport
        self._size = 0
        self._since = now

    @property
    def is_over(self) -> bool:
        """Whether the connection is closed, and nothing waits any more."""
        return self._transport.is_closing() and not self._transport.get_write_buffer_size()

    def waited_s(self, now: float) -> float:
        """For how long the peer has fetched none of it."""
        size = self._transport.get_write_buffer_size()
        if size == 0 or size != self._size:
            self._size, self._since = size, now
        return now - self._since


class _Flow(FlowControl):
    """Goes on with what was read already before it reads more."""

    def __init__(self, protocol: BoundedHttp) -> None:
        super().__init__(protocol.transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self._protocol.go_on()


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 within Bounds; `bounded` makes one with others."""

    bounds = Bounds()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the times; a surplus connection is dropped."""
        super().connection_made(transport)
        self.flow = _Flow(self)
        self._phase = _Phase.HEAD
        self._since = self.loop.time()
        self._head_size = 0
        self._host_count = 0
        self._refusal: tuple[int, str] | None = None
        self._unparsed = bytearray()
        self._parsing: asyncio.Handle | None = None
        self._answering: RequestResponseCycle | None = None
        self._unsent = _Unsent(transport, self._since)
        self._looking: asyncio.TimerHandle | None = None
        if len(self.connections) > self.bounds.connections:
            transport.abort()
        else:
            self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered, too: uvicorn tells the one that came last."""
        super().connection_lost(exc)
        self._unparsed.clear()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    # What comes in, piece by piece

    def data_received(self, data: bytes) -> None:
        """Parse the first piece, and the rest in the next turns of the loop: others have theirs between."""
        self._unset_keepalive_if_required()
        if len(data) <= self.bounds.piece and not self._unparsed:
            self._parse(data)
            return
        self._unparsed += data
        self.transport.pause_reading()
        if self._parsing is None and not self.flow.read_paused:
            self._parse_next()

    def go_on(self) -> None:
        """Parse what was read, or read more; not while requests wait for the answers before them."""
        if self.pipeline:
            self.flow.read_paused = True
        elif not self._unparsed:
            self.transport.resume_reading()
        elif self._parsing is None:
            self._parsing = self.loop.call_soon(self._parse_next)

    def _parse_next(self) -> None:
        self._parsing = None
        if self._may_parse():
            piece = bytes(self._unparsed[: self.bounds.piece])
            del self._unparsed[: self.bounds.piece]
            self._parse(piece)
        if self._may_parse():
            self.go_on()

    def _may_parse(self) -> bool:
        return not self.flow.read_paused and not self.transport.is_closing()

    def _parse(self, piece: bytes) -> None:
        if self.transport.is_closing():
            return
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._upgrade()
            return
        except httptools.HttpParserError:
            self._refuse()
            return
        if self._phase is _Phase.HEAD:
            self._head_size += len(piece)
            if self._head_size > self.bounds.head:
                self._refusal = (431, "The head of this request is too large.")
                self._refuse()

    def _upgrade(self) -> None:
        if not self._should_upgrade():
            self.send_400_response("Only a WebSocket can be had here.")
        elif self._unparsed:  # frames before the handshake
            self.transport.abort()
        else:
            self._phase = _Phase.FRAMES
            if self._looking is not None:  # a timer would keep this protocol, 7 KiB, beside the next one
                self._looking.cancel()
            self.handle_websocket_upgrade()

    def _refuse(self) -> None:
        """Say what is wrong, when nothing else is being said, and close."""
        status, text = self._refusal or (400, "Invalid HTTP request received.")
        self._unparsed.clear()
        answering = self._answering
        if answering is None or answering.response_complete or not answering.response_started:
            body = text.encode()
            head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head % len(body) + body)
        self.transport.close()

    # What the parser tells

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._phase = _Phase.HEAD
        self._since = self.loop.time()
        self._host_count = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what stands behind a body is none."""
        if self._phase is not _Phase.HEAD:
            return
        if len(self.headers) >= self.bounds.headers:
            self._refusal = (431, f"A request may have {self.bounds.headers} headers.")
            raise _Refused
        name = name.lower()
        if name == b"host":
            self._host_count += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is there."""
        self._phase = _Phase.BODY
        self._since = self.loop.time()
        self._head_size = 0
        if self._host_count != 1 and self.parser.get_http_version() != "1.0":
            raise _Refused
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is there."""
        super().on_message_complete()
        self._phase = _Phase.NOTHING

    def on_response_complete(self) -> None:
        """An answer is written: as uvicorn does, but with no timer for each; `_look` sees to those who stay idle."""
        self._since = self.loop.time()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
        scope[ANSWER] = partial(self._answer, cycle)
        super()._start_asgi_task(cycle, app)

    def _answer(
        self, cycle: RequestResponseCycle, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """Write a whole answer in one piece, which ASGI's two messages cannot; False where it has to be theirs.

        `headers` have its content-length, and nothing that a peer has chosen.
        """
        if cycle.response_started or cycle.access_log or self.flow.write_paused:
            return False
        if cycle.disconnected:
            return True
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        parts = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        self.transport.write(b"".join((*parts, b"\r\n", body)))
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
        return True

    # How long it takes

    def _look_later(self) -> None:
        self._looking = self.loop.call_later(self.bounds.look_s, self._look)

    def _look(self) -> None:
        """Drop a peer that lets us wait."""
        now = self.loop.time()
        if self._unsent.is_over:
            return
        if self._unsent.waited_s(now) > self.bounds.stalled_s:
            self.transport.abort()
        elif self._waits_too_long(now):
            self.transport.close()
        self._look_later()

    def _waits_too_long(self, now: float) -> bool:
        waited_s = now - self._since
        if self._phase is _Phase.BODY:
            return waited_s > self.bounds.body_s
        is_idle = self._answering is not None and self._answering.response_complete and self._phase is _Phase.NOTHING
        return waited_s > self.bounds.head_s and (self._phase is _Phase.HEAD or is_idle)


class BoundedSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose frames are taken piece by piece."""

    bounds = Bounds()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._unparsed = bytearray()
        self._parsing: asyncio.Handle | None = None
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look after a peer that does not read."""
        super().connection_made(transport)
        self._unsent = _Unsent(transport, self.loop.time())
        self._look_later()

    def _look_later(self) -> None:
        self._looking = self.loop.call_later(self.bounds.look_s, self._look)

    def _look(self) -> None:
        if self._unsent.is_over:
            return
        if self._unsent.waited_s(self.loop.time()) > self.bounds.stalled_s:
            self.transport.abort()
        self._look_later()

    def look_no_longer(self) -> None:
        """Another protocol takes the transport, and keeps the time itself."""
        if self._looking is not None:
            self._looking.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse the first piece, and the rest in the next turns of the loop."""
        if not self.handshake_initiated:
            super().data_received(data)
            if not self.handshake_initiated:  # a head that is too much for this protocol: uvicorn leaves it at that
                self.transport.write(b"".join(self.conn.data_to_send()))
                self.transport.close()
        elif len(data) <= self.bounds.frames and not self._unparsed:
            super().data_received(data)
        else:
            self._unparsed += data
            self.transport.pause_reading()
            if self._parsing is None and not self.read_paused:
                self._parse_next()

    def _go_on(self) -> None:
        if not self._unparsed:
            self.transport.resume_reading()
        elif self._parsing is None:
            self._parsing = self.loop.call_soon(self._parse_next)

    def _parse_next(self) -> None:
        self._parsing = None
        if self._may_parse():
            piece = bytes(self._unparsed[: self.bounds.frames])
            del self._unparsed[: self.bounds.frames]
            super().data_received(piece)
        if self._may_parse():
            self._go_on()

    def _may_parse(self) -> bool:
        return not self.read_paused and not self.transport.is_closing()

    async def receive(self) -> Any:
        """The next event; with none left, more is parsed or read."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            if not self.transport.is_closing():
                self._go_on()
        return message

    def handle_ping(self) -> None:
        """Answer, unless the answers are not fetched: they would pile up."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def send_receive_event_to_app(self) -> None:
        """Refuse text that is no UTF-8; uvicorn writes a traceback for it."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            text = b"".join(self.frames)
            try:
                text.decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()
