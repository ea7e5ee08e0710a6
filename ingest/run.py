"""The importers' loop: files → rows → transactions, each with the offset that it has read to.

Stopping it at any moment loses nothing: what a transaction wrote and how far it had read are committed together.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from db.database import Database, WriteTransaction
from db.models.ingest import ImportOffsetRow
from db.queries import imports
from domain.errors import DomainError
from domain.ids import new_id
from domain.records import Applied
from domain.writer import apply
from ingest.formats import Format, NotARow, Reader, SourceFile
from ingest.lines import Chunk, fingerprint, read_chunks

# About 1,000 records: a row gives two or three. More would hold locks longer, fewer would cost more commits.
LINES_PER_TRANSACTION = 400
FILES_PER_LOOKUP = 500
SKIPPED_SHOWN = 20

Publish = Callable[[WriteTransaction], Awaitable[None]]
Clock = Callable[[], datetime]
F = TypeVar("F", bound=SourceFile)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that was left out, or a file that could not be read (line 0)."""

    path: str
    line: int
    reason: str


@dataclass(slots=True)
class Report:
    """What an import did."""

    files: int = 0
    unchanged_files: int = 0
    read_again_files: int = 0
    bytes: int = 0
    lines: int = 0
    repeated_rows: int = 0
    waiting: list[Skipped] = field(default_factory=list)
    unreadable: list[Skipped] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    skipped_count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    def skip(self, skipped: Skipped) -> None:
        """Count a line that was left out; the first few are kept."""
        self.skipped_count += 1
        if len(self.skipped) < SKIPPED_SHOWN:
            self.skipped.append(skipped)

    def add(self, applied: Applied) -> None:
        """Count what a transaction wrote."""
        for name in _COUNTS:
            self.written[name] += getattr(applied, name)


_COUNTS = (
    "new_tasks",
    "changed_tasks",
    "new_conversations",
    "new_runs",
    "changed_runs",
    "new_stories",
    "new_messages",
    "new_log_lines",
    "new_tool_calls",
    "new_calls",
    "duplicate_calls",
)


async def import_files(
    database: Database,
    files: Sequence[F],
    format: Format[F],
    *,
    host: str,
    clock: Clock,
    publish: Publish,
    report: Report,
    advance: Callable[[int], None] = lambda _bytes: None,
) -> None:
    """Read all files on from where they were read to. `report` is filled as it goes; `advance` hears of bytes read."""
    for start in range(0, len(files), FILES_PER_LOOKUP):
        some = files[start : start + FILES_PER_LOOKUP]
        known = await imports.offsets(database.read, format.name, host, [_shown(file.path) for file in some])
        for file in some:
            report.files += 1
            path = _shown(file.path)
            try:
                task = _FileImport(database, file, format, host, clock, publish, report, advance, known.get(path))
                await task.run()
            except OSError as error:
                if error.filename is None:
                    raise  # no file's fault: a connection's
                report.unreadable.append(Skipped(path, 0, error.strerror or str(error)))
            except DomainError as error:  # what it says cannot be: no reason to leave the other files out
                report.unreadable.append(Skipped(path, 0, error.message))


class _FileImport:
    """The import of one file."""

    def __init__(
        self,
        database: Database,
        file: F,
        format: Format[F],
        host: str,
        clock: Clock,
        publish: Publish,
        report: Report,
        advance: Callable[[int], None],
        known: ImportOffsetRow | None,
    ) -> None:
        self._database, self._format, self._host = database, format, host
        self._clock, self._publish, self._report, self._advance = clock, publish, report, advance
        self._path, self._shown = file.path, _shown(file.path)
        self._size, modified_at = _status(file.path)
        self._id = new_id(clock()) if known is None else known.id
        self._offset = self._lines = 0
        state: dict[str, Any] = {}
        self._is_new = known is None
        if known is not None:
            if known.byte_offset <= self._size and _fingerprint(file.path, known.byte_offset) == known.head_sha256:
                self._offset, self._lines, state = known.byte_offset, known.line_count, known.state
            else:
                report.read_again_files += 1
                self._is_new = True
        # The last line was whole without its line feed, which may still come.
        self._tail = bool(state.get("tail"))
        self._was_open = bool(state.get("open"))
        self._reader: Reader = format.open(file, host, state.get("reader", {}), modified_at)

    async def run(self) -> None:
        """Read to the end of the file."""
        if self._offset == self._size and not self._was_open and not self._is_new:
            self._report.unchanged_files += 1
            return
        chunks = read_chunks(self._path, self._offset, most_lines=LINES_PER_TRANSACTION)
        for chunk, is_last in _with_last(chunks, Chunk([], self._offset)):
            before, offset = self._offset, chunk.end
            rows = self._rows(chunk)
            if chunk.rest:
                offset += self._rest(chunk.rest, rows)
            await self._write(rows, offset, is_last=is_last)
            self._report.bytes += offset - before
            self._advance(offset - before)
        self._report.kinds.update(self._reader.kinds)

    def _rows(self, chunk: Chunk) -> list[tuple[int, dict[str, Any], bytes]]:
        """The rows of whole lines; lines that are none are reported."""
        rows: list[tuple[int, dict[str, Any], bytes]] = []
        for index, line in enumerate(chunk.lines):
            if index == 0 and self._tail:
                self._tail = False
                if not line.strip():
                    continue
            self._lines += 1
            self._report.lines += 1
            if self._lines == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                rows.append((self._lines, self._format.parse(line), line))
            except NotARow as error:
                self._report.skip(Skipped(self._shown, self._lines, str(error)))
        return rows

    def _rest(self, rest: bytes, rows: list[tuple[int, dict[str, Any], bytes]]) -> int:
        """A last line without line feed is read when it is whole, else it waits. Returns the bytes that were read."""
        try:
            row = self._format.parse(rest)
        except NotARow:
            if rest.strip():
                self._report.waiting.append(Skipped(self._shown, self._lines + 1, "not written to its end yet"))
            return 0
        self._lines += 1
        self._report.lines += 1
        self._tail = True
        rows.append((self._lines, row, rest))
        return len(rest)

    async def _write(self, rows: list[tuple[int, dict[str, Any], bytes]], offset: int, *, is_last: bool) -> None:
        """One transaction: rows, and how far the file is read."""
        keys = [self._key(row, line) for _, row, line in rows]
        async with self._database.write() as transaction:
            if rows:
                question = self._reader.question(rows[0][1])
                if question is not None:
                    launch = await imports.find_launch(
                        transaction, question.origin, question.task, question.session_id, question.at
                    )
                    self._reader.answer(launch.parent_id, born=launch.task_id is not None)
            new = await imports.claim_rows(transaction, self._host, [key for key in keys if key is not None])
            for (number, row, line), key in zip(rows, keys, strict=True):
                is_new = key is None or key in new
                if key is not None:
                    new.discard(key)  # the same row again in this chunk is not new
                self._report.repeated_rows += not is_new
                self._reader.take(row, line, number, is_new=is_new)
            now = self._clock()
            if is_last:
                self._reader.finish(now)
            batch = self._reader.take_batch()
            applied = await apply(transaction, batch, now=now) if len(batch) else Applied()
            await self._save(transaction, offset, now)
        self._offset = offset
        self._report.add(applied)
        await self._publish(transaction)

    def _key(self, row: dict[str, Any], line: bytes) -> UUID | None:
        name = self._format.row_id(row, line)
        return None if name is None else UUID(bytes=sha256(f"{self._format.name}:{name}".encode()).digest()[:16])

    async def _save(self, transaction: WriteTransaction, offset: int, now: datetime) -> None:
        await imports.save_offset(
            transaction,
            id=self._id,
            importer=self._format.name,
            host=self._host,
            path=self._shown,
            byte_offset=offset,
            line_count=self._lines,
            head_sha256=_fingerprint(self._path, offset),
            state={"reader": self._reader.state(), "tail": self._tail, "open": self._reader.is_open},
            at=now,
        )


def _with_last(chunks: Iterator[Chunk], empty: Chunk) -> Iterator[tuple[Chunk, bool]]:
    """Each chunk, and whether it is the last; a file without any has one that is empty."""
    current = next(chunks, empty)
    for following in chunks:
        yield current, False
        current = following
    yield current, True


def _status(path: Path) -> tuple[int, datetime]:
    status = path.stat()
    at = datetime.fromtimestamp(status.st_mtime, UTC)
    return status.st_size, at.replace(microsecond=at.microsecond // 1000 * 1000)


def _fingerprint(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        return fingerprint(file, offset)


def _shown(path: Path) -> str:
    """A path as text that can be stored, whatever bytes its name has."""
    return os.fsencode(path).decode(errors="replace")
