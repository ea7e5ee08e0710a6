"""Following live: the one loop behind every field of Subscription, for replay, live and slow alike.

A field of events is added in a few lines. Say what its filter lets through as ``show(event) -> value | None``, on the
event's facts alone, so that replay and live agree; the value is `Shown`, with `position` and `at`; then

    def watch_things(context, watched): return follow(context, TOPIC, watched.after, watched.show)

and declare it with `events` in schema/subscriptions.py as a union of its events, `Checkpoint` and `CursorExpired`. A
field of state (the latest value, no cursor) is ``latest(context, TOPIC, read, same)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from db.outage import is_outage
from db.pages import EventPosition
from pubsub.backoff import BackOff
from pubsub.events import Event
from pubsub.interests import Interest
from pubsub.streams import EventStream, Expired, LogStream, Reached
from resolvers.context import Context
from resolvers.pages import EVENT_CURSORS, invalid_cursor

T = TypeVar("T")

TOGETHER = 50  # events that are executed at once when a stream has to catch up: one statement for what they show
STATE_S = 1.0  # a value of state is told at most once in this time: people read no faster


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The stream has come to `position` without an event to show."""

    position: EventPosition
    at: datetime
    is_live: bool


@dataclass(frozen=True, slots=True)
class CursorExpired:
    """What came behind the given cursor is no longer there; the stream goes on from `position`."""

    position: EventPosition
    at: datetime


class Shown:
    """An event as it is shown; its place tells it from every other of a stream, for those who share frames."""

    __slots__ = ()
    position: EventPosition

    @property
    def key(self) -> Hashable:
        """Its place."""
        return self.position.seq


Mark = Checkpoint | CursorExpired
Told: TypeAlias = T | list[T] | Mark  # what a stream of events tells at a time


def place_of(context: Context, topic: str, after: EventPosition | None) -> int | None:
    """Where in the topic to begin; None is now. Raises InvalidInput for a cursor of another stream."""
    if after is None:
        return None
    if after.topic != topic:
        raise invalid_cursor("after", "it belongs to another stream", EVENT_CURSORS)
    return after.seq if after.epoch == context.reader.epoch else None


async def follow(
    context: Context,
    topic: str,
    after: EventPosition | None,
    show: Callable[[Event], T | None],
    interest: Interest | None = None,
) -> AsyncIterator[Told[T]]:
    """What `show` makes of the topic's events, each once and in order, and marks of where the stream stands.

    Events that are there together are told as a list. `show` must make nothing of any event outside of the interest.
    """
    async with context.hub.subscribe(topic, place_of(context, topic, after), interest) as stream:
        async for mark in marks_first(context, stream, topic, after):
            yield mark
        async for item in stream:
            if not isinstance(item, Event):
                yield told(context, topic, item)
                continue
            events = (item, *stream.more(TOGETHER - 1))
            shown = [value for event in events if (value := show(event)) is not None]
            if shown:
                stream.touch()
                yield shown if len(shown) > 1 else shown[0]


async def marks_first(
    context: Context, stream: EventStream | LogStream, topic: str, after: EventPosition | None
) -> AsyncIterator[Mark]:
    """What must be told before anything else: a cursor of another history of the database."""
    if after is not None and after.epoch != context.reader.epoch:
        yield told(context, topic, Expired(stream.seq))


def told(context: Context, topic: str, mark: Reached | Expired) -> Mark:
    """A mark of the stream as clients see it."""
    position = EventPosition(context.reader.epoch, topic, mark.seq)
    if isinstance(mark, Expired):
        return CursorExpired(position, context.clock())
    return Checkpoint(position, context.clock(), mark.is_live)


def position_of(context: Context, event: Event) -> EventPosition:
    """Where the stream stands behind an event."""
    return EventPosition(context.reader.epoch, event.topic, event.seq)


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """What `read` gives; a database that restarts ends no stream."""
    back_off = BackOff()
    while True:
        try:
            return await read()
        except Exception as error:
            if not is_outage(error):
                raise
        await asyncio.sleep(back_off.next_s())


async def latest(
    context: Context, topic: str, read: Callable[[], Awaitable[T]], same: Callable[[T, T], bool]
) -> AsyncIterator[T]:
    """The value now, and again when the topic moved and it is not the same; at most once a second."""
    async with context.hub.subscribe(topic) as stream:
        value: Any = None
        async for _ in stream:
            stream.skip()  # the newest wins
            fresh = await patiently(read)
            if value is None or not same(value, fresh):
                value = fresh
                yield value
            await asyncio.sleep(STATE_S)
