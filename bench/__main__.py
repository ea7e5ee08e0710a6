"""``python -m bench``: the suite's command line."""

from __future__ import annotations

import argparse
import asyncio
import sys

from bench.compare import CONNECTIONS, Cell, Key, cases, compare
from bench.load import NoWrk, find_wrk
from bench.node import NotInstalled
from bench.questions import QUESTIONS
from bench.servers import NAMES, kinds, running
from bench.stores import bench_folder, bench_stores, say
from local import LocalStoreError


def _words(allowed: tuple[str, ...]) -> object:
    def read(text: str) -> tuple[str, ...]:
        chosen = tuple(word for word in text.lower().split(",") if word)
        unknown = [word for word in chosen if word not in allowed]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"{text!r}: give some of {','.join(allowed)}")
        return chosen

    return read


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 minutes instead of 10")
    parser.add_argument("--only", type=_words(tuple(QUESTIONS)), default=tuple(QUESTIONS), metavar="q1,q2,q3")  # type: ignore[arg-type]
    parser.add_argument("--servers", type=_words(NAMES), default=NAMES, metavar=",".join(NAMES))  # type: ignore[arg-type]
    parser.add_argument("--connections", type=int, action="append", help="32 and 1 without it; may be repeated")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of each measurement")
    chosen = parser.parse_args()
    try:
        find_wrk()
        _compare(chosen)
    except (NoWrk, NotInstalled, LocalStoreError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _compare(chosen: argparse.Namespace) -> None:
    with bench_stores(bench_folder()) as stores:
        database = asyncio.run(stores.data_set())
        every = asyncio.run(cases(stores.url(database)))
        asked = {name: every[name] for name in chosen.only}
        with running(kinds(stores, database, chosen.servers), stores.folder, every["q1"][0]) as servers:
            rounds, seconds = (3, 1) if chosen.quick else (5, 3)
            cells = compare(
                stores,
                servers,
                asked,
                rounds=chosen.rounds or rounds,
                seconds=chosen.seconds or seconds,
                connections=chosen.connections or CONNECTIONS,
            )
            show(cells)
            for server in servers:
                say(f"{server.kind.name}: {server.memory_mib:.0f} MiB")


def show(cells: dict[Key, Cell]) -> None:
    """The table, as text."""
    print(f"{'':32}{'a second':>10}{'ours x':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}{'+ SQL':>7}")
    for (question, count, name), cell in sorted(cells.items()):
        ours = cells.get((question, count, "ours"))
        ratio = f"{ours.rate / cell.rate:8.2f}" if ours else " " * 8
        server_ms, database_ms = cell.cpu_ms
        line = f"{question} {count:>2} {name:<26}{cell.rate:10.0f}{ratio}{cell.p50_ms:8.2f}{cell.p99_ms:8.2f}"
        print(f"{line}{server_ms:8.3f}{database_ms:7.3f}")


if __name__ == "__main__":
    sys.exit(main())
