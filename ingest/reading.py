"""One file, read on from where it was read to, in pieces of whole lines, and its reader.

It writes nothing: whoever writes a piece says so (`keep`), and can have the reader back as it was before (`reopen`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from db.models.ingest import ImportOffsetRow
from db.queries.imports import FileOffset
from domain.ids import new_id
from ingest.formats import Format, NotARow, Question, Reader, SourceFile
from ingest.lines import Chunk, fingerprint, read_chunks, shown
from ingest.report import Report, Skipped

# About a millisecond of work each: while they are read, a transaction goes on that waits for the database.
LINES_PER_PIECE = 100

F = TypeVar("F", bound=SourceFile)
NumberedRow = tuple[int, dict[str, Any], bytes]


@dataclass(slots=True)
class Piece:
    """Rows of one file that follow each other, and how far the file is read with them."""

    reading: Reading
    rows: list[NumberedRow]
    keys: list[UUID | None]  # what each row is known by in every copy of the file
    size: int
    offset: int
    line_count: int
    head_sha256: str
    tail: bool
    asks: bool  # the reader has to be told something that only the store knows
    is_last: bool


class Reading:
    """The reading of one file. Raises OSError when it cannot be read."""

    def __init__(
        self, file: F, format: Format[F], host: str, known: ImportOffsetRow | None, now: datetime, report: Report
    ) -> None:
        self._format, self._report = format, report
        self._path, self.shown = file.path, shown(file.path)
        self._size, modified_at = _status(file.path)
        self.id = new_id(now) if known is None else known.id
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
        self._kept: dict[str, Any] = state.get("reader", {})
        self._opened: Callable[[dict[str, Any]], Reader] = lambda state: format.open(file, host, state, modified_at)
        self.reader = self._opened(self._kept)
        self._has_asked = False
        self._answer: tuple[UUID | None, bool] | None = None
        self._kept_answer: tuple[UUID | None, bool] | None = None
        self.is_broken = False

    def pieces(self) -> Iterator[Piece]:
        """Read to the end of the file; nothing when there is nothing to do."""
        if self._offset == self._size and not self._was_open and not self._is_new:
            self._report.unchanged_files += 1
            return
        chunks = read_chunks(self._path, self._offset, most_lines=LINES_PER_PIECE)
        for chunk, is_last in _with_last(chunks, Chunk([], self._offset)):
            before = self._offset
            rows = self._rows(chunk)
            self._offset = chunk.end
            if chunk.rest:
                self._offset += self._rest(chunk.rest, rows)
            yield Piece(
                self,
                rows,
                [self._key(row, line) for _, row, line in rows],
                self._offset - before,
                self._offset,
                self._lines,
                _fingerprint(self._path, self._offset),
                self._tail,
                self._asks(rows),
                is_last,
            )

    def question(self, rows: list[NumberedRow]) -> Question | None:
        """What to look up before these rows are taken, or None."""
        return self.reader.question(rows[0][1]) if rows else None

    def answer(self, parent: UUID | None, *, born: bool) -> None:
        """The answer to the question."""
        self._answer = (parent, born)
        self.reader.answer(parent, born=born)

    def offset(self, piece: Piece) -> FileOffset:
        """How far the file is read when the reader has taken the piece."""
        state = {"reader": self.reader.state(), "tail": piece.tail, "open": self.reader.is_open}
        return FileOffset(self.id, self.shown, piece.offset, piece.line_count, piece.head_sha256, state)

    def keep(self, state: dict[str, Any]) -> None:
        """What led to this state is committed."""
        self._kept, self._kept_answer = state["reader"], self._answer

    def reopen(self) -> None:
        """Have a reader that knows only what is committed."""
        self.reader = self._opened(self._kept)
        self._answer = self._kept_answer
        if self._answer is not None:
            self.reader.answer(self._answer[0], born=self._answer[1])

    def _asks(self, rows: list[NumberedRow]) -> bool:
        if not rows or self._has_asked:
            return False
        self._has_asked = True
        return self.question(rows) is not None

    def _rows(self, chunk: Chunk) -> list[NumberedRow]:
        """The rows of whole lines; lines that are none are reported."""
        rows: list[NumberedRow] = []
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
                self._report.skip(Skipped(self.shown, self._lines, str(error)))
        return rows

    def _rest(self, rest: bytes, rows: list[NumberedRow]) -> int:
        """A last line without line feed is read when it is whole, else it waits. Returns the bytes that were read."""
        try:
            row = self._format.parse(rest)
        except NotARow:
            if rest.strip():
                self._report.waiting.append(Skipped(self.shown, self._lines + 1, "not written to its end yet"))
            return 0
        self._lines += 1
        self._report.lines += 1
        self._tail = True
        rows.append((self._lines, row, rest))
        return len(rest)

    def _key(self, row: dict[str, Any], line: bytes) -> UUID | None:
        name = self._format.row_id(row, line)
        return None if name is None else UUID(bytes=sha256(f"{self._format.name}:{name}".encode()).digest()[:16])


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
