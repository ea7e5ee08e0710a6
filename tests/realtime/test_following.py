"""Groups and those they carry, against a model: readers that come, fill up, drain, leave and come back, in any order.

The stream is a list; its sources tell it as a hub's streams do. Time is virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from execution import following
from execution.declarations import Stand
from execution.following import Following, Frame, Group
from tests.faults.test_machine import VirtualLoop

T = TypeVar("T")
PORTION = 3  # bytes that a reader is given before it is asked again
FREE = st.sampled_from([0, 1, 2, 5, 1_000])  # frames until a reader is full


class Event(NamedTuple):
    """Number `place` of the stream, or a mark of where it stands."""

    place: int
    is_mark: bool = False
    is_live: bool = False


class Log:
    """The stream: 1 … n, some of them not shown; sources tell up to `together` at a time."""

    def __init__(self) -> None:
        self.shown: list[bool] = []
        self.moved = asyncio.Event()
        self.delay_s = 0.0
        self.together = 3
        self.is_over = False
        self.is_broken = False
        self.open_count = self.made_count = 0

    def add(self, shown: bool) -> None:
        self.shown.append(shown)
        self.wake()

    def wake(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()

    async def open(self, after: str | None) -> AsyncGenerator[Any]:
        await asyncio.sleep(self.delay_s)
        return self._events(len(self.shown) if after is None else int(after))

    async def _events(self, place: int) -> AsyncGenerator[Any]:
        self.open_count += 1
        try:
            told_at, is_live = asyncio.get_running_loop().time(), False
            while True:
                await asyncio.sleep(self.delay_s)
                if self.is_broken:
                    raise RuntimeError("broken")
                until = min(len(self.shown), place + self.together)
                found = [Event(n + 1) for n in range(place, until) if self.shown[n]]
                if found:
                    yield found if len(found) > 1 else found[0]
                    told_at = asyncio.get_running_loop().time()
                if until > place:
                    place = until
                elif not is_live or told_at + 60 <= asyncio.get_running_loop().time():
                    is_live, told_at = True, asyncio.get_running_loop().time()
                    yield Event(place, is_mark=True, is_live=True)
                elif self.is_over:
                    return
                else:
                    await asyncio.wait([asyncio.ensure_future(self.moved.wait())], timeout=60)
        finally:
            self.open_count -= 1

    def key(self, event: Event) -> Hashable | None:
        return None if event.is_mark else event.place

    def stand(self, event: Event) -> Stand:
        return Stand(event.place, str(event.place), event.is_live)

    async def make(self, events: list[Event]) -> list[Frame]:
        self.made_count += len(events)
        await asyncio.sleep(self.delay_s)
        return [Frame(b"%d" % event.place, self.stand(event), event.is_mark) for event in events]


@dataclass
class Client:
    """A reader, and what it holds its stream to. It is full when it has taken so many frames, as a socket is."""

    log: Log
    place: int
    free: int
    wrong: list[str] = field(default_factory=list)
    ends: list[Exception | None] = field(default_factory=list)
    marks: int = 0
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, frames: Sequence[Frame]) -> None:
        if self.is_full or sum(len(frame.body) for frame in frames[:-1]) >= PORTION:
            self.wrong.append(f"{len(frames)} frames at once, with room for {self.free}")
        for frame in frames:
            assert frame.stand is not None
            passed = [n + 1 for n in range(self.place, frame.stand.place) if self.log.shown[n]]
            wanted = [] if frame.is_mark else [frame.stand.place]
            if passed != wanted or frame.stand.place < self.place:
                self.wrong.append(f"{frame} at {self.place}: {passed}")
            self.place = frame.stand.place
            self.marks += frame.is_mark
        self.free -= len(frames)

    @property
    def is_full(self) -> bool:
        return self.free <= 0

    async def room(self) -> None:
        while self.is_full:
            await self.drained.wait()

    def end(self, failure: Exception | None) -> None:
        self.ends.append(failure)

    def drain(self, free: int) -> None:
        self.free = free
        self.drained.set()
        self.drained = asyncio.Event()


class GroupMachine(RuleBasedStateMachine):
    """Events, clients and their readers."""

    def __init__(self) -> None:
        super().__init__()
        self.portion = patch.object(following, "PORTION", PORTION)
        self.portion.start()
        self.loop = VirtualLoop()
        self.log = Log()
        self.group = Group()
        self.open: list[tuple[Client, Following]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @rule(shown=st.lists(st.sampled_from([True, True, True, False]), min_size=1, max_size=6))
    def write(self, shown: list[bool]) -> None:
        async def added() -> None:
            for one in shown:
                self.log.add(one)

        self.run(added())

    @rule(data=st.data(), is_new=st.booleans(), free=FREE)
    def subscribe(self, data: st.DataObject, is_new: bool, free: int) -> None:
        after = len(self.log.shown) if is_new else data.draw(st.integers(0, len(self.log.shown)))

        async def begun() -> None:
            client = Client(self.log, after, free)
            followed = Following(self.log, self.group, await self.log.open(str(after)))
            followed.begin(client)
            self.open.append((client, followed))

        self.run(begun())

    @precondition(lambda self: self.open)
    @rule(data=st.data(), free=FREE)
    def drain(self, data: st.DataObject, free: int) -> None:
        async def drained() -> None:
            client, _ = data.draw(st.sampled_from(self.open))
            client.drain(free)

        self.run(drained())

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        async def left() -> None:
            client, followed = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
            followed.cancel()
            assert not client.wrong

        self.run(left())

    @rule(delay_s=st.sampled_from([0.0, 0.0, 0.01, 0.5]), together=st.sampled_from([1, 3, 50]))
    def change(self, delay_s: float, together: int) -> None:
        self.log.delay_s, self.log.together = delay_s, together

    @rule(seconds=st.sampled_from([0.0, 0.005, 0.3, 3.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @invariant()
    def nothing_is_lost_doubled_or_swapped(self) -> None:
        assert [client.wrong for client, _ in self.open if client.wrong] == []
        assert [client.ends for client, _ in self.open if client.ends] == []

    def teardown(self) -> None:
        """When all have room, all come to the end, by one source; then the stream completes for all, or fails."""
        self.log.delay_s = 0.0

        async def ended() -> None:
            for client, _ in self.open:
                client.drain(10**6)
            await asyncio.sleep(5)
            self.log.add(True)
            await asyncio.sleep(5)
            assert [client.place for client, _ in self.open] == [len(self.log.shown)] * len(self.open)
            assert self.group.count == len(self.open)
            assert self.log.open_count == bool(self.open)
            before = self.log.made_count
            self.log.add(True)
            await asyncio.sleep(1)
            assert self.log.made_count - before == bool(self.open)
            marks = [client.marks for client, _ in self.open]
            assert all(marks)
            await asyncio.sleep(130)
            assert all(client.marks >= before + 1 for before, (client, _) in zip(marks, self.open, strict=True))
            self.log.is_over, self.log.is_broken = True, len(self.log.shown) % 2 == 0
            self.log.wake()
            await asyncio.sleep(1)

        try:
            self.run(ended())
        finally:
            self.portion.stop()
        self.nothing_is_wrong_at_the_end()
        self.loop.close()

    def nothing_is_wrong_at_the_end(self) -> None:
        for client, _ in self.open:
            assert not client.wrong
            assert [type(end) for end in client.ends] == [RuntimeError if self.log.is_broken else type(None)]
        assert (self.group.count, self.group.is_led, self.log.open_count) == (0, False, 0)


GroupMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestGroups = GroupMachine.TestCase
