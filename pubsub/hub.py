"""The hub: one reader of the bus for all subscribers of a process.

It keeps the order of each topic: what comes twice is dropped, what is missing (a hole, or anything after a gap of
the connection) is read from the event store once for all. What nobody watches costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar
from uuid import UUID
from weakref import WeakSet

from pubsub.backend import GAP
from pubsub.backoff import BackOff
from pubsub.bus import Bus
from pubsub.events import CommittedEvent, Event, LogNotice, MalformedMessage, decode, to_event
from pubsub.streams import PAGE, QUEUE_LIMIT, EventStream, LogStream, Stream
from pubsub.topics import TASKS, is_log, log_topic

logger = logging.getLogger(__name__)

T = TypeVar("T")


class TopicHead(Protocol):
    """The newest seq of a topic, as db gives it."""

    @property
    def seq(self) -> int:
        """The newest seq."""
        ...


class EventStore(Protocol):
    """The event log in PostgreSQL: db.queries.events' functions with their handle bound."""

    async def heads(self, names: list[str], /) -> Mapping[str, TopicHead]:
        """The heads of topics by name; a topic without events may be missing."""
        ...

    async def since(self, topic: str, seq: int, limit: int, /) -> Sequence[CommittedEvent]:
        """The topic's events after `seq`, in order, at most `limit`."""
        ...


class _Topic:
    """A watched topic: its newest seq, its streams, and whether events may be missing (`is_stale`)."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.topic = name
        self.seq = 0
        self.streams: WeakSet[Stream[object]] = WeakSet()  # one that is dropped without being left goes by itself
        self.is_known = False
        self.is_stale = False
        self.healing: asyncio.Task[None] | None = None
        self._hub = hub
        self._opening = asyncio.Lock()

    async def join(self, stream: Stream[object]) -> None:
        self.streams.add(stream)
        async with self._opening:
            if not self.is_known:
                found = await self._hub.ask(lambda store: store.heads([self.topic]))
                self.seq = max(self.seq, _seq_of(found, self.topic))
                self.is_known = True
        if self.is_stale:
            self._hub.heal(self)

    def leave(self, stream: Stream[object]) -> None:
        self.streams.discard(stream)
        if not self.streams:
            self._hub.forget(self)

    async def read(self, seq: int, limit: int) -> Sequence[CommittedEvent]:
        return await self._hub.ask(lambda store: store.since(self.topic, seq, limit))

    def deliver(self, event: Event) -> None:
        self.seq = event.seq
        for stream in self.streams:
            if isinstance(stream, EventStream):
                stream.push(event)

    def nudge(self) -> None:
        """The task of this log has changed, or may have."""
        for stream in self.streams:
            if isinstance(stream, LogStream):
                stream.nudge()

    def advance(self, seq: int) -> None:
        """A log has grown to `seq`."""
        if seq > self.seq:
            self.seq = seq
            if self.is_known:
                for stream in self.streams:
                    stream.wake()


class Hub:
    """Open it after its bus (`async with`), close it before."""

    def __init__(self, bus: Bus, store: EventStore, *, queue_limit: int = QUEUE_LIMIT) -> None:
        self._bus = bus
        self._store = store
        self._queue_limit = queue_limit
        self._topics: dict[str, _Topic] = {}
        self._reader: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._has_met_malformed = False

    def subscribe(self, topic: str) -> EventStream:
        """The events of a topic that are committed after the stream is entered (`async with`), in order."""
        return EventStream(lambda: self._find(topic), self._queue_limit)

    def subscribe_log(self, task_id: UUID | str) -> LogStream:
        """Notices (first, last) of a task's log lines that are committed after the stream is entered.

        One with last < first has no lines: the task has changed, or this may have been missed.
        """
        return LogStream(lambda: self._find(log_topic(task_id)))

    @property
    def watched(self) -> frozenset[str]:
        """The topics that have a subscriber."""
        return frozenset(self._topics)

    def follower_count(self, topic: str) -> int:
        """How many streams have their place in a topic: what is committed from now on reaches them."""
        found = self._topics.get(topic)
        return len(found.streams) if found is not None and found.is_known else 0

    async def open(self) -> None:
        """Begin to read the bus."""
        ready = asyncio.Event()
        self._reader = asyncio.create_task(self._read(ready), name="pubsub-hub")
        await ready.wait()

    async def close(self) -> None:
        """Stop reading; streams that are still open get nothing more."""
        tasks = [task for task in (self._reader, self._catching_up) if task is not None]
        tasks += [topic.healing for topic in self._topics.values() if topic.healing is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._topics.clear()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _find(self, name: str) -> _Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(self, name)
        return topic

    def forget(self, topic: _Topic) -> None:
        """The topic has lost its last stream."""
        if self._topics.get(topic.topic) is topic:
            del self._topics[topic.topic]
        if topic.healing is not None:
            topic.healing.cancel()

    async def ask(self, question: Callable[[EventStore], Awaitable[T]]) -> T:
        """The store's answer; tries until there is one, for a database that restarts is no reason to lose a stream."""
        back_off = BackOff()
        while True:
            try:
                return await question(self._store)
            except Exception as error:
                if not back_off.failures:
                    logger.warning("the event log cannot be read (%s); subscribers wait for it", error)
                await asyncio.sleep(back_off.next_s())

    async def _read(self, ready: asyncio.Event) -> None:
        async with self._bus.inbox() as messages:
            ready.set()
            async for message in messages:
                if not self._topics:
                    continue
                if message == GAP:
                    self._resync()
                else:
                    self._take(message)

    def _take(self, text: str) -> None:
        try:
            epoch, message = decode(text)
        except MalformedMessage as error:
            if not self._has_met_malformed:
                self._has_met_malformed = True
                logger.warning(
                    "a message on our Redis channels is malformed (%s); this and its like are ignored", error
                )
            return
        if epoch != self._bus.epoch:
            return
        if message.topic == TASKS and isinstance(message, Event):
            log = self._topics.get(log_topic(str(message.facts.get("id"))))
            if log is not None:
                log.nudge()
        topic = self._topics.get(message.topic)
        if topic is None:
            return
        if not topic.streams:
            self.forget(topic)  # its streams were dropped without being left
        elif isinstance(message, LogNotice):
            topic.advance(message.last)
        elif not topic.is_known or topic.healing is not None:
            topic.is_stale = True
        elif message.seq == topic.seq + 1:
            topic.deliver(message)
        elif message.seq > topic.seq:
            self.heal(topic)

    def _resync(self) -> None:
        """After a gap anything may be missing: read all watched topics."""
        logs = [name for name in self._topics if is_log(name)]
        if logs:
            if self._catching_up is not None:
                self._catching_up.cancel()
            self._catching_up = asyncio.create_task(self._catch_up(logs), name="pubsub-logs")
        for topic in self._topics.values():
            if is_log(topic.topic):
                topic.nudge()
            else:
                self.heal(topic)

    async def _catch_up(self, logs: list[str]) -> None:
        found = await self.ask(lambda store: store.heads(logs))
        for name in logs:
            topic = self._topics.get(name)
            if topic is not None:
                topic.advance(_seq_of(found, name))

    def heal(self, topic: _Topic) -> None:
        """Have a topic's missing events read."""
        topic.is_stale = True
        if topic.is_known and topic.healing is None:
            topic.healing = asyncio.create_task(self._heal(topic), name=f"pubsub-heal-{topic.topic}")

    async def _heal(self, topic: _Topic) -> None:
        try:
            while topic.is_stale:
                topic.is_stale = False
                page = await topic.read(topic.seq, PAGE)
                for event in page:
                    topic.deliver(to_event(event))
                topic.is_stale = topic.is_stale or len(page) == PAGE
        finally:
            topic.healing = None


def _seq_of(heads: Mapping[str, TopicHead], name: str) -> int:
    found = heads.get(name)
    return 0 if found is None else found.seq
