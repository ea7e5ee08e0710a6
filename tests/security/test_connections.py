"""What a peer may send, and for how long, before anybody has looked at who it is: real sockets, bytes by hand."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from execution import websocket_wire
from execution.connections import BoundedHttp, BoundedSocket, Bounds, bounded
from execution.websocket_frames import FrameReader
from execution.websocket_wire import FRAMES, FrameWire
from tests.client import Server
from tests.security.raw import CLOSE, HOST, PING, TEXT, frame, request, talk, upgrade, wire
from tests.serving import listening

LARGE = 8 * 1024 * 1024  # more than the buffers of the system take
QUICK = Bounds(head_s=0.4, body_s=0.4, stalled_s=0.4, look_s=0.1)
BOUNDS = Bounds()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with its headers, with a lot, or when a body is there; a WebSocket echoes."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text") or "binary"})
        return
    more = scope["method"] == "POST"
    while more:
        more = (await receive()).get("more_body", False)
    body = bytes(LARGE) if scope["path"] == "/large" else b"\n".join(b"%s=%s" % pair for pair in scope["headers"])
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    async with listening(echo) as found:
        yield found


@pytest.fixture(scope="module")
async def quick() -> AsyncIterator[int]:
    """A server that waits for nobody."""
    http, ws = bounded(QUICK)
    async with listening(echo, http=http, ws=ws) as found:
        yield found


def _headers(count: int, size: int) -> bytes:
    return request(HOST, *[f"X-{n}: {'a' * size}" for n in range(count)], method="GET")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (_headers(90, 100), b"200"),
        (_headers(1, 60_000), b"200"),
        (_headers(1, 90_000), b"431"),
        (_headers(1, 5_000_000), b"431"),
        (_headers(60, 2_000), b"431"),
        (_headers(101, 1), b"431"),
        (_headers(50_000, 1), b"431"),
        (request(HOST, method="GET", path="/" + "a" * 100_000), b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, b"431"),  # and never ends
        (b"\r\n" * 100_000, b"431"),
    ],
    ids=lambda value: f"{len(value)} bytes" if len(value) > 3 else value.decode(),
)
async def test_heads_are_bounded(port: int, data: bytes, status: bytes) -> None:
    answer = await talk(port, data)
    # What was still on its way may have reset the connection before the answer was read.
    assert answer[9:12] == status or (status == b"431" and answer == b"")


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((), b""),
        ((HOST, HOST), b""),
        ((HOST, "Host: evil.example"), b""),
        ((HOST, "Content-Length: 1", "Content-Length: 1"), b"aa"),
        ((HOST, "Content-Length: 1", "Content-Length: 2"), b"aa"),
        ((HOST, "Content-Length: 3", CHUNKED), b"1\r\na\r\n0\r\n\r\n"),
        ((HOST, "Content-Length: -1"), b""),
        ((HOST, "Content-Length: +1"), b"a"),
        ((HOST, "Content-Length: 0x1"), b"a"),
        ((HOST, "Content-Length: 99999999999999999999"), b""),
        ((HOST, CHUNKED, CHUNKED), b"0\r\n\r\n"),
        ((HOST, "Transfer-Encoding: xchunked"), b"0\r\n\r\n"),
        ((HOST, "Transfer-Encoding: identity"), b""),
        ((HOST, "Transfer-Encoding:\r\n chunked"), b"0\r\n\r\n"),
        ((HOST, CHUNKED), b"g\r\na\r\n0\r\n\r\n"),
        ((HOST, CHUNKED), b"-1\r\na\r\n0\r\n\r\n"),
        ((HOST, CHUNKED), b"1\na\n0\n\n"),
        ((HOST, CHUNKED), b"fffffffffffffffff\r\na"),
        ((HOST, "X : a"), b""),
        ((HOST, "X: a\0b"), b""),
        ((HOST, "X: a\rb"), b""),
        ((HOST, "X: a\r\n b"), b""),
        ((HOST, "Upgrade: h2c", "Connection: Upgrade"), b""),
    ],
    ids=str,
)
async def test_what_can_be_read_in_two_ways_is_refused(port: int, headers: tuple[str, ...], body: bytes) -> None:
    answer = await talk(port, request(*headers) + body)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_old_clients_and_even_chunks_are_served(port: int) -> None:
    assert (await talk(port, request(method="GET", version="HTTP/1.0"))).startswith(b"HTTP/1.1 200 OK")
    body = b"".join(b"1;ext=%d\r\na\r\n" % n for n in range(5_000)) + b"0\r\n\r\n"
    assert (await talk(port, request(HOST, CHUNKED) + body)).startswith(b"HTTP/1.1 200 OK")


async def test_what_stands_behind_a_body_is_no_header(port: int, filled: Server) -> None:
    trailer = b"1\r\na\r\n0\r\nX-Late: 1\r\nAuthorization: Bearer %s\r\n\r\n" % filled.token.encode()
    assert b"late" not in await talk(port, request(HOST, CHUNKED) + trailer)
    answer = await talk(filled.port, request(HOST, CHUNKED, "Content-Type: application/json") + trailer)
    assert answer.startswith(b"HTTP/1.1 401")


async def test_garbage_is_no_request(port: int, caplog: pytest.LogCaptureFixture) -> None:
    for data in (
        b"\x16\x03\x01\x00\xa5\x01\x00\x00" * 20,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\xff" * 3_000,
        b"a\r\n",
    ):
        assert (await talk(port, data)).startswith(b"HTTP/1.1 400")
    assert caplog.messages == []  # a stranger fills no log


# Time


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"POST / HTTP/1.1\r\nHost: x\r\n",
        b"\r\n",
        request(HOST, "Content-Length: 500") + b"{",
        request(HOST, CHUNKED),
    ],
    ids=["nothing", "half a head", "an empty line", "half a body", "no chunk"],
)
async def test_a_peer_that_lets_us_wait_is_dropped(quick: int, data: bytes) -> None:
    async with wire(quick) as connection:
        await connection.send(data)
        assert await connection.rest() == b""


async def test_a_head_that_comes_byte_by_byte_does_not_come(quick: int) -> None:
    async with wire(quick) as connection:
        sent = 0
        for byte in request(HOST, *["X: a"] * 50, method="GET"):
            await connection.send(bytes([byte]))
            sent += 1
            await asyncio.sleep(0.02)
            if connection.reader.at_eof():
                break
        assert await connection.rest() == b""
    assert sent < 100


async def test_an_answer_that_nobody_fetches_is_given_up(quick: int) -> None:
    async with wire(quick, receive_buffer=4096) as connection:
        await connection.send(request(HOST, method="GET", path="/large"))
        await asyncio.sleep(0.8)
        assert len(await connection.rest()) < LARGE


async def test_an_answer_that_is_fetched_slowly_is_not(quick: int) -> None:
    async with wire(quick, receive_buffer=4096) as connection:
        await connection.send(request(HOST, method="GET", path="/large"))
        size = 0
        while piece := await connection.reader.read(200_000):
            size += len(piece)
            await asyncio.sleep(0.05 if size < LARGE // 2 else 0)
        assert size > LARGE


async def test_a_websocket_may_be_silent(quick: int) -> None:
    """Also on a connection that has had an answer before."""
    async with wire(quick) as connection:
        await connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await connection.head()
        await connection.reader.read(65536)
        await connection.send(upgrade())
        assert b"101" in await connection.head()
        await asyncio.sleep(0.8)
        await connection.send(frame(TEXT, b"still here"))
        assert (await connection.reader.read(100))[2:] == b"still here"


async def test_surplus_connections_are_dropped() -> None:
    http, ws = bounded(Bounds(connections=3))
    async with listening(echo, http=http, ws=ws) as port:
        async with wire(port) as first, wire(port), wire(port):
            async with wire(port) as surplus:
                assert await surplus.rest() == b""
            await first.send(request(HOST, method="GET"))
            assert (await first.rest()).startswith(b"HTTP/1.1 200")
        async with wire(port) as later:
            await later.send(request(HOST, method="GET"))
            assert (await later.rest()).startswith(b"HTTP/1.1 200")


# Much at once


class Turns:
    """Counts what is done in each turn of the loop."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.turn = 0
        self.sockets: list[BoundedSocket] = []

    def http(self) -> type[BoundedHttp]:
        turns = self

        class Counting(BoundedHttp):
            def on_headers_complete(self) -> None:
                turns.count()
                super().on_headers_complete()

        return Counting

    def ws(self) -> type[BoundedSocket]:
        turns = self

        class Counting(BoundedSocket):
            def handle_ping(self) -> None:
                turns.count()
                turns.sockets.append(self)
                super().handle_ping()

            def handle_cont(self, event: Any) -> None:
                turns.count()
                super().handle_cont(event)

        return Counting

    def count(self) -> None:
        if not self.counts[self.turn]:
            asyncio.get_running_loop().call_soon(self._next)
        self.counts[self.turn] += 1

    def _next(self) -> None:
        self.turn += 1


async def test_requests_ahead_are_taken_bit_by_bit() -> None:
    turns, count = Turns(), 5_000
    async with listening(echo, http=turns.http()) as port, wire(port) as connection:
        data = b"GET / HTTP/1.1\r\nHost:\r\n\r\n"
        await connection.send(data * (count - 1) + request(HOST, method="GET"))
        answer = await connection.rest()
    assert answer.count(b"HTTP/1.1 200 OK") == count
    assert turns.counts.total() == count
    assert max(turns.counts.values()) <= BOUNDS.piece // len(data) + 1


@pytest.mark.parametrize(
    "frames", [frame(PING) * 40_000, frame(TEXT, final=False) + frame(0, final=False) * 40_000], ids=["pings", "parts"]
)
async def test_frames_are_taken_bit_by_bit(frames: bytes) -> None:
    turns = Turns()
    async with listening(echo, ws=turns.ws()) as port, wire(port) as connection:
        await connection.send(upgrade())
        await connection.head()
        await connection.send(frames + frame(CLOSE))
        await connection.rest()
    assert turns.counts.total() > 39_000
    assert max(turns.counts.values()) <= BOUNDS.frames // 6 + 1


async def test_parts_of_a_message_are_taken_bit_by_bit(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, read = Turns(), FrameReader._frame

    def counted(reader: FrameReader) -> Any:
        turns.count()
        return read(reader)

    monkeypatch.setattr(FrameReader, "_frame", counted)
    async with wire(filled.port) as connection:
        await connection.send(upgrade())
        await connection.head()
        await connection.send(frame(TEXT, final=False) + frame(0, final=False) * 40_000 + frame(0, b'{"type": "ping"}'))
        async with asyncio.timeout(10):
            assert b"pong" in await connection.reader.read(100)
    assert turns.counts.total() > 40_000
    assert max(turns.counts.values()) <= FRAMES + 1


async def test_a_peer_that_is_hung_up_on_and_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less waits for it than would make it a slow one, and it never goes out."""
    monkeypatch.setattr(websocket_wire, "CLOSE_S", 0.2)
    connections: set[Any] = set()

    class Accept(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.set_protocol(FrameWire(transport, connections, 1_000))
            while not transport.get_write_buffer_size():
                transport.write(bytes(1_000))
            assert transport.get_write_buffer_size() < 64_000

    server = await asyncio.get_running_loop().create_server(Accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, wire(port, receive_buffer=4096) as connection:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(b"\x00\x00")
        async with asyncio.timeout(5):
            while not connections:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.01)
            while connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_answers_to_pings_do_not_pile_up() -> None:
    turns = Turns()
    async with listening(echo, ws=turns.ws()) as port, wire(port, receive_buffer=4096) as connection:
        await connection.send(upgrade())
        await connection.head()
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(frame(PING, b"x" * 125) * 60_000)  # 8 MB
        assert turns.sockets[0].transport.get_write_buffer_size() < 200_000


async def test_a_peer_that_is_gone_is_no_failure(filled: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Neither that whose answer is being made, nor those that wait for it."""
    query = b'{"query": "{ tasks { nodes { id title logs { nodes { text } } } } }"}'
    headers = (HOST, f"Authorization: Bearer {filled.token}", "Content-Type: application/json")
    asked = request(*headers, body=query).replace(b"Connection: close\r\n", b"")
    for wait_s in (0.0, 0.002, 0.005, 0.02):
        async with wire(filled.port) as connection:
            await connection.send(asked * 20)
            await asyncio.sleep(wait_s)
    assert (await filled.query("{ health { status } }"))["health"]["status"] == "OK"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# Handshakes


@pytest.mark.parametrize("headers", [[f"X: {'a' * 9_000}"], [f"X-{n}: a" for n in range(98)]], ids=["long", "many"])
async def test_a_handshake_that_is_too_much_is_answered(port: int, headers: list[str]) -> None:
    async with asyncio.timeout(5):
        answer = await talk(port, upgrade(*headers))
    assert answer.startswith(b"HTTP/1.1 431")


async def test_frames_before_the_handshake(port: int) -> None:
    async with asyncio.timeout(5):
        await talk(port, upgrade() + frame(PING) * 10_000)


async def test_the_service_is_well(filled: Server, port: int) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://127.0.0.1:{port}/")).status_code == 200
    assert (await filled.http.get("/health")).json()["status"] == "ok"
