"""A context over a filled database where statements can fail, rows be missing and columns be null.

What goes wrong depends on the seed and the statement only: two executions of one document meet the same faults,
in whatever order they read.
"""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import asyncpg

from db.database import Database
from db.handles import Narrowed
from db.statements import Statement
from domain.errors import InvalidInput, NotFound

MANY, ONE = "= ANY ($1::UUID[])", "= $1::UUID"


class Broken(Exception):
    """A statement that fails, as a lost connection would."""


class Undone(Exception):
    """Ends a transaction without a trace."""


class Faults:
    """What one seed does to one statement."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed

    def _random(self, sql: str) -> random.Random:
        # One id is read by another statement than many; which it is depends on who else asks at the same time.
        return random.Random(f"{self.seed} {sql.replace(MANY, ONE)}")

    def failure(self, sql: str) -> Exception | None:
        """The exception that the statement raises."""
        if self.seed is None or self._random(sql).random() > 0.07:
            return None
        return self._random(sql).choice([Broken("lost"), NotFound("gone", ("id",)), InvalidInput("no", ("first",))])

    def null_column(self, sql: str, names: list[str]) -> str | None:
        """The column that is null in every row."""
        chosen = self._random(sql + " null")
        if self.seed is None or chosen.random() > 0.15:
            return None
        return chosen.choice(names)

    def is_missing(self, sql: str, row: Any) -> bool:
        """Whether the row is not there."""
        if self.seed is None or self._random(sql + " rows").random() > 0.2:
            return False
        # Which of the keys it is of depends on who else asks at the same time.
        told = [(name, value) for name, value in row.items() if name != "place"]
        return random.Random(f"{self.seed} {told!r}").random() < 0.3


KEPT = ("head", "parent_key", "key", "id", "created_at", "seq", "started_at", "at")  # keys of pages and relations


class FaultyReader:
    """The read handle; remembers every statement's rows, for nothing changes."""

    def __init__(self, database: Database, known: dict[Any, Any], faults: Faults) -> None:
        self._database = database
        self._known = known
        self._faults = faults
        self.epoch = database.epoch

    async def fetch(self, statement: Statement[Any], *values: Any) -> list[Any]:
        sql = statement.sql
        failure = self._faults.failure(sql)
        if failure is not None:
            raise failure
        column = self._faults.null_column(sql, [name for name in statement.row.columns if name not in KEPT])
        place = (sql, column, repr(values))
        if place not in self._known:
            self._known[place] = await self._read(statement, column, values)
        found = self._known[place]
        return [row for row in found if _is_first_of_page(row, found) or not self._faults.is_missing(sql, row)]

    async def fetch_row(self, statement: Statement[Any], *values: Any) -> Any:
        rows = await self.fetch(statement, *values)
        return rows[0] if rows else None

    async def _read(self, statement: Statement[Any], column: str | None, values: tuple[Any, ...]) -> list[Any]:
        sql = statement.sql
        if column is not None:
            async with self._database._write_pool.acquire() as connection:
                named = (await connection.prepare(sql)).get_attributes()
            listed = ", ".join(
                f'NULL::{_type(entry)} AS "{entry.name}"' if entry.name == column else f'"{entry.name}"'
                for entry in named
            )
            sql = f"SELECT {listed} FROM ({sql}) AS q"
        return await self._database.read.connections.fetch(sql, statement.arguments(values), statement.row)


def _type(entry: asyncpg.Attribute) -> str:
    return (
        f"{entry.type.name[1:]}[]"
        if entry.type.name.startswith("_")
        else entry.type.name.removesuffix("[]") + ("[]" if entry.type.name.endswith("[]") else "")
    )


def _is_first_of_page(row: Any, rows: list[Any]) -> bool:
    """Pages keep their first row: even one without rows has one, of nulls, that knows the topic's head."""
    if "head" not in row.keys():  # noqa: SIM118 (a record has keys, and no `in` of them)
        return False
    parent = row.get("place")  # of many pages: which of the keys it is of
    return next(other for other in rows if other.get("place") == parent) is row


class FaultyDatabase:
    """The database, where writing leaves no trace."""

    def __init__(self, database: Database, known: dict[Any, Any], faults: Faults) -> None:
        self._database = database
        self.read = FaultyReader(database, known, faults)
        self.epoch = database.epoch
        self.write_count = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        self.write_count += 1
        try:
            async with self._database.write() as transaction:
                yield transaction
                await transaction.finish()
                raise Undone
        except Undone:
            pass


class Silent:
    """In place of a bus: nothing was committed, so nobody is told."""

    status = "up"

    async def publish(self, *_: Any) -> None:
        pass


@dataclass
class Surroundings:
    """What resolvers look at of a context."""

    viewer: Any
    database: Any
    clock: Callable[[], datetime]
    bus: Any = None
    hub: Any = None
    version: str = "1"
    rows: Any = None

    @property
    def reader(self) -> Any:
        return self.database.read if self.rows is None else Narrowed(self.database.read, self.rows)

    def narrowed(self, rows: Any) -> "Surroundings":
        return replace(self, rows=rows)
