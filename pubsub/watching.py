"""A watched topic of the hub: the newest seq, a ring of the last events, and who is to be woken.

It keeps the order: an event is taken only when it follows the one before. Reading what is missing is the hub's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from pubsub.events import CommittedEvent, Event
from pubsub.interests import Interests
from pubsub.streams import EventStream, LogStream, Stream
from pubsub.weak import Weakly

RING = 1_000  # events of some 500 bytes per watched topic; whoever is further behind reads the store
HELD = 5_000  # messages that may wait for a hole before them to be read

T = TypeVar("T")


class TopicHead(Protocol):
    """The head of a topic, as db gives it."""

    @property
    def seq(self) -> int:
        """The newest seq."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether it is the log of a task that has ended or is gone."""
        ...


class EventStore(Protocol):
    """The event log in PostgreSQL: db.queries.events' functions with their handle bound."""

    async def heads(self, names: list[str], /) -> Mapping[str, TopicHead]:
        """The heads of topics by name; a topic without events may be missing."""
        ...

    async def since(self, topic: str, seq: int, limit: int, /) -> Sequence[CommittedEvent]:
        """The topic's events after `seq`, in order, at most `limit`."""
        ...


class Reader(Protocol):
    """What a topic needs of the hub."""

    async def ask(self, question: Callable[[EventStore], Awaitable[T]]) -> T:
        """The store's answer; tries until there is one."""
        ...

    def heal(self, topic: Topic) -> None:
        """Have a topic's missing events read."""
        ...

    def forget(self, topic: Topic) -> None:
        """The topic has lost its last stream."""
        ...


class Topic:
    """One topic. `is_stale`: events may be missing; `healing`: they are being read, and what comes is `held`."""

    def __init__(self, hub: Reader, name: str, ring: int = RING) -> None:
        self.topic = name
        self.seq = 0
        self.streams: Weakly[Stream[object]] = Weakly()  # one that is dropped without being left goes by itself
        self._curious: Weakly[Stream[object]] = Weakly()  # those that any event may matter to
        self._interests = Interests()
        self.is_known = False
        self.is_stale = False
        self.healing: asyncio.Task[None] | None = None
        self._ring: deque[Event] = deque(maxlen=ring)
        self._held: deque[Event] = deque()
        self._hub = hub
        self._opening = asyncio.Lock()

    async def join(self, stream: Stream[object]) -> None:
        """See streams.Source."""
        self.streams.add(stream)
        if isinstance(stream, EventStream) and stream.interest is not None:
            self._interests.add(stream.interest, stream)
        else:
            self._curious.add(stream)
        async with self._opening:
            if not self.is_known:
                self.seq = max(self.seq, await self.head())
                self.is_known = True
        if self.is_stale:
            self._hub.heal(self)

    def leave(self, stream: Stream[object]) -> None:
        """See streams.Source."""
        self.streams.discard(stream)
        self._curious.discard(stream)
        if isinstance(stream, EventStream) and stream.interest is not None:
            self._interests.discard(stream.interest, stream)
        if not self.streams:
            self._hub.forget(self)

    async def head(self) -> int:
        """See streams.Source."""
        return seq_of(await self._hub.ask(lambda store: store.heads([self.topic])), self.topic)

    async def read(self, seq: int, limit: int) -> Sequence[CommittedEvent]:
        """See streams.Source."""
        return await self._hub.ask(lambda store: store.since(self.topic, seq, limit))

    def recent(self, seq: int) -> Sequence[Event] | None:
        """See streams.Source."""
        wanted, ring = self.seq - seq, self._ring
        if wanted == 1 and ring:
            return (ring[-1],)
        return list(islice(ring, len(ring) - wanted, None)) if wanted <= len(ring) else None

    def take(self, event: Event) -> None:
        """A message: the next event, one that we have, or one after a hole."""
        if not self.is_known:
            self.is_stale = True
        elif self.healing is not None:
            self._hold(event)
        elif event.seq == self.seq + 1:
            self.deliver(event)
        elif event.seq > self.seq:
            self._hold(event)
            self._hub.heal(self)

    def _hold(self, event: Event) -> None:
        if len(self._held) < HELD:
            self._held.append(event)
        else:
            self.is_stale = True

    def release(self) -> None:
        """Take what was held while a hole was read; what is still missing makes the topic stale."""
        while self._held:
            event = self._held.popleft()
            if event.seq == self.seq + 1:
                self.deliver(event)
            elif event.seq > self.seq:
                self.is_stale = True  # it is read with the rest

    def deliver(self, event: Event) -> None:
        """The next event, or the first that is kept after those that retention has removed."""
        before, self.seq = self.seq, event.seq
        if event.seq != before + 1:
            self._ring.clear()
            self._rouse_all(before)
        self._ring.append(event)
        for stream in self._curious:
            stream.wake()
        for sleeper in self._interests.of(event):
            sleeper.rouse(before)

    def jump(self, seq: int) -> None:
        """All up to `seq` is gone: whoever was before it finds that out from the store."""
        self._ring.clear()
        self.advance(seq)

    def nudge(self) -> None:
        """The task of this log has changed, or may have."""
        for stream in self.streams:
            if isinstance(stream, LogStream):
                stream.nudge()

    def advance(self, seq: int) -> None:
        """A log has grown to `seq`."""
        if seq > self.seq:
            before, self.seq = self.seq, seq
            if self.is_known:
                self._rouse_all(before)
                for stream in self._curious:
                    stream.wake()

    def _rouse_all(self, seq: int) -> None:
        """What follows `seq` is not all known: nobody may sleep through it."""
        for sleeper in self._interests.all():
            sleeper.rouse(seq)


def seq_of(heads: Mapping[str, TopicHead], name: str) -> int:
    """A topic's head; 0 when it has no events."""
    found = heads.get(name)
    return 0 if found is None else found.seq
