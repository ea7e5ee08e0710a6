"""What the loop asks of a format: files to read, and a reader that makes records of their rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

from domain.records import Batch, TaskRecord


class NothingToRead(Exception):
    """There is nothing to import; the message says what to do."""


class NotARow(ValueError):
    """A line is no row of the format; the message says why."""


@dataclass(frozen=True, slots=True)
class Question:
    """What only the store knows of a sub-task: is it there, and which task of the session launched it?"""

    origin: str
    task: str
    session_id: str
    at: datetime

    def concerns(self, record: TaskRecord) -> bool:
        """Whether the answer may be another one when this record is written; when in doubt, yes."""
        if record.origin != self.origin:
            return False
        if record.external_id == self.task:
            return True
        of_the_session = record.session_id in (None, self.session_id)
        return of_the_session and not record.external_id.startswith(f"{self.session_id}/")


class SourceFile(Protocol):
    """A file to read."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...


class Reader(Protocol):
    """Reads the rows of one file, in order."""

    kinds: Counter[str]

    def question(self, row: dict[str, Any]) -> Question | None:
        """What to look up before the row is taken, or None."""
        ...

    def answer(self, parent: UUID | None, *, born: bool) -> None:
        """The answer to the question."""
        ...

    def take(self, row: dict[str, Any], line: bytes, number: int, *, is_new: bool) -> None:
        """Read a row; one that is not new writes nothing."""
        ...

    def finish(self, now: datetime) -> None:
        """Say how open tasks stand now that the file has no more rows."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether time alone can still change a task of this file."""
        ...

    def take_batch(self) -> Batch:
        """The records since the last call."""
        ...

    def state(self) -> dict[str, Any]:
        """What reading on needs, as JSON values."""
        ...


F = TypeVar("F", bound=SourceFile, contravariant=True)


class Format(Protocol[F]):
    """A kind of file."""

    name: str

    def open(self, file: F, host: str, state: dict[str, Any], modified_at: datetime) -> Reader:
        """A reader that goes on from `state`; an empty one is the start of the file."""
        ...

    def parse(self, line: bytes) -> dict[str, Any]:
        """The row that a line holds. Raises NotARow."""
        ...

    def row_id(self, row: dict[str, Any], line: bytes) -> str | None:
        """What names the row in every copy of the file; None when taking it twice does no harm."""
        ...
