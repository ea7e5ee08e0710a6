"""The hub against a model, step by step: a store, a bus and a clock that do whatever is asked of them.

Time is virtual: the loop's clock jumps to the next timer, so that a minute of silence costs nothing and every run of
the same steps is the same run.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pubsub.backend import GAP
from pubsub.events import Event, encode
from pubsub.hub import Hub, Pace
from pubsub.streams import EventStream, Expired

T = TypeVar("T")
AT = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps over every wait."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self._loop.now += timeout
        return super().select(0)


@dataclass
class Head:
    seq: int
    is_closed: bool = False


class Store:
    """The event log: 1 … n, its oldest part removed; it may be away, or slow to answer."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.removed = 0
        self.is_away = False
        self.delay_s = 0.0

    async def heads(self, names: list[str], /) -> Mapping[str, Head]:
        await self._answer()
        found = {name: Head(len(self.events)) for name in names}
        await asyncio.sleep(self.delay_s)
        return found

    async def since(self, topic: str, seq: int, limit: int, /) -> Sequence[Event]:
        await self._answer()
        found = [event for event in self.events[self.removed :] if event.seq > seq][:limit]
        await asyncio.sleep(self.delay_s)
        return found

    async def _answer(self) -> None:
        await asyncio.sleep(self.delay_s)
        if self.is_away:
            raise ConnectionRefusedError


class Wire:
    """The bus: hands over what it is given."""

    epoch = "e"
    status = "up"

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    @asynccontextmanager
    async def inbox(self) -> AsyncIterator[AsyncIterator[str]]:
        async def texts() -> AsyncIterator[str]:
            while True:
                yield await self.queue.get()

        yield texts()


@dataclass
class Seen:
    """A stream, and what its reader holds it to."""

    stream: EventStream
    place: int | None  # the last seq that was accounted for; None before the stream has told
    reader: asyncio.Task[None] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    wrong: list[str] = field(default_factory=list)
    had_expired: int = 0

    async def read(self, store: Store) -> None:
        async for item in self.stream:
            await self.gate.wait()
            if isinstance(item, Event):
                if self.place is not None and item.seq != self.place + 1:
                    self.wrong.append(f"{item.seq} after {self.place}")
            elif isinstance(item, Expired):
                self.had_expired += 1
                if self.place is not None and self.place >= store.removed and self.place <= len(store.events):
                    self.wrong.append(f"expired at {self.place}, kept after {store.removed}")
            elif self.place is not None and item.seq != self.place:
                self.wrong.append(f"at {item.seq} after {self.place}")
            self.place = item.seq


class HubMachine(RuleBasedStateMachine):
    """Commits, messages, losses, outages, readers that come, stop and go, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.store = Store()
        self.seen: list[Seen] = []
        self.wire: list[str] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize(ring=st.sampled_from([1, 2, 5, 1_000]))
    def open(self, ring: int) -> None:
        async def opened() -> None:
            self.bus = Wire()
            pace = Pace(poll_s=(1.0, 2.0), grace_s=0.1, silence_s=60.0)
            self.hub = Hub(self.bus, self.store, pace=pace, ring=ring)
            await self.hub.open()

        self.run(opened())

    @rule(count=st.integers(1, 6))
    def commit(self, count: int) -> None:
        """Events are committed, and their messages are on the way."""
        for _ in range(count):
            event = Event("tasks", len(self.store.events) + 1, "X", {}, AT)
            self.store.events.append(event)
            self.wire.append(encode("e", event).decode())

    @precondition(lambda self: self.wire)
    @rule(data=st.data(), copies=st.integers(0, 2))
    def deliver(self, data: st.DataObject, copies: int) -> None:
        """Any message arrives, once, twice, or not at all."""
        message = self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1)))
        for _ in range(copies):
            self.bus.queue.put_nowait(message)
        self.turn()

    @rule()
    def deliver_all(self) -> None:
        for message in self.wire:
            self.bus.queue.put_nowait(message)
        self.wire.clear()
        self.turn()

    @rule()
    def gap(self) -> None:
        """The connection was lost, and what was on the way with it."""
        self.wire.clear()
        self.bus.queue.put_nowait(GAP)
        self.turn()

    @rule(data=st.data(), is_new=st.booleans())
    def subscribe(self, data: st.DataObject, is_new: bool) -> None:
        after = None if is_new else data.draw(st.integers(0, len(self.store.events)))

        async def started() -> None:
            seen = Seen(self.hub.subscribe("tasks", after), after)
            seen.gate.set()
            seen.reader = asyncio.create_task(seen.read(self.store))
            self.seen.append(seen)

        self.run(started())

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def stop_reading(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.seen)).gate.clear()

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def read_again(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.seen)).gate.set()

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.run(self._end(self.seen.pop(data.draw(st.integers(0, len(self.seen) - 1)))))

    async def _end(self, seen: Seen) -> None:
        assert seen.reader is not None
        seen.reader.cancel()
        await asyncio.gather(seen.reader, return_exceptions=True)
        await seen.stream.aclose()

    @rule(data=st.data())
    def remove_the_oldest(self, data: st.DataObject) -> None:
        self.store.removed = data.draw(st.integers(self.store.removed, len(self.store.events)))

    @rule(is_away=st.booleans(), delay_s=st.sampled_from([0.0, 0.0, 0.05, 0.7]))
    def change_the_store(self, is_away: bool, delay_s: float) -> None:
        self.store.is_away, self.store.delay_s = is_away, delay_s

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.5, 3.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def turn(self) -> None:
        """A few turns of the loop, without time."""
        for _ in range(3):
            self.run(asyncio.sleep(0))

    @invariant()
    def nothing_is_lost_doubled_or_swapped(self) -> None:
        assert [seen.wrong for seen in self.seen if seen.wrong] == []

    def teardown(self) -> None:
        """When the store is back, everybody comes to the end: by messages or by looking."""
        if not hasattr(self, "hub"):
            return
        self.store.is_away, self.store.delay_s = False, 0.0
        for seen in self.seen:
            seen.gate.set()
        self.run(asyncio.sleep(30))
        try:
            assert [seen.wrong for seen in self.seen if seen.wrong] == []
            assert [seen.place for seen in self.seen] == [len(self.store.events)] * len(self.seen)
        finally:
            for seen in self.seen:
                self.run(self._end(seen))
            assert not self.hub.watched
            self.run(self.hub.close())
            self.loop.close()


HubMachine.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestHub = HubMachine.TestCase
