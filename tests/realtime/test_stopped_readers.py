"""Clients that stop reading: what waits for them stays small, and by their cursors they miss nothing."""

import asyncio
import socket

import pytest

from domain.ids import parse_id
from domain.records import Batch, LogRecord, MessageRecord, Ref
from execution.following import PORTION
from execution.websocket_wire import HIGH_WATER, FrameWire
from pubsub.streams import LINES
from tests.api.mutate import new_conversation, new_task
from tests.client import Server
from tests.filled import at
from tests.realtime.conftest import until
from tests.realtime.live import LOG, Follower, following

COUNT = 8_000
LINE = "x" * 2_000  # 16 MB in all: three times what the system's own buffers take
FRAME = LINES * (len(LINE) + 100)
MESSAGE_COUNT = 250  # of 60 KB: 15 MB
MESSAGES = """
subscription Messages($id: ID!, $after: EventCursor) {
  messageAdded(conversationId: $id, after: $after) {
    __typename ... on LiveEvent { cursor } ... on MessageAdded { message { text } }
  }
}"""
PAGE = "query Talk($id: ID!) { conversation(id: $id) { messages { eventCursor } } }"


async def append(server: Server, count: int) -> None:
    for first in range(0, count, 1_000):
        lines = [LogRecord(Ref("test", "t"), at(n), "INFO", "STDOUT", LINE) for n in range(first, first + 1_000)]
        await server.write(Batch(logs=lines))


def stop(follower: Follower) -> None:
    transport = follower.socket.transport
    # A smaller one would be fetched by the kernel's timers.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
    transport.pause_reading()


async def lines_of(follower: Follower, up_to: int) -> tuple[list[int], str]:
    """The seqs that come until `up_to`, and the cursor behind them."""
    seqs: list[int] = []
    while not seqs or seqs[-1] < up_to:
        event = await follower.next()
        seqs += [line["seq"] for line in event.get("lines", ())]
    return seqs, event["cursor"]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[FrameWire]:
    """The server's sockets that were full at any time."""
    found: list[FrameWire] = []
    told = FrameWire.pause_writing

    def pause_writing(wire: FrameWire) -> None:
        found.append(wire)
        told(wire)

    monkeypatch.setattr(FrameWire, "pause_writing", pause_writing)
    return found


async def test_what_waits_for_a_client_that_does_not_read_is_one_message(server: Server, full: list[FrameWire]) -> None:
    task_id = await new_task(server, status="RUNNING")
    async with following(server, LOG, taskId=task_id) as reads:
        async with following(server, LOG, taskId=task_id) as slow:
            cursor = (await slow.next())["cursor"]
            await reads.next()
            stop(slow)
            await append(server, COUNT)
            assert (await lines_of(reads, COUNT))[0] == list(range(1, COUNT + 1))
            await until(lambda: len({wire for wire in full if wire.is_full}) == 1)  # the other's has drained
            (wire,) = {wire for wire in full if wire.is_full}
            for _ in range(3):
                assert 0 < wire._transport.get_write_buffer_size() <= HIGH_WATER + 2 * FRAME
                await asyncio.sleep(0.05)
            slow.socket.transport.abort()
        async with following(server, LOG, taskId=task_id, after=cursor) as back:
            seqs, cursor = await lines_of(back, COUNT // 2)
            assert seqs == list(range(1, len(seqs) + 1))
        async with following(server, LOG, taskId=task_id, after=cursor) as back:
            assert (await lines_of(back, COUNT))[0] == list(range(len(seqs) + 1, COUNT + 1))


async def test_what_waits_is_measured_in_bytes_however_many_events_are_there(
    server: Server, full: list[FrameWire]
) -> None:
    """One that has to catch up with many large events, and one that is carried when they come at once."""
    conversation_id = await new_conversation(server, "large")
    ref = Ref(id=parse_id("conversation", conversation_id))
    page = (await server.query(PAGE, id=conversation_id))["conversation"]["messages"]
    async with following(server, MESSAGES, id=conversation_id) as live:
        await live.next()
        stop(live)
        for first in range(0, MESSAGE_COUNT, 50):
            numbers = range(first, first + 50)
            texts = [f"{n} {'x' * 60_000}" for n in numbers]
            await server.write(Batch(messages=[MessageRecord(ref, "USER", at(0), text) for text in texts]))
        await until(lambda: any(wire.is_full for wire in full))
        async with following(server, MESSAGES, id=conversation_id, after=page["eventCursor"]) as late:
            stop(late)
            await until(lambda: len({wire for wire in full if wire.is_full}) == 2)
            for _ in range(3):
                for wire in set(full):
                    assert wire._transport.get_write_buffer_size() <= HIGH_WATER + PORTION + 2 * 61_000
                await asyncio.sleep(0.05)
            for follower in (late, live):
                follower.socket.transport.resume_reading()
                told = await follower.take(MESSAGE_COUNT)
                assert [int(event["message"]["text"].split()[0]) for event in told] == list(range(MESSAGE_COUNT))
