"""Kept connections: no more than the pool has, in turn, sound again after whatever happens, given back when unused."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest

from db import kept
from db.kept import KeptConnections
from db.models.base import Row
from tests.pgbouncer import straight

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool of two."""
    async with asyncpg.create_pool(min_size=0, max_size=2, **straight(database_url)) as opened:
        yield opened


@pytest.fixture
async def connections(pool: Pool) -> AsyncIterator[KeptConnections]:
    """They have to be given back, or the pool waits for them."""
    opened = KeptConnections(pool)
    yield opened
    await opened.close()


async def _value(connections: KeptConnections, sql: str, *values: object) -> int:
    rows = await connections.fetch(sql, values, Row)
    return int(rows[0][0])


async def _pids(connections: KeptConnections) -> set[int]:
    """Those of all connections, used at the same time."""
    sql = "SELECT pg_backend_pid() FROM pg_sleep(0.05)"
    return set(await asyncio.gather(_value(connections, sql), _value(connections, sql)))


async def test_the_last_one_is_used_again(connections: KeptConnections) -> None:
    assert len({await _value(connections, PID) for _ in range(5)}) == 1
    assert len(await _pids(connections)) == 2


async def test_those_who_wait_are_served_in_turn(connections: KeptConnections) -> None:
    ended = []

    async def ask(n: int) -> None:
        await _value(connections, "SELECT 1 FROM pg_sleep(0.001)")
        ended.append(n)

    held = asyncio.create_task(_value(connections, "SELECT 1 FROM pg_sleep(60)"))  # one serves all: no race of two
    await asyncio.sleep(0)
    await asyncio.gather(*(ask(n) for n in range(20)))
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    assert ended == list(range(20))


async def test_a_refused_statement_costs_no_connection(connections: KeptConnections) -> None:
    before = await _value(connections, PID)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await _value(connections, "SELECT 1 / 0")
    assert await _value(connections, PID) == before


async def test_a_cancelled_statement_ends_and_frees_its_connection(connections: KeptConnections) -> None:
    async with asyncio.timeout(5):
        for _ in range(5):
            tasks = [asyncio.create_task(_value(connections, "SELECT 1 FROM pg_sleep(60)")) for _ in range(5)]
            await asyncio.sleep(0.05)  # two run, three wait
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(one) for one in ended} == {asyncio.CancelledError}
        assert len(await _pids(connections)) == 2
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    assert await _value(connections, running + " AND state = 'active'") == 0


async def test_one_that_is_cancelled_in_its_turn_hands_it_on(connections: KeptConnections) -> None:
    """The connection was given to it in the same turn of the loop."""
    busy = [asyncio.create_task(_value(connections, "SELECT 1 FROM pg_sleep(0.05)")) for _ in range(2)]
    await asyncio.sleep(0.01)
    first, second = (asyncio.create_task(_value(connections, PID)) for _ in range(2))
    for task in busy:
        task.add_done_callback(lambda _: first.cancel())
    async with asyncio.timeout(5):
        assert await second > 0
        assert len(await _pids(connections)) == 2


async def test_those_that_were_cut_are_replaced(connections: KeptConnections, database_url: str) -> None:
    before = await _pids(connections)
    operator = await asyncpg.connect(**straight(database_url))
    try:
        await operator.fetch("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", list(before))
        await asyncio.sleep(0.1)
        after = await _pids(connections)
        assert len(after) == 2
        assert not after & before
        running = asyncio.create_task(_value(connections, "SELECT 1 FROM pg_sleep(60)"))
        await asyncio.sleep(0.05)
        await operator.fetch("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", list(after))
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await running
        await asyncio.sleep(0.1)
        assert len(await _pids(connections)) == 2
    finally:
        await operator.close()


async def test_what_nobody_needs_goes_back_to_the_pool(
    pool: Pool, connections: KeptConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LOOK_S", 0.2)
    await _pids(connections)
    assert pool.get_idle_size() == 0
    async with asyncio.timeout(5):
        while pool.get_idle_size() == 0:
            await _value(connections, PID)
            await asyncio.sleep(0.02)
    assert pool.get_idle_size() == 1
    assert len(await _pids(connections)) == 2


async def test_a_statement_that_runs_on_closing_gives_its_connection_back(pool: Pool) -> None:
    connections = KeptConnections(pool)
    running = asyncio.create_task(_value(connections, "SELECT 7 FROM pg_sleep(0.2)"))
    await asyncio.sleep(0.05)
    await connections.close()
    await asyncio.wait_for(pool.close(), 5)
    assert await running == 7
