"""The run: both servers in interleaved rounds on a database of its own, then what they hold idle, then the writers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from bench.realtime.fanout import Fanout, Size
from bench.realtime.processes import Counting, counting, serving
from bench.realtime.source import Source, told
from bench.realtime.table import CASES, Figures, Found
from bench.realtime.writing import writing
from bench.servers import Server
from bench.stores import Stores, say
from db import migrate
from db.database import connect_arguments, open_database

DATABASE = "realtime"
PARTS = (*CASES, "idle", "writing")
WRITE_POOL = 20  # as four processes have together


@asynccontextmanager
async def fresh_database(stores: Stores) -> AsyncIterator[str]:
    """A database of this run's own."""
    server = await asyncpg.connect(**connect_arguments(stores.url("fleetgraph", user="postgres")))
    try:
        await server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        await server.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 OWNER fleetgraph")
        await migrate.upgrade(stores.url(DATABASE))
        yield DATABASE
        await server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    finally:
        await server.close()


async def measure(stores: Stores, size: Size, parts: Sequence[str]) -> Found:
    """All parts on one database."""
    found = Found(size.sockets)
    async with fresh_database(stores) as name:
        database = await open_database(stores.url(name), write_size=WRITE_POOL)
        source = Source(database)
        await source.fill(size.sockets)
        async with counting() as client:
            if set(parts) & set(CASES):
                with serving(stores, name) as servers:
                    for number in range(size.rounds):
                        for server in servers if number % 2 else servers[::-1]:
                            await _round(stores, server, client, source, size, parts, found)
            if "idle" in parts:
                with serving(stores, name) as servers:  # anew, for memory that was used once is not given back
                    await _idle(stores, servers, client, source, size, found)
        if "writing" in parts:
            found.written = await writing(database, source, size.writing_s)
        await database.close()
    return found


async def _round(
    stores: Stores, server: Server, client: Counting, source: Source, size: Size, parts: Sequence[str], found: Found
) -> None:
    async with told(server, stores, source) as tell:
        made = Fanout(stores, server, client, source, tell, size)
        for case, follow in made.cases.items():
            if case in parts:
                figures = await follow()
                found.add(case, server.kind.name, figures)
                if made.shape != found.shapes.setdefault(case, made.shape):
                    raise RuntimeError(f"{case}: {server.kind.name} delivers {made.shape}, not {found.shapes[case]}")
                say(f"{CASES[case]}, {server.kind.title}: {_show(figures)}")


async def _idle(
    stores: Stores, servers: Sequence[Server], client: Counting, source: Source, size: Size, found: Found
) -> None:
    found.idle_sockets = size.idle_sockets
    for server in servers:
        async with told(server, stores, source) as tell:
            made = Fanout(stores, server, client, source, tell, size)
            found.idle[server.kind.name] = figures = await made.idle(size.idle_sockets)
            say(f"{size.idle_sockets} idle, {server.kind.title}: {_show(figures)}")


def _show(figures: Figures) -> str:
    return ", ".join(
        f"{name} {value:,.0f}" if value > 100 else f"{name} {value:.2g}" for name, value in figures.items()
    )
