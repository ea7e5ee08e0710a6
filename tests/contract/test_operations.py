"""Every operation of graphql/operations is valid, runs over HTTP or WebSocket, and answers all that it asks."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import parse, validate

from domain.ids import parse_id, show_id
from domain.records import AgentRecord, Batch, LogRecord
from schema.root import build_schema
from tests.client import Server
from tests.filled import ORIGIN, at, fill, ref, task_record

FOLDER = Path(__file__).parents[2] / "graphql" / "operations"
NAMES = sorted(path.stem for path in FOLDER.iterdir())
ALL_TIME = {"between": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}}
FIND = """
query Find {
  tasks(filter: {status: [FAILED]}, first: 1) { nodes { id agent { id } } pageInfo { endCursor } }
  conversations(first: 1) { nodes { id } pageInfo { endCursor } }
  agents(first: 1) { pageInfo { endCursor } }
  runs(first: 1) { nodes { id project { id } } pageInfo { endCursor } }
}
"""


def _document(name: str) -> str:
    return (FOLDER / f"{name}.graphql").read_text()


async def _variables(server: Server) -> dict[str, list[dict[str, Any]]]:
    """For each query, the variables of its runs, made of what is there."""
    found = await server.query(FIND)
    task, talk = found["tasks"]["nodes"][0], found["conversations"]["nodes"][0]
    run = found["runs"]["nodes"][0]
    failed = {"status": ["FAILED"], "agentType": ["EXECUTOR"]}
    order = {"field": "COST", "direction": "ASC"}
    return {
        "TaskBoard": [
            {"filter": failed},
            {"filter": failed, "first": 5, "after": found["tasks"]["pageInfo"]["endCursor"]},
            {"filter": failed | {"agentId": [task["agent"]["id"]]}, "orderBy": order},
        ],
        "TaskDetail": [{"id": task["id"]}, {"id": task["id"], "logLines": 1}],
        "TaskLogPage": [
            {"taskId": task["id"], "first": 1},
            {"taskId": task["id"], "last": 1, "filter": {"level": ["INFO"], "stream": None, "search": "LINE"}},
        ],
        "AgentList": [
            {"first": 3, "filter": {"status": ["BUSY"]}},
            {"first": 3, "after": found["agents"]["pageInfo"]["endCursor"], "tasks": 1},
        ],
        "RunBoard": [
            {"filter": {"status": ["STALLED"], "projectId": [run["project"]["id"]]}},
            {"first": 3, "after": found["runs"]["pageInfo"]["endCursor"]},
        ],
        "RunDetail": [{"id": run["id"]}, {"id": run["id"], "iterations": 1, "logLines": 1}],
        "ConversationThread": [{"id": talk["id"]}, {"id": talk["id"], "last": 1, "tasks": 1}],
        "Summary": [{"range": ALL_TIME}, {"range": ALL_TIME, "filter": failed}],
    }


LIVE = {"TaskChanges", "TaskLog"}
CONTROL = {"TaskCancel", "TaskRetry"}
# Null also when all is there: what has not ended has no end.
MAY_BE_NULL = {"endedAt", "durationMs"}


def _nulls(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, below in value.items():
            if below is None and name not in MAY_BE_NULL:
                yield f"{place}.{name}"
            yield from _nulls(below, f"{place}.{name}")
    elif isinstance(value, list):
        if not value:
            yield f"{place} is empty"
        for n, below in enumerate(value):
            yield from _nulls(below, f"{place}[{n}]")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid_and_named_as_its_file(name: str) -> None:
    document = parse(_document(name))
    assert validate(build_schema(), document) == []
    assert f" {name}(" in _document(name)


async def test_none_is_forgotten(filled: Server) -> None:
    assert set(NAMES) == set(await _variables(filled)) | LIVE | CONTROL


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LIVE | CONTROL])
async def test_a_query_answers(filled: Server, name: str) -> None:
    every = await _variables(filled)
    before = await _fallbacks(filled)
    for variables in every[name]:
        data = await filled.query(_document(name), **variables)
        assert list(_nulls(data)) == []
    assert await _fallbacks(filled) == before


async def _fallbacks(server: Server) -> Any:
    """How often graphql-core had to run what a plan should."""
    return (await server.http.get("/ready")).json()["fallbacks"]


async def test_task_cancel_and_retry(server: Server) -> None:
    await fill(server, 1)
    await server.write(Batch(agents=[AgentRecord("agent0", "host0", is_controllable=True)]))
    find = "query Find($in: [TaskStatus!]) { tasks(filter: {status: $in}, first: 1) { nodes { id } } }"
    for name, status in (("TaskCancel", "RUNNING"), ("TaskRetry", "FAILED")):
        found = await server.query(find, **{"in": [status]})
        task_id = found["tasks"]["nodes"][0]["id"]
        asked = {"taskId": task_id} | ({"reason": "enough"} if name == "TaskCancel" else {})
        data = await server.query(_document(name), input=asked)
        assert list(_nulls(data)) == []
        assert "task" in next(iter(data.values()))
    refused = await server.query(_document("TaskRetry"), input={"taskId": data["retryTask"]["task"]["id"]})
    assert refused["retryTask"]["currentTask"]["status"] == "QUEUED"
    assert await _fallbacks(server) == {}


async def test_task_changes(server: Server) -> None:
    await fill(server, 1)
    watched = {"status": ["FAILED", "RUNNING"], "model": ["m"]}
    async with asyncio.timeout(20), server.subscribe("tasks", _document("TaskChanges"), filter=watched) as changes:
        await server.write(Batch(tasks=[task_record("task0", at(9), title="Another")]))
        payload = await changes.next()
    assert list(_nulls(payload)) == []
    assert payload["data"]["taskChanged"]["task"]["title"] == "Another"
    assert await _fallbacks(server) == {}


async def test_task_log(server: Server) -> None:
    applied = await fill(server, 1)
    task_id = show_id("task", applied.task_ids[ORIGIN, "root0"])
    topic = f"log:{parse_id('task', task_id)}"
    document = _document("TaskLog")
    async with (
        asyncio.timeout(20),
        server.subscribe(topic, document, taskId=task_id, filter={"search": "a"}) as log,
    ):
        await server.write(Batch(logs=[LogRecord(ref("root0"), at(9), "WARN", "STDERR", "a line")]))
        payload = await log.next()
    assert list(_nulls(payload)) == []
    assert payload["data"]["taskLog"]["lines"][0]["text"] == "a line"
    assert await _fallbacks(server) == {}
