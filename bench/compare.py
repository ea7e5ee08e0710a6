"""The comparison: interleaved rounds of every server, question and number of connections, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, median

import asyncpg

from bench.load import Load, Requests, press
from bench.questions import QUESTIONS, Case, plain
from bench.servers import Server, cpu_s
from bench.stores import Stores, say
from db.database import connect_arguments

CONNECTIONS = (32, 1)
STATUSES = ("COMPLETED", "FAILED", "CANCELLED", "RUNNING")
TASKS = 1_000  # asked for by Q1 in turn
CHECKED = 50  # cases of each question whose answers are compared


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
    server_ms: list[float] = field(default_factory=list)  # CPU of an answer
    database_ms: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second, the median of the rounds."""
        return median(load.rate for load in self.loads)

    @property
    def p50_ms(self) -> float:
        """The median of the rounds' p50."""
        return median(load.p50_ms for load in self.loads)

    @property
    def p99_ms(self) -> float:
        """The median of the rounds' p99."""
        return median(load.p99_ms for load in self.loads)

    @property
    def cpu_ms(self) -> tuple[float, float]:
        """CPU of an answer, of the server and of the database: the medians of the rounds."""
        return median(self.server_ms), median(self.database_ms)

    def times(self, other: Cell) -> float:
        """How many times as many answers as the other: the median of the rounds, each with the one beside it."""
        return median(mine.rate / its.rate for mine, its in zip(self.loads, other.loads, strict=True))

    def slower(self, other: Cell) -> float:
        """How many times the p50 of the other: the median of the rounds, each with the one beside it."""
        return median(mine.p50_ms / its.p50_ms for mine, its in zip(self.loads, other.loads, strict=True))


Cells = dict[tuple[str, int, str], Cell]  # by question, connections, server


def check_answers(servers: Sequence[Server], asked: dict[str, list[Case]]) -> None:
    """Raise AssertionError when two servers answer a question differently."""
    for question, some in asked.items():
        for case in some[:CHECKED]:
            (name, expected), *others = [(server.kind.name, plain(server.ask(question, case))) for server in servers]
            assert expected[0] is not None, f"{name} finds nothing for {question} {case}"
            for other, found in others:
                assert found == expected, f"{question} {case}: {other} answers {found[:1]}, {name} {expected[:1]}"


def prepare(stores: Stores, server: Server, question: str, some: Sequence[Case], name: str = "") -> Requests:
    """A server's requests of a question, for wrk."""
    bodies = [server.kind.body(question, case) for case in some]
    name = name or f"{question}-{server.kind.name}"
    size = mean(len(server.fetch(body)) for body in bodies[:CHECKED])
    return Requests.write(stores.folder / "requests", name, server.url, bodies, server.kind.headers, size)


def measure(stores: Stores, server: Server, requests: Requests, cell: Cell, connections: int, seconds: int) -> None:
    """Add a round to a cell."""
    before = server.cpu_s, cpu_s(stores.postmaster, with_children=True)
    load = press(requests, connections, seconds)
    after = server.cpu_s, cpu_s(stores.postmaster, with_children=True)
    cell.loads.append(load)
    cell.server_ms.append((after[0] - before[0]) / load.requests * 1000)
    cell.database_ms.append((after[1] - before[1]) / load.requests * 1000)


def compare(
    stores: Stores,
    servers: Sequence[Server],
    asked: dict[str, list[Case]],
    *,
    rounds: int,
    seconds: int,
    connections: Sequence[int] = CONNECTIONS,
) -> Cells:
    """Measure in rounds: each server once per round, so that what the machine does besides meets all of them."""
    check_answers(servers, asked)
    cells: Cells = {}
    for question, some in asked.items():
        say(f"{QUESTIONS[question]} …")
        prepared = {server.kind.name: prepare(stores, server, question, some) for server in servers}
        for server in servers:
            press(prepared[server.kind.name], max(connections), seconds)  # warm
        for number in range(rounds):
            for count in connections:
                turn = number % len(servers)
                for server in [*servers[turn:], *servers[:turn]]:
                    cell = cells.setdefault((question, count, server.kind.name), Cell())
                    measure(stores, server, prepared[server.kind.name], cell, count, seconds)
    check_answers(servers, asked)
    return cells
