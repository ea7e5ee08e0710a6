"""Pieces of files that one transaction writes: which of their rows are new, and what they come to together.

A group gives what its files would give one after the other, each in a transaction of its own; where that cannot be
had, it says so (`NotTogether`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from db.database import WriteTransaction
from db.queries import imports
from db.queries.imports import FileOffset
from domain.records import Batch
from ingest.formats import Question
from ingest.reading import Piece, Reading

# About 2,000 records.
LINES_PER_TRANSACTION = 800
# Rows may be large: this bounds what waits in memory to be written.
BYTES_PER_TRANSACTION = 4 << 20


class NotTogether(Exception):
    """A file of the group asks the store for what another file of it has yet to write."""


@dataclass(slots=True)
class Taken:
    """What the rows of a group come to, before any of it is written."""

    keys: set[UUID]
    batch: Batch = field(default_factory=Batch)
    offsets: dict[Reading, FileOffset] = field(default_factory=dict)
    repeated_rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Group:
    """Pieces in the order in which they are taken, those of one file side by side."""

    pieces: list[Piece] = field(default_factory=list)
    line_count: int = 0
    size: int = 0

    def add(self, piece: Piece) -> None:
        """Add the next piece."""
        self.pieces.append(piece)
        self.line_count += len(piece.rows)
        self.size += piece.size

    def takes(self, piece: Piece) -> bool:
        """Whether the piece may join: there is room, and what it asks for is not written by this group's others."""
        if not self.pieces:
            return True
        if piece.asks and not self.pieces[0].asks:
            return False
        return self.line_count < LINES_PER_TRANSACTION and self.size < BYTES_PER_TRANSACTION

    def by_file(self) -> list[tuple[Reading, list[Piece]]]:
        """The pieces of each file."""
        found: dict[Reading, list[Piece]] = {}
        for piece in self.pieces:
            found.setdefault(piece.reading, []).append(piece)
        return list(found.items())

    async def take(
        self,
        transaction: WriteTransaction,
        host: str,
        now: datetime,
        before: Taken | None,
        until_written: Callable[[], Awaitable[None]],
    ) -> Taken:
        """Claim the group's rows and have the files' readers take them.

        `before` is what another transaction is still writing; `until_written` waits for it.
        """
        keys = {key for piece in self.pieces for key in piece.keys if key is not None}
        questions = self._questions()
        if before is not None and _needs(keys, questions.values(), before):
            await until_written()
        await self._answer(transaction, questions)
        new = await imports.claim_rows(transaction, host, list(keys))
        taken = Taken(keys)
        for reading, pieces in self.by_file():
            question = questions.get(reading)
            if question is not None and any(question.concerns(record) for record in taken.batch.tasks):
                raise NotTogether
            for piece in pieces:
                _take_rows(piece, new, taken)
                await asyncio.sleep(0)  # another transaction goes on
            if pieces[-1].is_last:
                reading.reader.finish(now)
            taken.batch.extend(reading.reader.take_batch())
            taken.offsets[reading] = reading.offset(pieces[-1])
            taken.kinds += reading.reader.kinds
            reading.reader.kinds.clear()
        return taken

    def _questions(self) -> dict[Reading, Question]:
        found = ((piece.reading, piece.reading.question(piece.rows)) for piece in self.pieces if piece.asks)
        return {reading: question for reading, question in found if question is not None}

    async def _answer(self, transaction: WriteTransaction, questions: dict[Reading, Question]) -> None:
        if not questions:
            return
        asked = [(one.origin, one.task, one.session_id, one.at) for one in questions.values()]
        launches = await imports.find_launches(transaction, asked)
        for reading, launch in zip(questions, launches, strict=True):
            reading.answer(launch.parent_id, born=launch.task_id is not None)


def _needs(keys: set[UUID], questions: Iterable[Question], before: Taken) -> bool:
    """Whether a group can only be taken when `before` is written: it holds rows of it, or asks for its tasks."""
    if not keys.isdisjoint(before.keys):
        return True
    return any(question.concerns(record) for question in questions for record in before.batch.tasks)


def _take_rows(piece: Piece, new: set[UUID], taken: Taken) -> None:
    take = piece.reading.reader.take
    for (number, row, line), key in zip(piece.rows, piece.keys, strict=True):
        is_new = key is None or key in new
        if key is not None:
            new.discard(key)  # the same row again in this group is not new
        taken.repeated_rows += not is_new
        take(row, line, number, is_new=is_new)
