"""WebSocket frames that no client sends, and those that few do: bytes by hand."""

import asyncio

import pytest

from tests.client import Server
from tests.security.raw import BINARY, CLOSE, HOST, PING, PONG, TEXT, closing, frame, request, upgrade, wire


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(TEXT, b"{}", masked=False), 1002),
        (frame(TEXT, b"{}", reserved=4), 1002),
        (frame(3, b"{}"), 1002),
        (frame(11), 1002),
        (frame(0, b"{}"), 1002),
        (frame(TEXT, b"{", final=False) + frame(TEXT, b"}"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, final=False), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(CLOSE, b"\x03\xee"), 1002),  # 1006, which no frame may say
        (frame(CLOSE, b"\x0f\xa0"), 4000),
        (frame(TEXT, b'{"type": "\xff"}'), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xe2\x82", final=False) + frame(0, b"."), 1007),
        (b"\x81\xff" + b"\x00\x00\x01\x00\x00\x00\x00\x00" + bytes(4), 1009),
        (frame(BINARY, b'{"type": "ping"}'), 4400),
        (frame(TEXT, b""), 4400),
        (b"\x00" * 100, 1002),
        (request(HOST, method="GET"), 1002),
    ],
    ids=str,
)
async def test_frames_that_are_wrong(
    filled: Server, frames: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire(filled.port) as connection:
        await connection.send(upgrade())
        await connection.head()
        await connection.send(frames)
        async with asyncio.timeout(5):
            answer = await connection.reader.read(1_000)
    assert closing(answer)[0] == code
    assert caplog.messages == []


async def test_a_message_in_parts_with_pings_between(filled: Server) -> None:
    parts = [b'{"type":', b' "ping", "payload"', b': {"a": "\xe2', b"\x82\xac", b'"}}']
    async with wire(filled.port) as connection:
        await connection.send(upgrade())
        await connection.head()
        for n, part in enumerate(parts):
            await connection.send(frame(TEXT if n == 0 else 0, part, final=n == len(parts) - 1) + frame(PONG))
        async with asyncio.timeout(5):
            assert b'{"type":"pong","payload":{"a":"\xe2\x82\xac"}}' in await connection.reader.read(1_000)
