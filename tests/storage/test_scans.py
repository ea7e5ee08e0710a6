"""No operation reads a big table from end to end.

Not looked at: how many rows an index is walked past before a page is full, plans made once for all values of a
statement, and more than the last values that a statement was run with.
"""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db.database import ReadHandle, WriteTransaction, _prepare
from db.statements import Statement
from domain.ids import show_id
from local import StoreUrls
from settings import Settings
from tests.client import Server
from tests.conftest import MakeDatabase
from tests.pgbouncer import straight
from tests.serving import serving

BIG = {"tasks", "task_texts", "log_lines", "messages", "usage_records", "tool_calls", "events"}
FOLDER = Path(__file__).parents[2] / "graphql" / "operations"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = {"between": {"from": "2026-03-01T00:00:00Z", "to": "2026-03-03T00:00:00Z"}}


def key(kind: int, n: int) -> UUID:
    """What fleet.sql calls it."""
    return UUID(f"0000000{kind}-0000-7000-8000-{n:012x}")


TASK, OPEN = show_id("task", key(8, 19_000)), show_id("task", key(8, 19_999))
RUN, TALK = show_id("run", key(6, 9)), show_id("conversation", key(5, 1_900))
FILTERS: list[dict[str, Any]] = [
    {"status": ["COMPLETED"]},
    {"status": ["WAITING_INPUT"]},
    {"status": ["QUEUED", "RUNNING", "FAILED"]},
    {"source": ["WEBHOOK"]},
    {"source": ["OTLP", "API"]},
    {"agentId": [show_id("agent", key(4, n)) for n in (1, 2)]},
    {"agentId": [show_id("agent", key(4, 1))], "status": ["RUNNING"]},
    {"agentType": ["CONSULTATION"]},
    {"agentType": ["QUESTION_ASKING"]},
    {"model": ["rare"]},
    {"model": ["model1", "nothing"]},
    {"ownerId": [show_id("user", key(1, 1))]},
    {"hostId": [show_id("host", key(2, 1))]},
    {"projectId": [show_id("project", key(3, 1))]},
    {"projectId": [show_id("project", key(3, 2))], "status": ["FAILED"]},
    {"runId": [RUN]},
    {"conversationId": [TALK]},
    {"parentTaskId": [TASK]},
    {"flowId": "flow:10"},
    {"gitBranch": ["branch3"]},
    {"createdAt": DAY},
    {"isStuck": True},
    {"isStuck": False},
    {"search": "c4ca4238a0"},
]
ORDERS = [{"field": name, "direction": "DESC"} for name in ("CREATED_AT", "UPDATED_AT", "COST")]
QUERIES: dict[str, list[dict[str, Any]]] = {
    "TaskBoard": [
        *[{"filter": given, "orderBy": order} for given in FILTERS for order in ORDERS],
        *[{"orderBy": order} for order in ORDERS],
    ],
    "TaskDetail": [{"id": TASK}],
    "TaskLogPage": [
        {"taskId": TASK, "first": 5},
        {"taskId": TASK, "last": 5, "filter": {"level": ["INFO"], "search": "line 7"}},
    ],
    "AgentList": [{}, {"filter": {"type": ["EXECUTOR"], "status": ["OFFLINE"]}}],
    "RunBoard": [{}, {"filter": {"status": ["STALLED"], "projectId": [show_id("project", key(3, 2))]}}],
    "RunDetail": [{"id": RUN}],
    "ConversationThread": [{"id": TALK}],
    "Summary": [{"range": DAY}, *[{"range": DAY, "filter": given} for given in FILTERS if "createdAt" not in given]],
}
CHANGES: dict[str, list[dict[str, Any]]] = {
    "TaskCancel": [{"input": {"taskId": OPEN}}],
    "TaskRetry": [{"input": {"taskId": show_id("task", key(8, 12))}}],
}
LIVE: dict[str, tuple[str, dict[str, Any]]] = {
    "TaskChanges": ("tasks", {"filter": {"status": ["FAILED"]}}),
    "TaskLog": (f"log:{key(8, 19_999)}", {"taskId": OPEN}),
}


@pytest.fixture(scope="module")
async def fleet(
    tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase, migrated: str, store_urls: StoreUrls
) -> AsyncIterator[Server]:
    """A server on the tasks of fleet.sql."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("scans"), redis_prefix="scans")
    async with make_database(migrated) as url:
        connection = await asyncpg.connect(**straight(url))
        await connection.execute(Path(__file__).with_name("fleet.sql").read_text())
        await _vacuum(connection)
        await connection.close()
        async with serving(settings, url, store_urls.redis_url, clock=lambda: NOW) as running:
            yield running


async def _vacuum(connection: Any) -> None:
    """Until every page is marked visible to all: an ANALYZE of PostgreSQL's own, at work meanwhile, hinders that."""
    rest = {*BIG, "agents", "runs", "conversations", "stories"}
    async with asyncio.timeout(30):
        while rest:
            for table in sorted(rest):
                await connection.execute(f"VACUUM ANALYZE {table}")
            unseen = "SELECT relname FROM pg_class WHERE relname = ANY($1) AND relallvisible < relpages"
            rest = {row[0] for row in await connection.fetch(unseen, sorted(rest))}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """Every statement that is run, with the last values that it was run with."""
    found: dict[str, tuple[Any, ...]] = {}

    for handle in (ReadHandle, WriteTransaction):
        real = handle.fetch

        async def fetch(self: Any, statement: Statement[Any], *values: Any, _real: Any = real) -> list[Any]:
            found[statement.sql] = statement.arguments(values)
            return list(await _real(self, statement, *values))

        monkeypatch.setattr(handle, "fetch", fetch)
    return found


async def _explain(server: Server, found: dict[str, tuple[Any, ...]]) -> list[tuple[str, dict[str, Any]]]:
    """The plans of statements; what only reads is run, so that a part of a plan which is never run does not count."""
    connection = await asyncpg.connect(**straight(server.database.url))
    plans = []
    try:
        await _prepare(connection)
        for sql, values in found.items():
            options = (
                "FORMAT JSON" if re.search(r"\b(INSERT|UPDATE|DELETE)\b", sql) else "ANALYZE, TIMING OFF, FORMAT JSON"
            )
            (row,) = await connection.fetch(f"EXPLAIN ({options}) {sql}", *values)
            plans.append((sql, json.loads(row[0])[0]["Plan"]))
    finally:
        await connection.close()
    return plans


def _scans(plan: dict[str, Any], is_cut: bool = False) -> Iterator[str]:
    """The big tables that a plan reads from end to end.

    One that a LIMIT cuts short is not, if it shows at least half of what it reads: the tasks that are not stuck.
    """
    if plan.get("Actual Loops") == 0:
        return
    is_cut = is_cut or plan["Node Type"] == "Limit"
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in BIG:
        thrown_away = plan.get("Rows Removed by Filter", 0 if "Filter" not in plan else math.inf)
        if not is_cut or thrown_away > plan.get("Actual Rows", 0):
            column = re.search(r"\w+", plan.get("Filter", "nothing"))
            yield f"{plan['Relation Name']} by {column and column[0]}"
    for below in plan.get("Plans", ()):
        yield from _scans(below, is_cut)


def _use(sql: str) -> str:
    return "count" if sql.startswith("SELECT count(*)") else "sum" if "sum(" in sql else "page"


def _document(name: str) -> str:
    return (FOLDER / f"{name}.graphql").read_text()


def test_every_operation_is_looked_at() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*QUERIES, *CHANGES, *LIVE}


async def test_no_operation_reads_a_whole_table(fleet: Server, recorded: dict[str, tuple[Any, ...]]) -> None:
    for name, runs in {**QUERIES, **CHANGES}.items():
        for variables in runs:
            await fleet.query(_document(name), **variables)
    for name, (topic, variables) in LIVE.items():
        async with asyncio.timeout(20), fleet.subscribe(topic, _document(name), **variables):
            pass
    plans = await _explain(fleet, recorded)
    assert len(plans) > 100
    found = {(_use(sql), scan) for sql, plan in plans for scan in _scans(plan)}
    assert found == set()
