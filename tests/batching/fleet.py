"""A fleet with long, short and empty lists of everything, and with many rows of the same instant."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from db.database import Database, connect_arguments
from domain.ids import new_id
from domain.records import (
    AgentRecord,
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
from domain.writer import apply

ORIGIN = "test:batching"
START = datetime(2026, 4, 1, 8, tzinfo=UTC)
LENGTHS = (13, 4, 1, 0)  # how long the lists of the first parents are: conversations, tasks, agents
STATUSES = ("RUNNING", "COMPLETED", "WAITING_INPUT", "QUEUED", "FAILED")
LEVELS = ("INFO", "ERROR", "DEBUG")


def at(n: int) -> datetime:
    """Three rows in a row have the same instant: only the id tells them apart."""
    return START + timedelta(seconds=n // 3)


def _ref(name: str) -> Ref:
    return Ref(ORIGIN, name)


def _task(name: str, n: int, **values: object) -> TaskRecord:
    return TaskRecord(ORIGIN, name, "API", at(n), at(n), **{"status": STATUSES[n % 5], **values})  # type: ignore[arg-type]


def _call(task: str, call: int, n: int, *, input: int) -> UsageEntry:
    return UsageEntry(
        at(n),
        "a-model",
        "anthropic",
        Tokens(input=input, output=1),
        "API",
        dedup_key=f"{task}/{call}",
        reported_cost_usd=Decimal("0.01"),
        task=_ref(task),
    )


def _run(i: int, length: int) -> RunRecord:
    """A run whose stories depend on all before them; each third one is completed."""
    stories = [
        StoryRecord(
            f"s{n}",
            priority=n % 2,
            status="PENDING" if n % 3 else "COMPLETED",
            depends_on=tuple(f"s{m}" for m in range(n)),
        )
        for n in range(length)
    ]
    return RunRecord(ORIGIN, f"run{i}", "RUNNING", at(i), at(i), host=f"host{i}", stories=stories)


def _details(batch: Batch, parent: str, length: int) -> None:
    for n in range(length):
        batch.tasks.append(_task(f"{parent}/child{n}", n, parent=_ref(parent)))
        batch.logs.append(LogRecord(_ref(parent), at(n), LEVELS[n % 3], "STDOUT", f"line {n} of {parent}"))
        batch.tool_calls.append(ToolCallRecord(_ref(parent), f"call{n}", "Bash", at(n), input=f"in {n}", output="out"))
        batch.usage.append(_call(parent, n, n, input=n))


def records() -> Batch:
    """Everything as records."""
    batch = Batch()
    for i, length in enumerate(LENGTHS):
        batch.projects.append(ProjectRecord(f"project{i}", f"Project {i}"))
        batch.agents.append(AgentRecord(f"agent{i}", f"host{i}", "EXECUTOR", "BUSY", START))
        batch.conversations.append(
            ConversationRecord(
                ORIGIN, f"talk{i}", at(i), at(i), title=f"Talk {i}", tags=("all", ("even", "odd")[i % 2])
            )
        )
        batch.runs.append(_run(i, length))
        batch.tasks.append(_task(f"parent{i}", i, input=f"prompt {i}", result="done"))
        _details(batch, f"parent{i}", length)
        for n in range(length):
            batch.tasks.append(
                _task(
                    f"talk{i}/task{n}",
                    n,
                    conversation=_ref(f"talk{i}"),
                    agent_name=f"agent{i}",
                    host=f"host{i}",
                    run=_ref(f"run{i}"),
                    story=f"s{n}",
                )
            )
            batch.usage.append(_call(f"talk{i}/task{n}", 0, n, input=10))
            batch.messages.append(MessageRecord(_ref(f"talk{i}"), "USER", at(n), f"message {n}", f"m{n}"))
    batch.tasks += [
        _task("z/root", 0),
        _task("z/root/middle", 0, parent=_ref("z/root")),
        _task("leaf", 0, parent=_ref("z/root/middle")),
    ]
    batch.usage.append(_call("leaf", 0, 0, input=1))
    return batch


@dataclass
class Fleet:
    """A filled database: its ids by table, those of the parents of LENGTHS first."""

    database: Database
    keys: dict[str, list[UUID]]

    async def rows(self, table: str, parent: str, key: UUID, where: str = "true") -> list[asyncpg.Record]:
        """A parent's rows by plain SQL, in no order."""
        return await self._fetch(f"SELECT * FROM {table} WHERE {parent} = $1 AND {where}", key)

    async def every(self, table: str) -> list[asyncpg.Record]:
        """All rows of a table by plain SQL, in no order."""
        return await self._fetch(f"SELECT * FROM {table}")

    async def _fetch(self, sql: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(**connect_arguments(self.database.url))
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()


async def fill(database: Database) -> Fleet:
    """Write the records, and users, whom no record makes."""
    async with database.write() as transaction:
        await apply(transaction, records(), now=START)
    connection = await asyncpg.connect(**connect_arguments(database.url))
    try:
        for i in range(3):
            await connection.execute(
                "INSERT INTO users (id, subject, name, created_at) VALUES ($1, $2, $2, $3)",
                new_id(START),
                f"u{i}",
                START,
            )
            await connection.execute(
                "INSERT INTO agent_commands (id, kind, requested_at) VALUES ($1, 'STOP_AGENT', $2)",
                new_id(START),
                START,
            )
        keys = {}
        for table, name in TABLES.items():
            keys[table] = [row["id"] for row in await connection.fetch(f"SELECT id FROM {table} ORDER BY {name}")]
    finally:
        await connection.close()
    return Fleet(database, keys)


# What the rows are sorted by so that parents come first, in the order of LENGTHS.
TABLES = {
    "tasks": "external_id NOT SIMILAR TO 'parent[0-9]', external_id",
    "tool_calls": "id",
    "agents": "name",
    "agent_commands": "id",
    "conversations": "external_id",
    "messages": "id",
    "runs": "external_id",
    "stories": "id",
    "usage_records": "id",
    "users": "id",
    "hosts": "id",
    "projects": "id",
}


def jumbled(keys: Sequence[UUID]) -> list[UUID]:
    """The keys twice, shuffled the same way each time, with two that nothing has."""
    asked = [*keys, *keys, new_id(START), new_id(START)]
    random.Random(7).shuffle(asked)
    return asked
