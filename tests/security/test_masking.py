"""A failure of ours is told by an id that the log has too, and by nothing of the inside; and the service goes on."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from domain.records import Batch
from tests.client import Server
from tests.filled import at, fill, task_record
from tests.pgbouncer import straight

TASKS = "{ tasks(first: 1) { nodes { id } } }"
CALLS = "{ tasks(first: 1) { nodes { id toolCalls { nodes { name } } } } health { status } }"
# Words of the inside: libraries, tables, SQL, files, Python.
INSIDE = re.compile(
    r"asyncpg|relation|sql|select |tool_calls|traceback|\.py|file \"|exception|postgres|\$1", re.IGNORECASE
)
ID = re.compile(r"[0-9a-f]{16}")


@asynccontextmanager
async def _operator(server: Server) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection beside the service's."""
    connection = await asyncpg.connect(**straight(server.database.url))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _without(server: Server, table: str) -> AsyncIterator[None]:
    """A store that lacks a table."""
    async with _operator(server) as connection:
        await connection.execute(f"ALTER TABLE {table} RENAME TO hidden")
        try:
            yield
        finally:
            await connection.execute(f"ALTER TABLE hidden RENAME TO {table}")


def _is_masked(error: dict[str, Any], log: pytest.LogCaptureFixture) -> bool:
    """Nothing of the inside; the id leads to the log's record, which has it all."""
    assert not INSIDE.search(json.dumps(error)), error
    reference = error["extensions"]["id"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert ID.fullmatch(reference)
    assert reference in error["message"]
    (record,) = [record for record in log.records if reference in record.getMessage()]
    return record.levelno == logging.ERROR and record.exc_info is not None


async def test_a_field_that_fails(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    await fill(server, 1)
    async with _without(server, "tool_calls"):
        response = await server.post(CALLS)
    assert response.status_code == 200
    (error,) = response.json()["errors"]
    assert error["path"] == ["tasks", "nodes", 0, "toolCalls"]
    assert _is_masked(error, caplog)
    assert "UndefinedTableError" in caplog.text
    assert "errors" not in (await server.post(CALLS)).json()


async def test_what_does_not_fail_is_answered(server: Server) -> None:
    await fill(server, 1)
    document = '{ summary(range: {lastMs: 1}) { taskCount } task(id: "x") { id } agent(id: "agent_%s") { id } }'
    async with _without(server, "agents"):
        answer = (await server.post(document % ("0" * 32))).json()
    assert answer["data"]["agent"] is None
    assert answer["data"]["summary"] == {"taskCount": 0}
    assert [error["path"] for error in answer["errors"]] == [["agent"]]


async def test_every_failure_has_an_id_of_its_own(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async with _without(server, "tasks"):
        errors = [await server.error(TASKS) for _ in range(2)]
    assert all(_is_masked(error, caplog) for error in errors)
    assert errors[0]["extensions"]["id"] != errors[1]["extensions"]["id"]


async def test_a_mutation_that_fails(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    document = 'mutation M { createConversation(input: {title: "A secret"}) { __typename } }'
    async with _without(server, "conversations"):
        error = await server.error(document)
    assert _is_masked(error, caplog)
    assert "secret" not in json.dumps(error)
    assert (await server.query(document))["createConversation"]["__typename"] == "CreateConversationSuccess"


async def test_a_subscription_that_fails_for_one_event(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    await fill(server, 1)
    document = """
    subscription {
      taskChanged { ... on TaskChanged { taskId task { title toolCalls { nodes { name } } } } }
    }
    """
    async with asyncio.timeout(20), server.subscribe("tasks", document) as changes:
        async with _without(server, "tool_calls"):
            await server.write(Batch(tasks=[task_record("root0", at(2), title="Two")]))
            payload = await changes.next()
        (error,) = payload["errors"]
        assert _is_masked(error, caplog)
        await server.write(Batch(tasks=[task_record("root0", at(3), title="Three")]))
        payload = await changes.next()
    assert "errors" not in payload
    assert payload["data"]["taskChanged"]["task"]["title"] == "Three"


OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'fleetgraph'"


async def _until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What `condition` gives when it gives something."""
    async with asyncio.timeout(20):
        while not (found := await condition()):  # noqa: ASYNC110 (PostgreSQL has no event for it)
            await asyncio.sleep(0.01)
    return found


async def test_a_connection_that_is_cut_in_a_statement(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    await fill(server, 1)
    async with _operator(server) as connection:
        lock = connection.transaction()
        await lock.start()
        await connection.execute("LOCK TABLE tool_calls IN ACCESS EXCLUSIVE MODE")
        asked = asyncio.create_task(server.error(CALLS))
        async with _operator(server) as other:
            blocked = await _until(lambda: other.fetch(f"SELECT pid {OURS} AND wait_event_type = 'Lock'"))
            for row in blocked:
                await other.execute("SELECT pg_terminate_backend($1)", row["pid"])
            error = await asked
        await lock.rollback()
    assert not INSIDE.search(json.dumps(error)), error
    assert error["extensions"] == {"code": "UNAVAILABLE"}
    assert "try again" in error["message"]
    (record,) = [record for record in caplog.records if record.name == "execution.operations"]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None), "no failure of ours: one line"
    assert "tasks" in await server.query(CALLS)


async def test_connections_that_are_cut_while_they_idle(server: Server) -> None:
    """A database that was restarted: nobody has to start the service again."""
    await server.query(TASKS)
    async with _operator(server) as connection:
        pids = [row["pid"] for row in await connection.fetch(f"SELECT pid {OURS}")]
        await connection.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", pids)
        gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY($1::int[])"
        await _until(lambda: connection.fetchval(gone, pids))
    assert "tasks" in await server.query(TASKS)
    made = await server.query("mutation M { createConversation(input: {}) { __typename } }")
    assert made["createConversation"]["__typename"] == "CreateConversationSuccess"
