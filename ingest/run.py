"""The importers' loop: files → rows → transactions, each with how far it has read its files.

Stopping it at any moment loses nothing: what a transaction wrote and how far it had read are committed together.

While one transaction is written, the next claims and takes its rows, and those of the one after it are read: Python
works while PostgreSQL does. Rows are claimed in the order of the files and written in that order, whatever is faster,
so that what comes out does not depend on time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from db.database import Database, WriteTransaction
from db.queries import imports
from domain.errors import DomainError
from domain.records import Applied
from domain.writer import apply
from ingest.formats import Format, SourceFile
from ingest.group import Group, NotTogether, Taken
from ingest.lines import shown
from ingest.reading import Reading
from ingest.report import Report, Skipped

FILES_PER_LOOKUP = 500
# One that is written, and one that takes its rows meanwhile: each has a connection of the write pool.
MOST_UNDER_WAY = 2

Publish = Callable[[WriteTransaction], Awaitable[None]]
Clock = Callable[[], datetime]
F = TypeVar("F", bound=SourceFile)


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
    run = _Import(database, format, host, clock, publish, report, advance)
    try:
        for start in range(0, len(files), FILES_PER_LOOKUP):
            await run.read(files[start : start + FILES_PER_LOOKUP])
        await run.finish()
    finally:
        await run.stop()


class _Writing:
    """A transaction under way."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.taken: Taken | None = None
        self.has_taken = asyncio.Event()  # or has failed
        self.task: asyncio.Task[None] | None = None

    async def until_written(self) -> None:
        """Wait for its commit. Raises what it failed of."""
        assert self.task is not None  # noqa: S101 - set as soon as it is made
        await asyncio.wait([self.task])
        self.task.result()


class _Import(Generic[F]):
    """One import: the group that is being filled, and the transactions under way, oldest first."""

    def __init__(
        self,
        database: Database,
        format: Format[F],
        host: str,
        clock: Clock,
        publish: Publish,
        report: Report,
        advance: Callable[[int], None],
    ) -> None:
        self._database, self._format, self._host = database, format, host
        self._clock, self._publish, self._report, self._advance = clock, publish, report, advance
        self._group = Group()
        self._under_way: deque[_Writing] = deque()

    async def read(self, files: Sequence[F]) -> None:
        """Read files; what is read last may not be written yet."""
        paths = [shown(file.path) for file in files]
        known = await imports.offsets(self._database.read, self._format.name, self._host, paths)
        for file, path in zip(files, paths, strict=True):
            self._report.files += 1
            try:
                reading = Reading(file, self._format, self._host, known.get(path), self._clock(), self._report)
                await self._read(reading)
            except OSError as error:
                if error.filename is None:
                    raise  # no file's fault: a connection's
                self._report.unreadable.append(Skipped(path, 0, error.strerror or str(error)))

    async def _read(self, reading: Reading) -> None:
        for piece in reading.pieces():
            if not self._group.takes(piece):
                await self._send()
            if reading.is_broken:
                return
            self._group.add(piece)
            await asyncio.sleep(0)  # transactions go on

    async def finish(self) -> None:
        """Write what was read."""
        await self._send()
        while self._under_way:
            await self._settle()

    async def stop(self) -> None:
        """Roll back what is under way."""
        tasks = [writing.task for writing in self._under_way if writing.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._under_way.clear()

    async def _send(self) -> None:
        """Begin to write the group."""
        if not self._group.pieces:
            return
        while len(self._under_way) >= MOST_UNDER_WAY:
            await self._settle()
        writing, self._group = _Writing(self._group), Group()
        before = self._under_way[-1] if self._under_way else None
        writing.task = asyncio.create_task(self._write(writing, before))
        self._under_way.append(writing)

    async def _settle(self) -> None:
        """Wait for the oldest transaction. When it cannot be, a file alone may be the reason: write one by one."""
        try:
            await self._under_way[0].until_written()
        except (DomainError, NotTogether):
            groups = [writing.group for writing in self._under_way]
            await self.stop()
            for group in groups:
                for reading, pieces in group.by_file():
                    await self._write_alone(reading, Group(pieces))
        else:
            self._under_way.popleft()

    async def _write_alone(self, reading: Reading, group: Group) -> None:
        """Write what was read of one file; when that says what cannot be, the file is left here, and told of."""
        if reading.is_broken:
            return
        reading.reopen()
        try:
            await self._write(_Writing(group), None)
        except DomainError as error:
            reading.is_broken = True
            self._report.unreadable.append(Skipped(reading.shown, 0, error.message))

    async def _write(self, writing: _Writing, before: _Writing | None) -> None:
        try:
            if before is not None:
                await before.has_taken.wait()
            async with self._database.write() as transaction:
                taken, applied = await self._write_in(transaction, writing, before)
        finally:
            writing.has_taken.set()
        for reading, pieces in writing.group.by_file():
            reading.keep(taken.offsets[reading].state)
            size = sum(piece.size for piece in pieces)
            self._report.bytes += size
            self._advance(size)
        self._report.repeated_rows += taken.repeated_rows
        self._report.kinds.update(taken.kinds)
        self._report.add(applied)
        await self._publish(transaction)

    async def _write_in(
        self, transaction: WriteTransaction, writing: _Writing, before: _Writing | None
    ) -> tuple[Taken, Applied]:
        """Take the rows, then write: as soon as the transaction before is committed."""
        now = self._clock()
        until_written = _nothing if before is None else before.until_written
        earlier = None if before is None else before.taken
        taken = await writing.group.take(transaction, self._host, now, earlier, until_written)
        writing.taken = taken
        writing.has_taken.set()
        await until_written()
        applied = await apply(transaction, taken.batch, now=now) if len(taken.batch) else Applied()
        # By path: names in no known encoding may be shown the same.
        offsets = {offset.path: offset for offset in taken.offsets.values()}
        await imports.save_offsets(transaction, self._format.name, self._host, list(offsets.values()), now)
        return taken, applied


async def _nothing() -> None:
    """There is no transaction before."""
