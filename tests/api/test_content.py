"""contentAccess decides: FULL shows what there is, anything else shows nothing of it; numbers and times stay."""

import asyncio
from typing import Any

import pytest

from db.models.base import CONTENT_ACCESS
from db.statements import Statement, raw_statement
from domain.ids import parse_id, show_id
from domain.records import Batch, ConversationRecord, LogRecord, MessageRecord, Ref, TaskRecord, ToolCallRecord
from tests.api.mutate import mutate
from tests.client import Server
from tests.storage.build import START

TASK, TALK = Ref("test", "task"), Ref("test", "talk")
EVERYTHING = """
query Everything($task: ID!, $talk: ID!) {
  task(id: $task) {
    contentAccess title input result errorMessage errorType status
    logs { nodes { seq level text truncated } }
    found: logs(filter: {search: "line"}) { nodes { seq } }
    toolCalls { nodes { name input output succeeded } }
  }
  conversation(id: $talk) {
    contentAccess title tags
    messages { nodes { contentAccess text role } }
  }
}
"""
CONTENT = {"title", "input", "result", "errorMessage", "output", "text"}


async def _write(server: Server, status: str = "FAILED") -> dict[str, str]:
    """A task and a conversation with all content; their ids."""
    applied = await server.write(
        Batch(
            conversations=[ConversationRecord("test", "talk", START, START, title="Talk", tags=("tag",))],
            tasks=[
                TaskRecord(
                    "test",
                    "task",
                    "API",
                    START,
                    START,
                    status=status,
                    title="Title",
                    input="Input",
                    result="Result",
                    error_type="Exit",
                    error_message="Message",
                )
            ],
            messages=[MessageRecord(TALK, "USER", START, "Text")],
            logs=[LogRecord(TASK, START, "INFO", "STDOUT", "Line")],
            tool_calls=[ToolCallRecord(TASK, "call", "Bash", START, START, True, "In", "Out")],
        )
    )
    return {
        "task": show_id("task", applied.task_ids["test", "task"]),
        "talk": show_id("conversation", applied.conversation_ids["test", "talk"]),
    }


async def _set(server: Server, access: str) -> None:
    unwatched: Statement[Any] = raw_statement("ALTER TABLE tasks DISABLE TRIGGER test_task_has_event")
    async with server.database.write() as transaction:
        await transaction.fetch(unwatched)
        for table in ("tasks", "conversations", "messages"):
            change: Statement[Any] = raw_statement(f"UPDATE {table} SET content_access = $1")
            await transaction.fetch(change, access)


def _leaves(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for key, below in value.items() for leaf in _leaves(below, key)]
    if isinstance(value, list):
        return [leaf for below in value for leaf in _leaves(below, name)]
    return [(name, value)]


@pytest.mark.parametrize("access", CONTENT_ACCESS)
async def test_only_full_shows_content(server: Server, access: str) -> None:
    ids = await _write(server)
    await _set(server, access)
    data = await server.query(EVERYTHING, **ids)
    assert data["task"]["contentAccess"] == data["conversation"]["contentAccess"] == access
    assert len(data["task"]["found"]["nodes"]) == (access == "FULL")
    leaves = _leaves(data)
    assert {name for name, _ in leaves} >= CONTENT
    for name, value in leaves:
        assert (value is None) is (name in CONTENT and access != "FULL"), name


async def test_a_live_log_shows_no_more_than_a_page(server: Server) -> None:
    ids = await _write(server, "RUNNING")
    await _set(server, "HIDDEN")
    document = "subscription Log($id: ID!) { taskLog(taskId: $id) { ... on LogLinesAppended { lines { seq text } } } }"
    topic = f"log:{parse_id('task', ids['task'])}"
    async with asyncio.timeout(20), server.subscribe(topic, document, id=ids["task"]) as log:
        await mutate(server, "appendTaskLog", taskId=ids["task"], lines=[{"text": "secret"}])
        while not (event := (await log.next())["data"]["taskLog"]):
            pass  # a Checkpoint
    assert event == {"lines": [{"seq": 2, "text": None}]}


@pytest.mark.parametrize("access", ["EXPIRED", "REDACTED"])
async def test_what_cannot_be_asked_again_is_not_retried(server: Server, access: str) -> None:
    ids = await _write(server)
    await _set(server, access)
    able = "query Able($id: ID!) { task(id: $id) { viewerCanRetry } }"
    assert not (await server.query(able, id=ids["task"]))["task"]["viewerCanRetry"]
    answer = await mutate(server, "retryTask", taskId=ids["task"])
    assert answer["code"] == "INVALID_TRANSITION"
    assert access in answer["message"]
