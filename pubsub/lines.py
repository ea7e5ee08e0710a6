"""The newest lines of logs that are followed: each is read once for all who follow, whatever their filters.

They come with the events of small batches, or from whoever reads them first. A line is as good as one read now for
a second only: who may see content can change.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

FRESH_S = 1.0  # a process that is behind by more reads: it has fewer and larger spans to tell by then
KEPT = 8_000_000  # characters
OVERHEAD = 300  # of a line, in characters


class Line(Protocol):
    """A log line: one that came with its event, or a row of db's."""

    @property
    def task_id(self) -> UUID:
        """Whose log."""
        ...

    @property
    def seq(self) -> int:
        """Its number there."""
        ...

    @property
    def at(self) -> datetime | int:
        """When it was written; a number counts microseconds since 2000."""
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
        self._kept: OrderedDict[tuple[str, int], tuple[float, Line]] = OrderedDict()
        self._size = 0
        self._forgot_at = 0.0
        self._reading: dict[tuple[str, int, int], asyncio.Task[Sequence[Line]]] = {}

    def put(self, task: str, lines: Sequence[Line]) -> None:
        """Keep lines of a task's log that were just committed, or just read."""
        now, kept = asyncio.get_running_loop().time(), self._kept
        for line in lines:
            place = task, line.seq
            if place not in kept:
                kept[place] = now, line
                self._size += _size(line)
        if self._size > KEPT or now > self._forgot_at + FRESH_S:
            self._forgot_at = now
            self._forget(now - FRESH_S)

    def _forget(self, oldest: float) -> None:
        """Drop what is no longer fresh, and the oldest while there is too much."""
        kept = self._kept
        while kept and (self._size > KEPT or next(iter(kept.values()))[0] < oldest):
            self._size -= _size(kept.popitem(last=False)[1][1])

    async def get(self, task: str, first: int, last: int, read: Read) -> Sequence[Line]:
        """Lines `first` to `last` of a log; `read` reads them where they are not known. All who ask wait for one."""
        found = self._find(task, first, last)
        if found is not None:
            return found
        place = task, first, last
        reading = self._reading.get(place)
        if reading is None:
            reading = self._reading[place] = asyncio.create_task(self._read(task, read), name="log-lines")
            reading.add_done_callback(lambda done: self._end(place, done))
        return await asyncio.shield(reading)  # others wait for it too

    def _find(self, task: str, first: int, last: int) -> list[Line] | None:
        oldest = asyncio.get_running_loop().time() - FRESH_S
        found: list[Line] = []
        for seq in range(first, last + 1):
            at, line = self._kept.get((task, seq), (0.0, None))
            if line is None or at < oldest:
                return None
            found.append(line)
        return found

    async def _read(self, task: str, read: Read) -> Sequence[Line]:
        lines = await read()
        self.put(task, lines)
        return lines

    def _end(self, place: tuple[str, int, int], done: asyncio.Task[Sequence[Line]]) -> None:
        del self._reading[place]
        if not done.cancelled():
            done.exception()  # asked for here: those who waited may have gone


def _size(line: Line) -> int:
    return OVERHEAD + len(line.text or "")
