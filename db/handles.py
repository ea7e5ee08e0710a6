"""What query functions take and what events are made of: shared by db.database and db.queries."""

from __future__ import annotations

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
