"""What readers that stop cost a process: memory by the number of them, not by what they miss."""

import asyncio
import socket
from contextlib import AsyncExitStack

from domain.ids import show_id
from domain.records import Applied, Batch, LogRecord, Ref, TaskRecord
from domain.writer import apply
from tests.faults.model import START, Writers
from tests.faults.rig import Api, Rig
from tests.realtime.live import LOG, Follower, following

READERS = 20
COUNT = 8_000
LINE = "x" * 2_000  # 16 MB in all, of which the system's buffers take 3 to 6 for each reader
MOST_MIB = 64  # it is 34, of which most is the last frames, kept for all; 266 if each reader's messages waited for it


async def write(writers: Writers, batch: Batch) -> Applied:
    async with writers.database.write() as transaction:
        applied = await apply(transaction, batch, now=START)
    await writers.bus.publish(transaction.emitted, transaction.log_heads)
    return applied


async def stopped(api: Api, task_id: str, stack: AsyncExitStack) -> tuple[Follower, str]:
    """A follower that reads nothing behind its first event, and the cursor of that."""
    follower = await stack.enter_async_context(following(api, LOG, taskId=task_id))
    cursor = (await follower.next())["cursor"]
    transport = follower.socket.transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
    transport.pause_reading()
    return follower, cursor


async def seqs_of(follower: Follower) -> list[int]:
    seqs: list[int] = []
    while not seqs or seqs[-1] < COUNT:
        seqs += [line["seq"] for line in (await follower.next()).get("lines", ())]
    return seqs


async def test_readers_that_stop_cost_little_memory_and_miss_nothing(running: Rig, writers: Writers) -> None:
    api, everything = running.apis[0], list(range(1, COUNT + 1))
    record = TaskRecord("model", "log", "ENGINE", START, START, status="RUNNING")
    task_id = show_id("task", (await write(writers, Batch(tasks=[record]))).task_ids["model", "log"])
    async with AsyncExitStack() as stack, following(api, LOG, taskId=task_id) as reads:
        slow = [await stopped(api, task_id, stack) for _ in range(READERS)]
        before = api.memory_mib
        for _ in range(COUNT // 1_000):
            lines = [LogRecord(Ref("model", "log"), START, "INFO", "STDOUT", LINE) for _ in range(1_000)]
            await write(writers, Batch(logs=lines))
        assert await seqs_of(reads) == everything
        await asyncio.sleep(0.2)
        for follower, _ in slow:
            assert api.unsent_bytes(follower.socket.transport.get_extra_info("sockname")[1]) > 0
        assert api.memory_mib - before < MOST_MIB
        for follower, _ in slow:
            follower.socket.transport.abort()
        for _, cursor in slow[:2]:
            async with following(api, LOG, taskId=task_id, after=cursor) as back:
                assert await seqs_of(back) == everything
