"""Growth: the same page of tasks when the table has 10,000, 100,000 and 1,000,000, at its head and 1,000 pages down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bench.compare import Cell, check_answers, measure, prepare
from bench.kinds import kinds
from bench.load import press
from bench.questions import Case
from bench.servers import Server, running
from bench.stores import Scale, Stores, say
from db.database import connect_arguments
from db.models.base import Row
from db.queries.tasks import CREATED_AT_DESC
from resolvers.pages import encode_cursor

SIZES = (10_000, 100_000, 1_000_000)
PAGES = (1, 1_000)
PAGE = 50
STATUS = "COMPLETED"
NAMES = ("ours", "postgraphile")


@dataclass(frozen=True, slots=True)
class Place:
    """A page in a table of a size."""

    tasks: int
    page: int


Growth = dict[tuple[Place, str], Cell]  # by place and server


class PlaceRow(Row):
    """Where a task stands in the order of pages."""

    created_at: datetime
    id: UUID


async def last_before(url: str, page: int) -> PlaceRow | None:
    """The last task before a page; None when the table does not reach that far."""
    connection = await asyncpg.connect(**connect_arguments(url))
    try:
        return await connection.fetchrow(  # type: ignore[no-any-return]
            "SELECT created_at, id FROM tasks WHERE status = $1 ORDER BY created_at DESC, id DESC OFFSET $2 LIMIT 1",
            STATUS,
            (page - 1) * PAGE - 1,
            record_class=PlaceRow,
        )
    finally:
        await connection.close()


def _case(url: str, page: int, servers: Sequence[Server]) -> Case | None:
    """The page, for all servers; None when there is none."""
    if page == 1:
        return Case(status=STATUS)
    row = asyncio.run(last_before(url, page))
    if row is None:
        return None
    cursors = {"ours": encode_cursor(CREATED_AT_DESC, row)}
    for server in servers:
        if server.kind.name == "postgraphile":
            cursors["postgraphile"] = _postgraphile_cursor(server, page)
    return Case(status=STATUS, after=cursors)


def _postgraphile_cursor(server: Server, page: int) -> str:
    query = (
        "query Cursor($status: String!, $offset: Int!) { tasks: allTasks(condition: {status: $status},"
        " orderBy: [CREATED_AT_DESC, ROW_ID_DESC], first: 1, offset: $offset) { edges { cursor } } }"
    )
    answer = server.post({"query": query, "variables": {"status": STATUS, "offset": (page - 1) * PAGE - 1}})
    return str(answer["data"]["tasks"]["edges"][0]["cursor"])


@contextmanager
def _servers(stores: Stores, tasks: int, names: Sequence[str]) -> Iterator[tuple[str, list[Server]]]:
    database = asyncio.run(stores.data_set(Scale(tasks, lines_per_task=0, messages=0, usage_records=0)))
    folder = stores.folder / "servers" / database
    folder.mkdir(parents=True, exist_ok=True)
    with running(kinds(stores, database, names), folder) as servers:
        yield stores.url(database), servers


def measure_growth(stores: Stores, *, rounds: int, seconds: int, names: Sequence[str] = NAMES) -> Growth:
    """Measure each page by one connection, in interleaved rounds over all sizes."""
    say("Growth …")
    with ExitStack() as stack:
        jobs = []
        for tasks in SIZES:
            url, servers = stack.enter_context(_servers(stores, tasks, names))
            for page in PAGES:
                case = _case(url, page, servers)
                if case is not None:
                    check_answers(servers, {"q2": [case]})
                    for server in servers:
                        name = f"growth-{tasks}-{page}-{server.kind.name}"
                        jobs.append((Place(tasks, page), server, prepare(stores, server, "q2", [case], name)))
        cells: Growth = {(place, server.kind.name): Cell() for place, server, _ in jobs}
        for _, _, requests in jobs:
            press(requests, 8, seconds)  # warm
        for _ in range(rounds):
            for place, server, requests in jobs:
                measure(stores, server, requests, cells[place, server.kind.name], 1, seconds)
        return cells
