"""The comparison: interleaved rounds of every server, question and number of connections, and what they come to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from bench.load import Load, Requests, press
from bench.questions import QUESTIONS, Case, plain
from bench.servers import Server, cpu_s
from bench.stores import Stores, say
from db.database import connect_arguments

CONNECTIONS = (32, 1)
STATUSES = ("COMPLETED", "FAILED", "CANCELLED", "RUNNING")
TASKS = 1_000  # asked for by Q1 in turn


async def cases(url: str) -> dict[str, list[Case]]:
    """The requests of each question: tasks of all ages, and pages of each status."""
    connection = await asyncpg.connect(**connect_arguments(url))
    try:
        rows = await connection.fetch("SELECT id FROM tasks ORDER BY md5(external_id) LIMIT $1", TASKS)
    finally:
        await connection.close()
    pages = [Case(status=status) for status in STATUSES]
    return {"q1": [Case(task=row["id"]) for row in rows], "q2": pages, "q3": pages}


@dataclass(slots=True)
class Cell:
    """The rounds of one server, question and number of connections."""

    loads: list[Load] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)  # CPU of each answer
    database_ms: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second, the median of the rounds."""
        return statistics.median(load.rate for load in self.loads)

    @property
    def p50_ms(self) -> float:
        """The median of the rounds' medians."""
        return statistics.median(load.p50_ms for load in self.loads)

    @property
    def p99_ms(self) -> float:
        """The median of the rounds' p99."""
        return statistics.median(load.p99_ms for load in self.loads)

    @property
    def cpu_ms(self) -> tuple[float, float]:
        """CPU of an answer in milliseconds, of the server and of the database: the least of the rounds."""
        return min(self.server_ms), min(self.database_ms)


Key = tuple[str, int, str]  # question, connections, server


def check_answers(servers: Sequence[Server], asked: dict[str, list[Case]]) -> None:
    """Raise AssertionError when two servers answer a question differently."""
    for question, some in asked.items():
        for case in some[:50]:
            first, *others = [(server.kind.name, plain(server.ask(question, case))) for server in servers]
            for name, found in others:
                assert found == first[1], f"{question} {case}: {name} answers {found[:1]}, {first[0]} {first[1][:1]}"


def compare(
    stores: Stores,
    servers: Sequence[Server],
    asked: dict[str, list[Case]],
    *,
    rounds: int,
    seconds: int,
    connections: Sequence[int] = CONNECTIONS,
) -> dict[Key, Cell]:
    """Measure in rounds: each server once per round, so that what the machine does besides meets all of them."""
    check_answers(servers, asked)
    requests = {
        (question, server.kind.name): Requests.write(
            stores.folder / "requests",
            f"{question}-{server.kind.name}",
            server.url,
            [server.kind.body(question, case) for case in some],
            dict(server.kind.headers),
        )
        for question, some in asked.items()
        for server in servers
    }
    cells: dict[Key, Cell] = {}
    for question in asked:
        say(f"{QUESTIONS[question]} …")
        for server in servers:
            press(requests[question, server.kind.name], max(connections), 1)  # warm
        for number in range(rounds):
            for count in connections:
                turn = number % len(servers)
                for server in [*servers[turn:], *servers[:turn]]:
                    cell = cells.setdefault((question, count, server.kind.name), Cell())
                    _round(stores, server, requests[question, server.kind.name], cell, count, seconds)
    check_answers(servers, asked)
    return cells


def _round(stores: Stores, server: Server, requests: Requests, cell: Cell, connections: int, seconds: int) -> None:
    before = server.cpu_s, cpu_s(stores.postmaster, with_children=True)
    load = press(requests, connections, seconds)
    after = server.cpu_s, cpu_s(stores.postmaster, with_children=True)
    cell.loads.append(load)
    cell.server_ms.append((after[0] - before[0]) / load.requests * 1000)
    cell.database_ms.append((after[1] - before[1]) / load.requests * 1000)
