"""Subscribers: what `Hub.subscribe` and `Hub.subscribe_log` return. One is a next seq and a wake-up, and little else.

Replay, live and slow are one loop: what comes next is taken from the topic's ring, or from the event store when the
ring has moved on. Slow never means lost and never means memory; no event of a topic is skipped, doubled or swapped.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from pubsub.events import CommittedEvent, Event, to_event
from pubsub.interests import Interest

PAGE = 500  # events per read of the store
LINES = 100  # log lines per span
LINES_S = 0.05  # spans of fewer lines come no closer together than this: a busy log is told in batches


@dataclass(frozen=True, slots=True)
class Reached:
    """The stream has come to `seq`: replay is over (told once), or nothing was shown for a time of silence."""

    seq: int
    is_live: bool


@dataclass(frozen=True, slots=True)
class Expired:
    """What came after the given place is not kept any more, or never was; the stream goes on from `seq`."""

    seq: int


class Span(NamedTuple):
    """Lines `first` to `last` of a log are committed. None (last < first): the task has changed, or may have."""

    first: int
    last: int


T_co = TypeVar("T_co", covariant=True)


class Source(Protocol):
    """What a stream needs of its hub and topic."""

    topic: str

    @property
    def seq(self) -> int:
        """The newest seq that the topic is known to have."""
        ...

    async def join(self, stream: Stream[object]) -> None:
        """Wake this stream from now on; returns when `seq` is known."""
        ...

    def leave(self, stream: Stream[object]) -> None:
        """No longer."""
        ...

    def recent(self, seq: int) -> Sequence[Event] | None:
        """What follows `seq`, from the ring; None when the ring has moved on."""
        ...

    async def read(self, seq: int, limit: int) -> Sequence[CommittedEvent]:
        """Events after `seq` from the store; tries until it answers."""
        ...

    async def head(self) -> int:
        """The newest seq by the store; tries until it answers."""
        ...

    def advance(self, seq: int) -> None:
        """The log has at least `seq` lines."""
        ...


class Stream(ABC, Generic[T_co]):
    """An asynchronous iterator: enter it (`async with`) to have a place, iterate it, leave it.

    `seq` is the place: what follows it comes next. It begins behind `after`, or with what is committed from now on.
    Iterating without entering is allowed; it enters by itself. It ends when `end_at` says so, or never.
    """

    def __init__(self, find: Callable[[], Source], after: int | None) -> None:
        self._find = find
        self._after = after
        self._source: Source | None = None
        self._ready: deque[T_co | Reached | Expired] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._replay_to = 0
        self._is_live = False
        self._is_silent = False
        self._end: int | None = None
        self._quiet_since = 0.0
        self.seq = 0

    async def __aenter__(self) -> Self:
        if self._source is None:
            source = self._source = self._find()
            try:
                await source.join(self)
                await self._start(source)
            except BaseException:
                await self.aclose()
                raise
        return self

    async def _start(self, source: Source) -> None:
        after = self._after
        self.seq = source.seq if after is None else after
        if self.seq > source.seq:  # from a page that is newer than what we have heard, or from nowhere
            head = await source.head()
            if self.seq > head:
                self._expire(head)
        self._replay_to = max(self.seq, source.seq)
        self.touch()

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

    async def __anext__(self) -> T_co | Reached | Expired:
        await self.__aenter__()
        while not self._ready:
            await self._advance()
        return self._ready.popleft()

    async def _advance(self) -> None:
        """Have something ready, or wait until there may be."""
        source = self._source
        if source is None:
            raise StopAsyncIteration
        if self._is_silent:
            self._tell_place()
        elif await self._take(source):
            return
        elif not self._is_live and self.seq >= self._replay_to:
            self._is_live = True
            self._tell_place()
        elif self._end is not None and self.seq >= self._end:
            raise StopAsyncIteration
        else:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._sleep(self._waiter, source)

    async def _sleep(self, waiter: asyncio.Future[None], source: Source) -> None:
        await waiter

    @abstractmethod
    async def _take(self, source: Source) -> bool:
        """Move on by what is there; whether something was."""

    def _tell_place(self) -> None:
        self.touch()
        self._ready.append(Reached(self.seq, self._is_live))

    def _expire(self, seq: int) -> None:
        self.seq = seq
        self._ready.append(Expired(seq))

    def touch(self) -> None:
        """Something was shown: silence begins anew."""
        self._is_silent = False
        self._quiet_since = asyncio.get_running_loop().time()

    def tick(self, now: float, silence_s: float) -> None:
        """Look at the clock: after a time of silence the place is told."""
        if not self._is_silent and now - self._quiet_since >= silence_s:
            self._is_silent = True
            self.wake()

    def skip(self) -> None:
        """Pass over everything up to the present."""
        self.touch()
        self._ready.clear()
        if self._source is not None:
            self.seq = max(self.seq, self._source.seq)

    def end_at(self, seq: int) -> None:
        """End when everything up to `seq` was handed out: the newest line of a log that can have no more."""
        self._end = seq
        if self._source is not None:
            self._source.advance(seq)

    def wake(self) -> None:
        """There may be something to take."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class EventStream(Stream[Event]):
    """The events of a topic; those in which it has no interest may pass by while it waits."""

    def __init__(self, find: Callable[[], Source], after: int | None, interest: Interest | None = None) -> None:
        super().__init__(find, after)
        self.interest = interest
        self._is_asleep = False  # all up to the topic's newest was handed out, or passed by

    async def _sleep(self, waiter: asyncio.Future[None], source: Source) -> None:
        self._is_asleep = self.interest is not None
        await waiter
        if self._is_asleep:  # woken by the clock
            self._is_asleep = False
            self.seq = max(self.seq, source.seq)

    def rouse(self, seq: int) -> None:
        """See interests.Sleeper. One that is awake comes to the event by itself."""
        if self._is_asleep:
            self._is_asleep = False
            self.seq = max(self.seq, seq)
            self.wake()

    async def _take(self, source: Source) -> bool:
        if self.seq >= source.seq:
            return False
        found = source.recent(self.seq)
        if found is None:
            found = [to_event(event) for event in await source.read(self.seq, PAGE)]
            if not found or found[0].seq != self.seq + 1:
                self._expire(await source.head())
                return True
        self._ready.extend(found)
        self.seq = found[-1].seq
        return True

    def more(self, limit: int) -> list[Event]:
        """Events that can be had without waiting, up to the next mark."""
        found: list[Event] = []
        while self._ready and len(found) < limit and isinstance(event := self._ready[0], Event):
            self._ready.popleft()
            found.append(event)
        return found


class LogStream(Stream[Span]):
    """Spans of a task's log, of up to 100 lines; what piles up meanwhile is told together."""

    def __init__(self, find: Callable[[], Source], after: int | None) -> None:
        super().__init__(find, after)
        self._is_nudged = False
        self._told_at = 0.0

    def nudge(self) -> None:
        """The task has changed, or may have: a final status writes no line, and who follows must look at it."""
        self._is_nudged = True
        self.wake()

    async def _take(self, source: Source) -> bool:
        lines = source.seq - self.seq
        if lines > 0:
            now = asyncio.get_running_loop().time()
            wait_s = self._told_at + LINES_S - now
            if wait_s > 0 and self._is_live and lines < LINES:
                await asyncio.sleep(wait_s)
                now += wait_s
            last = min(source.seq, self.seq + LINES)
            self._ready.append(Span(self.seq + 1, last))
            self.seq, self._told_at = last, now
            return True
        if self._is_nudged:
            self._is_nudged = False
            self._ready.append(Span(self.seq + 1, self.seq))
            return True
        return False
