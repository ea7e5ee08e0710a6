"""Clients that stop reading: what waits for them stays small, and by their cursors they miss nothing."""

import asyncio
import socket

import pytest

from domain.records import Batch, LogRecord, Ref
from execution.websocket_wire import HIGH_WATER, FrameWire
from pubsub.streams import LINES
from tests.api.mutate import new_task
from tests.client import Server
from tests.filled import at
from tests.realtime.conftest import until
from tests.realtime.live import LOG, Follower, following

COUNT = 8_000
LINE = "x" * 2_000  # 16 MB in all: three times what the system's own buffers take
FRAME = LINES * (len(LINE) + 100)


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


async def test_what_waits_for_a_client_that_does_not_read_is_one_message(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    full: list[FrameWire] = []
    told = FrameWire.pause_writing

    def pause_writing(wire: FrameWire) -> None:
        full.append(wire)
        told(wire)

    monkeypatch.setattr(FrameWire, "pause_writing", pause_writing)
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
