"""A migrated PostgreSQL, emptied for each test, and short ways to tell of calls and to look at what was counted."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db import migrate
from db.database import Database, WriteTransaction, connect_arguments, open_database
from db.models.base import TOKEN_COUNTS
from domain.ids import new_id
from domain.records import Ref, Tokens, UsageEntry
from domain.usage import TotalsDelta, UsageOutcome, apply_usage
from tests.conftest import MakeDatabase

T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)
TABLES = "usage_evidence, usage_identities, usage_records, tasks, conversations, runs, projects, hosts, users"
SUMS = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in TOKEN_COUNTS)
ADD = ", ".join(
    f"{name} = {name} + ${n}"
    for n, name in enumerate((*TOKEN_COUNTS, "call_count", "cost_usd", "unpriced_call_count"), start=2)
)


def entry(
    at: float = 0,
    *,
    model: str = "claude-opus-4-6",
    provider: str = "anthropic",
    source: str = "CLAUDE_CODE",
    tokens: Tokens | None = None,
    output: int = 10,
    task: UUID | None = None,
    **fields: Any,
) -> UsageEntry:
    """A row `at` seconds after T0."""
    return UsageEntry(
        T0 + timedelta(seconds=at),
        model,
        provider,
        tokens or Tokens(input=100, output=output),
        source,
        task=None if task is None else Ref(id=task),
        **fields,
    )


class Fleet:
    """The store under test."""

    def __init__(self, database: Database, connection: Any) -> None:
        self.database = database
        self._connection = connection
        self._clock = itertools.count()

    def now(self) -> datetime:
        """A millisecond later with each call: batches are stored one after the other."""
        return T0 + timedelta(days=100, milliseconds=next(self._clock))

    async def fetch(self, sql: str, *values: object) -> list[Any]:
        return list(await self._connection.fetch(sql, *values))

    async def clear(self) -> None:
        await self._connection.execute(f"TRUNCATE {TABLES} CASCADE")

    async def task(
        self, created_at: datetime = T0, status: str = "RUNNING", seconds: float | None = None, **columns: Any
    ) -> UUID:
        task_id = new_id(created_at)
        columns |= {
            "id": task_id,
            "status": status,
            "source": "API",
            "origin": "test",
            "external_id": task_id.hex,
            "created_at": created_at,
            "updated_at": created_at,
        }
        if seconds is not None:
            columns |= {"started_at": created_at, "ended_at": created_at + timedelta(seconds=seconds)}
        await self._insert("tasks", columns)
        return task_id

    async def conversation(self) -> UUID:
        made = {"id": new_id(T0), "origin": "test", "created_at": T0, "updated_at": T0}
        await self._insert("conversations", made | {"external_id": str(made["id"])})
        return UUID(str(made["id"]))

    async def _insert(self, table: str, columns: dict[str, Any]) -> None:
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        await self._connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", *columns.values()
        )

    async def tell(self, *entries: UsageEntry, tasks: dict[tuple[str, str], UUID] | None = None) -> UsageOutcome:
        """Apply a batch and add its deltas to the tasks, as the writer does."""
        async with self.database.write() as transaction:
            outcome = await apply_usage(
                transaction, entries, task_ids=tasks or {}, host_ids={}, project_ids={}, now=self.now()
            )
            await add_deltas(transaction, outcome.deltas)
        return outcome

    async def counted(self) -> tuple[int, ...]:
        """Token sums of all records, and how many there are."""
        row = (await self.fetch(f"SELECT {SUMS}, count(*) FROM usage_records"))[0]
        return tuple(row)

    async def cost(self) -> Decimal:
        rows = await self.fetch("SELECT coalesce(sum(cost_usd), 0) FROM usage_records")
        return Decimal(rows[0][0])

    async def check_totals(self) -> None:
        """Every task's totals are the sums of its records."""
        equal = " AND ".join(f"coalesce(sum(r.{name}), 0) = t.{name}" for name in TOKEN_COUNTS)
        wrong = await self.fetch(
            f"SELECT t.id FROM tasks t LEFT JOIN usage_records r ON r.task_id = t.id GROUP BY t.id HAVING NOT ("
            f"{equal} AND count(r.id) = t.call_count"
            " AND coalesce(sum(r.cost_usd), 0) = t.cost_usd"
            " AND count(r.id) FILTER (WHERE r.cost_usd IS NULL) = t.unpriced_call_count)"
        )
        assert wrong == []


async def add_deltas(transaction: WriteTransaction, deltas: dict[UUID, TotalsDelta]) -> None:
    for task_id, delta in sorted(deltas.items()):
        await transaction.connection.execute(
            f"UPDATE tasks SET {ADD} WHERE id = $1",
            task_id,
            *delta.tokens.values(),
            delta.call_count,
            delta.cost_usd,
            delta.unpriced_call_count,
        )


@pytest.fixture(scope="session")
async def usage_fleet(make_database: MakeDatabase) -> AsyncIterator[Fleet]:
    async with make_database("template0") as url:
        await migrate.upgrade(url)
        database = await open_database(url, read_size=2, write_size=4)
        connection = await asyncpg.connect(**connect_arguments(url))
        yield Fleet(database, connection)
        await connection.close()
        await database.close()


@pytest.fixture
async def fleet(usage_fleet: Fleet) -> Fleet:
    """An empty store."""
    await usage_fleet.clear()
    return usage_fleet
