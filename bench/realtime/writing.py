"""How fast events can be written while everybody wants the same topic, with durable commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from bench.realtime.source import LINE, Source
from db.database import Database
from db.handles import NewLogLine

WRITERS = 32
LINES = 100  # a batch, as an engine sends it

Write = Callable[[int], Awaitable[None]]


def ways(database: Database, source: Source) -> Mapping[str, tuple[int, Write]]:
    """Each way of writing, and how much one transaction of it writes. The number tells transactions apart."""
    facts = {"id": str(UUID(int=0)), "revision": 1, "before": {"status": "QUEUED"}, "after": {"status": "RUNNING"}}

    async def emit(events: int) -> None:
        async with database.write() as transaction:
            for _ in range(events):
                transaction.emit("alerts", "Measured", facts)

    async def append(number: int) -> None:
        task, now = source.tasks[number % WRITERS], datetime.now(UTC)
        async with database.write() as transaction:
            transaction.append_log(NewLogLine(task, now, "INFO", "STDOUT", LINE) for _ in range(LINES))

    some = len(source.tasks)
    return {
        "events on one topic, one a transaction": (1, lambda _: emit(1)),
        "events on one topic, ten a transaction": (10, lambda _: emit(10)),
        "log lines, 100 a transaction": (LINES, append),
        "changes of tasks with their events, one a transaction": (1, lambda n: source.change([n % some])),
        "changes of tasks with their events, ten a transaction": (
            10,
            lambda n: source.change([m % some for m in range(n * 10, n * 10 + 10)]),
        ),
        "log lines by the importers' way, 100 a transaction": (
            LINES,
            lambda n: source.append([n % some], lines=LINES),
        ),
    }


async def writing(database: Database, source: Source, for_s: float) -> dict[str, float]:
    """How much is written in a second, each way."""
    return {name: each * await _press(write, for_s) for name, (each, write) in ways(database, source).items()}


async def _press(write: Write, for_s: float) -> float:
    """Transactions a second of all writers together."""
    numbers, done = count(), 0
    await write(next(numbers))
    started = time.monotonic()

    async def work() -> None:
        nonlocal done
        while time.monotonic() - started < for_s:
            await write(next(numbers))
            done += 1

    await asyncio.gather(*(work() for _ in range(WRITERS)))
    return done / (time.monotonic() - started)
