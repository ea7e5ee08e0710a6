"""Subscribers: what `Hub.subscribe` and `Hub.subscribe_log` return. They hold a place in a topic, and little memory.

A stream of events hands out seqs without a hole, a double or a swap. It has a bounded queue; when its reader is too
slow for that, it goes on from the store: slow never means lost and never means memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from pubsub.errors import EventsExpired
from pubsub.events import CommittedEvent, Event, to_event

QUEUE_LIMIT = 1_000  # events of some 500 bytes that a slow subscriber may hold before it reads from the store
PAGE = 500  # events per read of the store

T_co = TypeVar("T_co", covariant=True)


class Source(Protocol):
    """What a stream needs of its hub and topic."""

    topic: str

    @property
    def seq(self) -> int:
        """The newest seq that was handed to the streams."""
        ...

    async def join(self, stream: Stream[object]) -> None:
        """Hand what comes to this stream; returns when `seq` is known."""
        ...

    def leave(self, stream: Stream[object]) -> None:
        """No longer."""
        ...

    async def read(self, seq: int, limit: int) -> Sequence[CommittedEvent]:
        """Events after `seq` from the store; tries until it answers."""
        ...


class Stream(Generic[T_co]):
    """An asynchronous iterator: enter it (`async with`) to have a place, iterate it, leave it.

    `seq` is the place: what follows it is delivered. Iterating without entering is allowed; it enters by itself.
    """

    def __init__(self, find: Callable[[], Source]) -> None:
        self._find = find
        self._source: Source | None = None
        self._wake = asyncio.Event()
        self.seq = 0

    async def __aenter__(self) -> Self:
        if self._source is None:
            source = self._source = self._find()
            try:
                await source.join(self)
            except BaseException:
                await self.aclose()
                raise
            self.seq = max(self.seq, source.seq)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the place up."""
        if self._source is not None:
            self._source.leave(self)
            self._source = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        await self.__aenter__()
        while True:
            self._wake.clear()
            found = await self._take()
            if found is not None:
                return found
            await self._wake.wait()

    async def _take(self) -> T_co | None:
        raise NotImplementedError

    def wake(self) -> None:
        """There may be something to take."""
        self._wake.set()


class EventStream(Stream[Event]):
    """The events of a topic."""

    def __init__(self, find: Callable[[], Source], queue_limit: int = QUEUE_LIMIT) -> None:
        super().__init__(find)
        self._queue_limit = queue_limit
        self._queue: deque[Event] = deque()
        self._is_behind = False

    def push(self, event: Event) -> None:
        """The topic's next event."""
        if not self._is_behind:
            if len(self._queue) < self._queue_limit:
                self._queue.append(event)
            else:
                self._is_behind = True
        self._wake.set()

    async def _take(self) -> Event | None:
        while True:
            while self._queue:
                event = self._queue.popleft()
                if event.seq <= self.seq:
                    continue
                if event.seq > self.seq + 1:
                    raise EventsExpired(event.topic, self.seq)
                self.seq = event.seq
                return event
            source = self._source
            if not self._is_behind or source is None:
                return None
            page = await source.read(self.seq, PAGE)
            self._queue.extend(to_event(event) for event in page)
            # Pushes were ignored until here; from here on they follow what was read, or come again and are dropped.
            self._is_behind = bool(page) and page[-1].seq < source.seq


class LogStream(Stream[tuple[int, int]]):
    """Notices of a task's log, (first, last) seq of lines that are committed; what piles up becomes one notice.

    A notice without lines (last < first) says that the task itself has changed, or that this may have been missed:
    a final status writes no line, and who follows the log must look whether it ends.
    """

    def __init__(self, find: Callable[[], Source]) -> None:
        super().__init__(find)
        self._is_nudged = False

    def nudge(self) -> None:
        """The task has changed, or may have."""
        self._is_nudged = True
        self._wake.set()

    async def _take(self) -> tuple[int, int] | None:
        last = self.seq if self._source is None else self._source.seq
        if last <= self.seq and not self._is_nudged:
            return None
        self._is_nudged = False
        first, self.seq = self.seq + 1, max(self.seq, last)
        return first, self.seq
