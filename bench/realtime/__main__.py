"""``python -m bench.realtime [--quick]``: subscriptions, beside Node's graphql-ws."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from bench.node import NotInstalled
from bench.realtime.fanout import FULL, QUICK, Fanout, Size
from bench.realtime.processes import Counting, counting, serving
from bench.realtime.source import Source, told
from bench.realtime.table import CASES, Figures, Found, section
from bench.realtime.writing import writing
from bench.report import write_section
from bench.servers import Server
from bench.stores import Stores, bench_folder, bench_stores, say
from db import migrate
from db.database import connect_arguments, open_database
from local import LocalStoreError

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
        with serving(stores, name) as servers:
            async with counting() as client:
                for number in range(size.rounds):
                    for server in servers if number % 2 else servers[::-1]:
                        await _round(stores, server, client, source, size, parts, found)
                if "idle" in parts:
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


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.realtime", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 minute instead of 4, and RESULTS.md stays as it is")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    chosen = parser.parse_args()
    parts = chosen.parts.split(",")
    try:
        with bench_stores(bench_folder()) as stores:
            text = section(asyncio.run(measure(stores, QUICK if chosen.quick else FULL, parts)))
    except (NotInstalled, LocalStoreError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(text)
    if not chosen.quick and set(parts) == set(PARTS):
        write_section("realtime", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
