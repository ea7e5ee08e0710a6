"""The newest lines of logs that are followed: each is read once for all who follow, whatever their filters.

They come with the notices of small batches, or from whoever reads them first. A line is as good as one read now for
a second only: who may see content can change.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

FRESH_S = 1.0
KEPT = 5_000  # lines; the longest has 64 KiB, the usual 100 bytes


class Line(Protocol):
    """A log line: one that came with a notice, or a row of db's."""

    @property
    def task_id(self) -> UUID:
        """Whose log."""
        ...

    @property
    def seq(self) -> int:
        """Its number there."""
        ...

    @property
    def at(self) -> datetime:
        """When it was written."""
        ...

    @property
    def level(self) -> str:
        """How grave it is."""
        ...

    @property
    def stream(self) -> str:
        """Where it comes from."""
        ...

    @property
    def text(self) -> str | None:
        """The line, if it is shown."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether it was cut."""
        ...


Read = Callable[[], Awaitable[Sequence[Line]]]


class RecentLines:
    """Of all logs, in order of arrival."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, int], tuple[float, Line]] = OrderedDict()
        self._reading: dict[tuple[UUID, int, int], asyncio.Task[Sequence[Line]]] = {}

    def put(self, lines: Sequence[Line]) -> None:
        """Keep lines that were just committed, or just read."""
        now, kept = asyncio.get_running_loop().time(), self._kept
        for line in lines:
            kept[line.task_id, line.seq] = now, line
        while kept and (len(kept) > KEPT or next(iter(kept.values()))[0] < now - FRESH_S):
            kept.popitem(last=False)

    async def get(self, task_id: UUID, first: int, last: int, read: Read) -> Sequence[Line]:
        """Lines `first` to `last` of a log; `read` reads them where they are not known. All who ask wait for one."""
        found = self._find(task_id, first, last)
        if found is not None:
            return found
        place = task_id, first, last
        reading = self._reading.get(place)
        if reading is None:
            reading = self._reading[place] = asyncio.create_task(self._read(read), name="log-lines")
            reading.add_done_callback(lambda done: self._end(place, done))
        return await asyncio.shield(reading)  # others wait for it too

    def _find(self, task_id: UUID, first: int, last: int) -> list[Line] | None:
        oldest = asyncio.get_running_loop().time() - FRESH_S
        found: list[Line] = []
        for seq in range(first, last + 1):
            at, line = self._kept.get((task_id, seq), (0.0, None))
            if line is None or at < oldest:
                return None
            found.append(line)
        return found

    async def _read(self, read: Read) -> Sequence[Line]:
        lines = await read()
        self.put(lines)
        return lines

    def _end(self, place: tuple[UUID, int, int], done: asyncio.Task[Sequence[Line]]) -> None:
        del self._reading[place]
        if not done.cancelled():
            done.exception()  # asked for here: those who waited may have gone
