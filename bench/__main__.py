"""Measures the service beside its peers, on stores of the suite's own (docs/benchmarks.md).

`python -m bench` compares queries, looks at growth and follows subscriptions; whole and not quick, it writes
bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable

from bench import tables
from bench.compare import CONNECTIONS, cases, compare
from bench.growth import measure_growth
from bench.kinds import NAMES, PEERS, kinds
from bench.load import NoWrk, find_wrk
from bench.memory import REQUESTS, documents, measure_memory
from bench.node import NotInstalled, node, package_versions
from bench.questions import QUESTIONS
from bench.realtime import fanout
from bench.realtime import run as realtime
from bench.realtime.table import section
from bench.report import conditions, write_section
from bench.servers import running
from bench.stores import Stores, bench_stores, say
from local import LocalStoreError

QUERY_PEERS = ("postgraphile", "mercurius", "fastify", "pg")
PACKAGES = dict.fromkeys(("queries", "growth", "memory"), QUERY_PEERS) | {"realtime": ("graphql-ws", "ws", "ioredis")}
PARTS = ("all", "queries", "growth", "realtime", "memory")


def _some(allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        chosen = tuple(word for word in text.lower().split(",") if word)
        if not chosen or set(chosen) - set(allowed):
            raise argparse.ArgumentTypeError(f"{text!r}: give some of {','.join(allowed)}")
        return chosen

    return read


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, default="all", help="all: queries, growth, realtime")
    parser.add_argument("--quick", action="store_true", help="in 2 minutes instead of 10")
    parser.add_argument("--only", type=_some(tuple(QUESTIONS)), metavar="q1,q2", help="queries: these questions")
    parser.add_argument("--servers", type=_some(NAMES), metavar="ours,limit", help=f"queries: of {','.join(NAMES)}")
    parser.add_argument("--connections", type=int, action="append", help="queries: 32 and 1 without it")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement")
    parser.add_argument("--seconds", type=int, help="seconds of each round")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"memory: how many, {REQUESTS:,} without it")
    parser.add_argument("--minutes", type=float, default=30, help="memory: it ends then, whatever it has reached")
    chosen = parser.parse_args()
    rounds, seconds = (3, 1) if chosen.quick else (5, 3)
    part = chosen.quick or chosen.only or chosen.servers or chosen.connections or chosen.rounds or chosen.seconds
    chosen.writes = not part
    chosen.rounds, chosen.seconds = chosen.rounds or rounds, chosen.seconds or seconds
    if (chosen.only or chosen.servers or chosen.connections) and chosen.part == "all":
        chosen.part = "queries"
    return chosen


def main() -> int:
    """Read the arguments and run."""
    chosen = _arguments()
    try:
        find_wrk()
        with bench_stores() as stores:
            if chosen.part in ("all", "queries"):
                _queries(stores, chosen)
            if chosen.part in ("all", "growth"):
                _growth(stores, chosen)
            if chosen.part in ("all", "realtime"):
                _realtime(stores, chosen)
            if chosen.part == "memory":
                _memory(stores, chosen)
    except (NoWrk, NotInstalled, LocalStoreError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _queries(stores: Stores, chosen: argparse.Namespace) -> None:
    database = asyncio.run(stores.data_set())
    every = asyncio.run(cases(stores.url(database)))
    asked = {name: every[name] for name in chosen.only or QUESTIONS}
    with running(kinds(stores, database, chosen.servers or NAMES), stores.folder) as servers:
        memory = {server.kind.name: server.memory_mib for server in servers}
        connections = chosen.connections or CONNECTIONS
        cells = compare(stores, servers, asked, rounds=chosen.rounds, seconds=chosen.seconds, connections=connections)
        print(tables.text(cells))
        if len(cells) == len(QUESTIONS) * len(NAMES) * len(CONNECTIONS):
            found = f"{tables.targets(cells)}\n\n{tables.comparison(cells, servers, memory)}"
            _tell("queries", found, writes=chosen.writes)


def _growth(stores: Stores, chosen: argparse.Namespace) -> None:
    cells = measure_growth(stores, rounds=chosen.rounds, seconds=1)
    _tell("growth", tables.growth(cells), writes=chosen.writes)


def _realtime(stores: Stores, chosen: argparse.Namespace) -> None:
    found = asyncio.run(realtime.measure(stores, fanout.QUICK if chosen.quick else fanout.FULL, realtime.PARTS))
    _tell("realtime", section(found), writes=chosen.writes)


def _memory(stores: Stores, chosen: argparse.Namespace) -> None:
    database = asyncio.run(stores.data_set())
    tasks = [case.task for case in asyncio.run(cases(stores.url(database)))["q1"] if case.task is not None]
    with running(kinds(stores, database, ["ours"]), stores.folder) as (server,):
        found = measure_memory(stores, server, documents(tasks), requests=chosen.requests, minutes=chosen.minutes)
    _tell("memory", tables.memory(found), writes=chosen.requests >= REQUESTS)


def _tell(part: str, found: str, *, writes: bool) -> None:
    """Print what was found; a whole run keeps it in RESULTS.md."""
    print(f"\n{found}\n")
    if writes:
        peers = package_versions(PEERS, *PACKAGES[part])
        write_section(part, f"{conditions(**{'Node.js': node().version}, **peers)}\n\n{found}")
        say(f"Written to bench/RESULTS.md: {part}.")


if __name__ == "__main__":
    sys.exit(main())
