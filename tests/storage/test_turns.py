"""Who writes to the same topic at the same time: in line with few waiting in PostgreSQL, numbered without a hole."""

import asyncio
from typing import Any

import asyncpg
import pytest

from db.database import EMITTING, Database, connect_arguments, open_database
from db.queries import events
from tests.realtime.conftest import until

WRITERS = 8
WAITING = """
SELECT count(*) FILTER (WHERE wait_event_type = 'Lock') AS in_line,
       count(*) FILTER (WHERE state = 'idle in transaction') AS not_yet
FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'fleetgraph' AND pid <> pg_backend_pid()
"""


async def emit(database: Database, n: int, kind: Any = "Measured") -> int:
    async with database.write() as transaction:
        transaction.emit("alerts", kind, {"n": n})
    return transaction.emitted[0].seq


async def fail_behind_its_event(database: Database) -> None:
    async with database.write() as transaction:
        transaction.emit("alerts", "Measured", {})
        await transaction.finish()
        raise ZeroDivisionError


async def test_few_wait_in_postgresql_for_a_topic_that_somebody_holds(database_url: str) -> None:
    """PostgreSQL wakes all who wait at each commit: with many, most of its work is waking them."""
    database = await open_database(database_url, write_size=WRITERS)
    holder = await asyncpg.connect(**connect_arguments(database_url))
    try:
        await emit(database, 0)
        async with holder.transaction():
            await holder.execute("UPDATE topics SET seq = seq WHERE name = 'alerts'")
            writing = [asyncio.create_task(emit(database, n)) for n in range(1, WRITERS + 1)]
            for _ in range(2):  # all have come, and go no further
                async with asyncio.timeout(10):
                    while sum(found := await holder.fetchrow(WAITING)) < WRITERS:
                        await holder.execute("SELECT pg_stat_clear_snapshot()")
                        await asyncio.sleep(0.01)
                await holder.execute("SELECT pg_stat_clear_snapshot()")
                await asyncio.sleep(0.2)
            assert tuple(found) == (EMITTING, WRITERS - EMITTING)
        assert sorted(await asyncio.gather(*writing)) == list(range(2, WRITERS + 2))
    finally:
        await holder.close()
        await database.close()


async def test_who_gives_up_leaves_the_turn_to_others(database: Database) -> None:
    """Cancelled in line, failed behind its events, or refused by PostgreSQL."""
    await emit(database, 0)
    for _ in range(EMITTING + 1):
        with pytest.raises(ZeroDivisionError):
            await fail_behind_its_event(database)
        with pytest.raises(asyncpg.NotNullViolationError):
            await emit(database, 0, kind=None)
    ready, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.write() as transaction:
            transaction.emit("alerts", "Measured", {})
            await transaction.finish()
            ready.set()
            await go_on.wait()

    holding = asyncio.create_task(hold())
    await ready.wait()
    waiting = [asyncio.create_task(emit(database, n)) for n in range(3)]
    await until(lambda: database._turn.locked())
    for task in waiting[:2]:
        task.cancel()
    await asyncio.gather(*waiting[:2], return_exceptions=True)
    go_on.set()
    await holding
    assert await waiting[2] == 3
    async with asyncio.timeout(5):
        assert [await emit(database, n) for n in range(3)] == [4, 5, 6]
    assert (await events.heads(database.read, ["alerts"]))["alerts"].seq == 6
