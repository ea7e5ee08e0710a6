"""The hub: one reader of the bus for all subscribers of a process.

What is missing of a topic (a hole, or anything after a gap of the connection) is read from the event store, once for
all. A lost last message has no later one to expose it: all heads are read every second or two, in one query, which
also carries the streams on while Redis is away. What nobody watches costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeVar
from uuid import UUID

from pubsub.backend import GAP
from pubsub.backoff import BackOff
from pubsub.events import MalformedMessage, Message, appended_of, decode, event_of, facts_of, last_of, to_event
from pubsub.interests import Interest
from pubsub.lines import RecentLines
from pubsub.streams import PAGE, EventStream, LogStream
from pubsub.topics import LOGS, TASKS, is_log, log_topic
from pubsub.watching import RING, EventStore, Topic, seq_of

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Inbox(Protocol):
    """What the hub reads: the bus, or a test's."""

    @property
    def epoch(self) -> str:
        """Whose events count."""
        ...

    @property
    def status(self) -> str:
        """`up`, or `down` while messages are known not to come."""
        ...

    def inbox(self) -> AbstractAsyncContextManager[AsyncIterator[str | bytes]]:
        """Everything that arrives, in order: messages, and GAP."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the hub looks by itself; seconds."""

    poll_s: tuple[float, float] = (1.0, 2.0)  # with jitter, so that many processes do not ask at once
    grace_s: float = 0.1  # how much later than its commit a message may come without being missed
    silence_s: float = 60.0  # after so long a stream that showed nothing tells its place, lest its cursor ages


DEFAULT_PACE = Pace()


class Hub:
    """Open it after its bus (`async with`), close it before."""

    def __init__(self, bus: Inbox, store: EventStore, *, pace: Pace = DEFAULT_PACE, ring: int = RING) -> None:
        self._bus = bus
        self._store = store
        self._pace = pace
        self._ring = ring
        self._topics: dict[str, Topic] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._has_met_malformed = False
        self.lines = RecentLines()

    def subscribe(self, topic: str, after: int | None = None, interest: Interest | None = None) -> EventStream:
        """The events of a topic behind `after`, or those that are committed after the stream is entered; in order.

        Events outside of the interest may be left out.
        """
        return EventStream(lambda: self._find(topic), after, interest)

    def subscribe_log(self, task_id: UUID | str, after: int | None = None) -> LogStream:
        """Spans of a task's log lines behind `after`, or of those that are committed after the stream is entered."""
        return LogStream(lambda: self._find(log_topic(task_id)), after)

    @property
    def watched(self) -> frozenset[str]:
        """The topics that have a subscriber."""
        return frozenset(self._topics)

    def follower_count(self, topic: str) -> int:
        """How many streams have their place in a topic: what is committed from now on reaches them."""
        found = self._topics.get(topic)
        return len(found.streams) if found is not None and found.is_known else 0

    async def open(self) -> None:
        """Begin to read the bus, and to look at the heads."""
        ready = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._read(ready), name="pubsub-hub"),
            asyncio.create_task(self._poll(), name="pubsub-poll"),
        ]
        await ready.wait()

    async def close(self) -> None:
        """Stop reading; streams that are still open get nothing more."""
        tasks = [*self._tasks, *(topic.healing for topic in self._topics.values() if topic.healing is not None)]
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

    def _find(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(self, name, self._ring)
        return topic

    def forget(self, topic: Topic) -> None:
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

    def _take(self, text: str | bytes) -> None:
        try:
            message = decode(text)
            if message.epoch == self._bus.epoch:
                self._hand_on(message)
        except MalformedMessage as error:
            if not self._has_met_malformed:
                self._has_met_malformed = True
                logger.warning(
                    "a message on our Redis channels is malformed (%s); this and its like are ignored", error
                )

    def _hand_on(self, message: Message) -> None:
        name = message.topic
        if name == LOGS:
            self._hand_on_lines(message)
        elif name == TASKS:
            log = self._topics.get(log_topic(str(facts_of(message).get("id"))))
            if log is not None:
                log.nudge()
        topic = self._watched(name)
        if topic is None:
            return
        if is_log(name):
            topic.advance(last_of(message))
        else:
            topic.take(event_of(message))

    def _hand_on_lines(self, message: Message) -> None:
        log = self._watched(log_topic(str(facts_of(message).get("task"))))
        if log is None and LOGS not in self._topics:
            return
        appended = appended_of(message)
        self.lines.put(appended.task, appended.lines)
        if log is not None:
            log.advance(appended.last)

    def _watched(self, name: str) -> Topic | None:
        topic = self._topics.get(name)
        if topic is not None and not topic.streams:
            self.forget(topic)  # its streams were dropped without being left
            return None
        return topic

    def _resync(self) -> None:
        """After a gap anything may be missing: read all watched topics."""
        for topic in self._topics.values():
            if is_log(topic.topic):
                topic.nudge()
        self._tasks.append(asyncio.create_task(self._look(0), name="pubsub-resync"))
        self._tasks = [task for task in self._tasks if not task.done()]

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(random.uniform(*self._pace.poll_s))  # noqa: S311 - jitter, no secret
            now = loop.time()
            for topic in list(self._topics.values()):
                if not topic.streams:
                    self.forget(topic)
                for stream in list(topic.streams):
                    stream.tick(now, self._pace.silence_s)
            if self._topics:
                await self._look(self._pace.grace_s if self._bus.status == "up" else 0)

    async def _look(self, grace_s: float) -> None:
        """Read the heads of all watched topics; what is behind them after the grace has missed a message."""
        names = list(self._topics)
        found = await self.ask(lambda store: store.heads(names))
        await asyncio.sleep(grace_s)
        for name in names:
            topic, head = self._topics.get(name), found.get(name)
            if topic is None or head is None:
                continue
            if is_log(name):
                topic.advance(head.seq)
                if head.is_closed:
                    topic.nudge()
            elif not topic.is_known or head.seq > topic.seq:
                self.heal(topic)

    def heal(self, topic: Topic) -> None:
        """Have a topic's missing events read."""
        topic.is_stale = True
        if topic.is_known and topic.healing is None:
            topic.healing = asyncio.create_task(self._heal(topic), name=f"pubsub-heal-{topic.topic}")

    async def _heal(self, topic: Topic) -> None:
        try:
            while topic.is_stale:
                topic.is_stale = False
                page = await topic.read(topic.seq, PAGE)
                for event in page:
                    topic.deliver(to_event(event))
                if len(page) == PAGE:
                    topic.is_stale = True
                    continue
                if not page:
                    await self._jump(topic)
                topic.release()
        finally:
            topic.healing = None

    async def _jump(self, topic: Topic) -> None:
        """Nothing follows what we have: it is the newest, or retention was faster."""
        found = await self.ask(lambda store: store.heads([topic.topic]))
        seq = seq_of(found, topic.topic)
        if seq > topic.seq and not await topic.read(topic.seq, 1):
            topic.jump(seq)
