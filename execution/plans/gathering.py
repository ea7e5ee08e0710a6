"""Readings for the events of many subscriptions, put together: what comes while one is under way is the next one.

Sound between subscribers, because a batch function is given a reader, keys and arguments, never a viewer; what a viewer
may ask for was checked with the document. A reading begins after the event that asks for it: it shows the rows of now.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

from execution.declarations import Batch
from execution.plans.leaves import Anomaly

MOST = 500  # keys of one reading


class Gathering:
    """Of one plan: all of its readers are narrowed alike."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Batch, Any], deque[_Reading]] = {}  # of places where one is under way
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, function: Batch, reader: Any, keys: Sequence[Hashable], args: Any) -> list[Any]:
        """The answers, one per key. Raises what the batch function raises."""
        place = (function, args)
        waiting = self._waiting.get(place)
        if waiting is None:
            waiting = self._waiting[place] = deque()
            task = asyncio.create_task(self._run(place, waiting), name="gathered-reading")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not waiting or len(waiting[-1].keys) >= MOST:
            waiting.append(_Reading(reader))
        reading = waiting[-1]
        reading.keys.update(dict.fromkeys(keys))
        await reading.done.wait()
        if reading.error is not None:
            raise reading.error
        return [reading.keys[key] for key in keys]

    async def _run(self, place: tuple[Batch, Any], waiting: deque[_Reading]) -> None:
        function, args = place
        while waiting:
            reading = waiting.popleft()
            try:
                keys = list(reading.keys)
                found = await function(reading.reader, keys, args)
                if len(found) != len(keys):
                    raise Anomaly("batch")
                reading.keys.update(zip(keys, found, strict=True))
                reading.error = None
            except Exception as error:
                reading.error = error
            finally:
                reading.done.set()
        del self._waiting[place]


class _Reading:
    """One that waits for its turn, or runs; of `keys` the values are the answers."""

    __slots__ = ("done", "error", "keys", "reader")

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.keys: dict[Hashable, Any] = {}
        self.done = asyncio.Event()
        self.error: Exception | None = Anomaly("batch")  # until it has been read
