"""A fleet where everything has everything: each of `size` items is a task with all its relations, and lists of two.

For tests that ask for every field: nothing is null that can be told, and no relation is shared by two items.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.statements import Statement, raw_statement
from domain.ids import new_id
from domain.records import (
    AgentRecord,
    Applied,
    Batch,
    ConversationRecord,
    LogRecord,
    MessageRecord,
    ProjectRecord,
    Ref,
    RunRecord,
    StoryRecord,
    TaskRecord,
    Tokens,
    ToolCallRecord,
    UsageEntry,
)
from tests.client import Server

ORIGIN = "claude-code:fleet:/work"
START = datetime(2026, 5, 1, 6, tzinfo=UTC)

NEW_USER = "INSERT INTO users (id, subject, name, email, created_at) VALUES ($1, $2, $2, $3, $4)"
# What no record says yet: it comes with retries and with the sweeper. Nobody is told of it, so the watch has to sleep.
REST = (
    "ALTER TABLE tasks DISABLE TRIGGER test_task_has_event",
    "UPDATE tasks t SET retry_of_id = o.id, stuck_since = t.created_at, stuck_reason = 'NO_OUTPUT'"
    " FROM tasks o WHERE o.external_id = t.external_id || '/child0'",
    "UPDATE hosts SET last_push_at = created_at",
    "ALTER TABLE tasks ENABLE TRIGGER test_task_has_event",
)


def at(minutes: float) -> datetime:
    """So many minutes after the start."""
    return START + timedelta(minutes=minutes)


def ref(name: str) -> Ref:
    """A task or conversation of the fleet."""
    return Ref(ORIGIN, name)


def task_record(name: str, updated_at: datetime, **values: Any) -> TaskRecord:
    """What is told of a task of the fleet later."""
    return TaskRecord(ORIGIN, name, "CLAUDE_CODE", updated_at, updated_at, **values)


def fleet(size: int, owners: Sequence[UUID]) -> Batch:
    """The records."""
    batch = Batch()
    for i in range(size):
        _add(batch, i, owners[i])
    return batch


def _add(batch: Batch, i: int, owner_id: UUID) -> None:
    place: dict[str, Any] = {"host": f"host{i}", "project_key": f"project{i}", "owner_id": owner_id}
    named: dict[str, Any] = {"session_id": f"session{i}", "flow_id": f"jira:FG-{i}"}
    batch.projects.append(ProjectRecord(f"project{i}", f"Project {i}", f"https://example.org/{i}"))
    batch.agents.append(AgentRecord(f"agent{i}", f"host{i}", "EXECUTOR", "BUSY", at(i)))
    batch.conversations.append(
        ConversationRecord(ORIGIN, f"talk{i}", at(i), at(i), title=f"Talk {i}", tags=("tag",), **place, **named)
    )
    batch.runs.append(_run(i, place))
    shared: dict[str, Any] = {
        "run": ref(f"run{i}"),
        "story": "s0",
        "agent_name": f"agent{i}",
        "conversation": ref(f"talk{i}"),
        "model": "m",
        **place,
        **named,
    }
    ended: dict[str, Any] = {
        "started_at": at(i),
        "ended_at": at(i + 0.5),
        "error_type": "Exit",
        "error_message": "exit code 1",
    }
    parents: list[tuple[str, Ref | None]] = [
        (f"root{i}", None),
        (f"task{i}", ref(f"root{i}")),
        *((f"task{i}/child{n}", ref(f"task{i}")) for n in range(2)),
    ]
    for name, parent in parents:
        running = parent is None or "/" in name  # the others have ended: agents have current tasks, tasks have results
        words: dict[str, Any] = {
            "status": "RUNNING" if running else "FAILED",
            "source_status": "as it said",
            "git_branch": "main",
        }
        text: dict[str, Any] = {"title": name, "input": f"do {name}", "result": f"did {name}"}
        ends: dict[str, Any] = {"started_at": at(i)} if running else ended
        batch.tasks.append(
            TaskRecord(ORIGIN, name, "CLAUDE_CODE", at(i), at(i + 1), parent=parent, **words, **text, **ends, **shared)
        )
    for n in range(2):
        _details(batch, i, n, place)


def _run(i: int, place: dict[str, Any]) -> RunRecord:
    """A run of which everything is told. Its stories wait for each other, so that each list has something."""
    stories = [
        StoryRecord("s0", "One", "Do it", "Hm", 1, "PENDING", "todo", "SIMPLE", ("s1",)),
        StoryRecord("s1", "Two", "Do it", "Hm", 2, "IN_PROGRESS", "doing", "COMPLEX", ("s0",)),
        StoryRecord("s2", "Three", "Do it", "Hm", 3, "COMPLETED", "done", "MEDIUM", ("s0",)),
    ]
    cache = {"hits": 3, "misses": 1, "hit_rate": 0.75, "saved_tokens_estimate": 900}
    names = ("batches", "workers_used", "max_concurrent", "parallel_time_ms", "sequential_estimate_ms", "time_saved_ms")
    parallel = {"enabled": True, "speedup_factor": 1.5, **dict.fromkeys(names, 2)}
    return RunRecord(
        ORIGIN,
        f"run{i}",
        "RUNNING",
        at(i),
        at(i + 1),
        source_status="implementation",
        title=f"Run {i}",
        git_branch="main",
        current_story="s1",
        elapsed_ms=60_000,
        reported_cost_usd=Decimal("0.5"),
        metrics={"cache": cache, "parallel": parallel},
        started_at=at(i),
        stories=stories,
        **place,
    )


def _details(batch: Batch, i: int, n: int, place: dict[str, Any]) -> None:
    task = ref(f"task{i}")
    batch.messages.append(MessageRecord(ref(f"talk{i}"), "USER", at(i), f"message {n}", f"m{n}", task=task))
    batch.logs.append(LogRecord(task, at(i), "INFO", "STDOUT", f"line {n} of {i}"))
    batch.tool_calls.append(
        ToolCallRecord(task, f"call{n}", "Bash", at(i), at(i + 0.1), succeeded=True, input='{"a": 1}', output="done")
    )
    for name in (f"root{i}", f"task{i}/child0", f"task{i}/child1"):
        batch.logs.append(LogRecord(ref(name), at(i), "INFO", "STDOUT", f"line {n}"))
    for name in (f"task{i}", f"task{i}/child{n}"):
        batch.usage.append(
            UsageEntry(
                at(i),
                "claude-sonnet-4-5",
                "anthropic",
                Tokens(input=100, cache_read=1_000, cache_write_5m=10, cache_write_1h=20, output=50, reasoning=5),
                "CLAUDE_CODE",
                message_id=f"{name}/{n}",
                reported_cost_usd=Decimal("0.01"),
                task=ref(name),
                **place,
            )
        )


async def fill(server: Server, size: int) -> Applied:
    """Write the fleet, through the one writer as far as it goes."""
    owners = [new_id(START) for _ in range(size)]
    new_user: Statement = raw_statement(NEW_USER)  # type: ignore[type-arg]
    async with server.database.write() as transaction:
        rows = [(id_, f"user{i}", f"user{i}@example.org", START) for i, id_ in enumerate(owners)]
        await transaction.execute_many(new_user, rows)
    applied = await server.write(fleet(size, owners))
    async with server.database.write() as transaction:
        for sql in REST:
            await transaction.fetch(raw_statement(sql))
    return applied
