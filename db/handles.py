"""What query functions take and what events are made of: shared by db.database and db.queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from db.models.base import Row
from db.statements import Statement

R = TypeVar("R", bound=Row)


class Handle(Protocol):
    """What a query function takes first: the read pool, or a write transaction."""

    epoch: UUID  # the identity of the database's history of events

    async def fetch(self, statement: Statement[R], *values: Any) -> list[R]:
        """All rows."""
        ...

    async def fetch_row(self, statement: Statement[R], *values: Any) -> R | None:
        """The first row, or None."""
        ...


class Narrowed:
    """A handle that reads narrow rows: of the classes that `rows` has by whole ones."""

    __slots__ = ("_handle", "_rows", "epoch")

    def __init__(self, handle: Handle, rows: Mapping[type[Row], type[Row]]) -> None:
        self._handle = handle
        self._rows = rows
        self.epoch = handle.epoch

    async def fetch(self, statement: Statement[R], *values: Any) -> list[R]:
        """All rows."""
        row: Any = self._rows.get(statement.row)
        return await self._handle.fetch(statement if row is None else statement.narrow(row), *values)

    async def fetch_row(self, statement: Statement[R], *values: Any) -> R | None:
        """The first row, or None."""
        row: Any = self._rows.get(statement.row)
        return await self._handle.fetch_row(statement if row is None else statement.narrow(row), *values)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that a transaction will write: facts are ids, revision and filterable values, never content."""

    topic: str
    kind: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewLogLine:
    """A log line that a transaction will append; its seq is given by the emit statement."""

    task_id: UUID
    at: datetime
    level: str
    stream: str
    text: str | None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was committed; one of a batch of log lines has the lines, without text where none is shown."""

    topic: str
    seq: int
    kind: str
    facts: dict[str, Any]
    at: datetime
    lines: tuple[NewLogLine, ...] = ()
