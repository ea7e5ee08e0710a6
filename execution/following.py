"""Open subscriptions: each is a place in a stream, and moves on with its group, or by itself.

A `Following` begins by itself: its own source of events tells what came behind its place. When nothing older is to
come, the group carries it: one of the sources leads, each event is made a frame once, and one pass hands it to all.
A reader that cannot take more leaves the group with its place, and when it has room it begins by itself again.
Replay, live, slow and shared are that one loop, and a place never goes back: nothing is lost, doubled or swapped.

Generic: a subscription opens sources and makes frames; a reader is what a transport has for one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

from execution.declarations import Stand

FRESH_S = 1.0  # for so long after it was made a frame is as good as one made now: an event shows the rows of now
KEPT = 256  # frames of a group: so far may the last of its members be behind the first
SLICE = 250  # members that are written to in one turn of the loop: some 3 ms
PORTION = 256 * 1024  # bytes that a reader is given before it is asked whether it can take more
MOST = 50  # events that one who catches up has made frames of at a time


class Frame(NamedTuple):
    """The result of one event as JSON; `stand` is None for a state, which has no place."""

    body: bytes
    stand: Stand | None = None
    is_mark: bool = False  # it shows nothing but where the stream stands

    def is_behind(self, place: int) -> bool:
        """Whether one who stands at `place` has yet to see it."""
        return self.stand is None or self.stand.place > place or (self.is_mark and self.stand.place == place)


class Reader(Protocol):
    """What a transport has for one subscription."""

    @property
    def is_full(self) -> bool:
        """Whether it should be given nothing more for now."""
        ...

    def take(self, frames: Sequence[Frame]) -> None:
        """Send frames, in order."""
        ...

    async def room(self) -> None:
        """Return when it is not full."""
        ...

    def end(self, failure: Exception | None) -> None:
        """The stream is over: completed, or failed."""
        ...


class Subscription(Protocol):
    """What was subscribed to, by whom."""

    async def open(self, after: str | None) -> AsyncGenerator[Any]:
        """A source: events, or lists of events that are there together, behind a cursor or from now on."""
        ...

    def key(self, event: Any) -> Hashable | None:
        """What tells an event from every other of the stream; None for a mark, which is made for one."""
        ...

    def stand(self, event: Any) -> Stand | None:
        """Where the stream stands behind it."""
        ...

    async def make(self, events: list[Any]) -> list[Frame]:
        """Their frames."""
        ...


class Following:
    """One open subscription; `begin` it, and `cancel` it when its reader has gone."""

    __slots__ = ("_cursor", "_group", "_is_over", "_most", "_reader", "_source", "_task", "place", "subscription")

    def __init__(self, subscription: Subscription, group: Group, source: AsyncGenerator[Any]) -> None:
        self.subscription = subscription
        self.place = -1  # of the last frame that the reader was given
        self._cursor: str | None = None
        self._group = group
        self._source: AsyncGenerator[Any] | None = source
        self._reader: Reader | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        self._most = MOST  # events to make frames of: as many as it could take of the last
        group.count += 1

    def begin(self, reader: Reader) -> None:
        """Give the reader frames from now on."""
        self._reader = reader
        self._move_alone()

    def cancel(self) -> None:
        """The reader wants no more; it is not told."""
        self._finish()
        if self._task is not None:
            self._task.cancel()

    def end(self, failure: Exception | None = None) -> None:
        """The stream is over."""
        reader = self._reader
        if not self._is_over and reader is not None:
            self._finish()
            reader.end(failure)

    def _finish(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._group.count -= 1
            self._group.leave(self)
            self._reader = None

    def tell(self, portions: Sequence[Sequence[Frame]]) -> None:
        """Hand on what is new of the group's frames; a reader that is full gets it by itself, when it has room."""
        reader = self._reader
        if reader is None:
            return
        if not portions[0][0].is_behind(self.place):
            portions = _portions([frame for frames in portions for frame in frames if frame.is_behind(self.place)])
        if reader.is_full or self._take(portions) < len(portions):
            self._group.leave(self)
            self._move_alone()

    def _take(self, portions: Sequence[Sequence[Frame]]) -> int:
        """Give portions to the reader until it is full. Returns how many it was given."""
        taken = 0
        for frames in portions:
            reader = self._reader
            if reader is None or (taken and reader.is_full):
                break
            stand = frames[-1].stand
            if stand is not None:
                self.place, self._cursor = stand.place, stand.cursor
            reader.take(frames)
            taken += 1
        return taken

    def _move_alone(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        failure: Exception | None = None
        try:
            if await self._is_carried():
                return
        except Exception as error:
            failure = error
        finally:
            self._task = None
        self.end(failure)

    async def _is_carried(self) -> bool:
        """Move on by a source of one's own until the group carries this one; False when the stream ends before."""
        source, self._source = self._source, None
        is_first, is_live = source is not None, False
        try:
            await self._room()
            if source is None:
                source = await self.subscription.open(self._cursor)
            async for found in source:
                stand = await self._show(found if isinstance(found, list) else [found], is_first)
                is_live = is_live or (stand is not None and stand.is_live)
                if is_live and self._group.admit(self):
                    return True
                if is_live and not self._group.is_led:
                    self._group.lead(self, source)
                    source = None
                    return True
            return False
        finally:
            if source is not None:
                await source.aclose()

    async def _show(self, events: list[Any], is_first: bool) -> Stand | None:
        """Hand on events, as many at a time as the reader took of the last. Returns where the stream stands."""
        stand: Stand | None = None
        while events and self._reader is not None:
            frames = await self._group.frames(self.subscription, events[: self._most])
            if not self._is_over and self._reader.is_full:  # by others, meanwhile
                del frames[1:]  # the rest is made anew: nothing large waits
                self._most = 1
                await self._room()
            stand = frames[-1].stand
            # One who comes back has heard where it stands.
            portions = _portions(frames if is_first else [frame for frame in frames if not self._knows(frame)])
            given = self._take(portions)
            if given == len(portions):
                events, self._most = events[len(frames) :], min(MOST, 2 * self._most)
            else:
                self._most = sum(map(len, portions[:given]))
                events = events[self._most :]
            await self._room()
        return stand

    def _knows(self, frame: Frame) -> bool:
        return frame.is_mark and frame.stand is not None and frame.stand.place <= self.place

    async def _room(self) -> None:
        if self._reader is not None:
            await self._reader.room()


class Group:
    """Those who follow the same with the same rights; one of its own for who may share with nobody."""

    def __init__(self) -> None:
        self.count = 0  # of all, wherever they are
        self._kept: OrderedDict[Hashable, _Making] = OrderedDict()
        self._making: set[asyncio.Task[None]] = set()
        self._live: dict[Following, None] = {}
        self._place = 0  # of the last events that were handed to the live
        self._leading: asyncio.Task[None] | None = None

    @property
    def is_led(self) -> bool:
        """Whether it moves on."""
        return self._leading is not None

    def admit(self, following: Following) -> bool:
        """Carry one from now on, unless the group is ahead of it or does not move."""
        if self._leading is None or following.place < self._place:
            return False
        self._live[following] = None
        return True

    def lead(self, following: Following, source: AsyncGenerator[Any]) -> None:
        """Move on by the source of one for which nothing older is to come."""
        self._place = following.place
        self._live[following] = None
        self._leading = asyncio.create_task(self._lead(following.subscription, source), name="lead")

    def leave(self, following: Following) -> None:
        """Carry one no longer. Nobody to carry: nothing moves."""
        self._live.pop(following, None)
        if not self._live and self._leading is not None:
            self._leading.cancel()
            self._leading = None

    async def _lead(self, subscription: Subscription, source: AsyncGenerator[Any]) -> None:
        me = asyncio.current_task()
        failure: Exception | None = None
        try:
            async for found in source:
                await self._tell(await self.frames(subscription, found if isinstance(found, list) else [found]))
        except Exception as error:
            failure = error
        finally:
            await source.aclose()
        if self._leading is me:  # else nobody was left, and another may lead by now
            live, self._live, self._leading = self._live, {}, None
            for following in live:
                following.end(failure)

    async def _tell(self, frames: list[Frame]) -> None:
        stand = frames[-1].stand
        if stand is not None:
            self._place = stand.place
        portions = _portions(frames)
        for n, following in enumerate(list(self._live), 1):
            if following in self._live:
                following.tell(portions)
            if n % SLICE == 0:
                await asyncio.sleep(0)

    async def frames(self, subscription: Subscription, events: list[Any]) -> list[Frame]:
        """The frames of events, each made once, by the first who asks for it."""
        keys = [subscription.key(event) for event in events]
        if self.count < 2 or None in keys:
            return await subscription.make(events)
        now = asyncio.get_running_loop().time()
        found: list[_Making] = []
        missing: list[tuple[_Making, Any]] = []
        for key, event in zip(keys, events, strict=True):
            making = self._kept.get(key)
            if making is None or now - making.at > FRESH_S:
                making = self._kept[key] = _Making(now)
                missing.append((making, event))
            found.append(making)
        if missing:
            task = asyncio.create_task(_make(missing, subscription.make), name="shared-frames")
            self._making.add(task)
            task.add_done_callback(self._making.discard)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return [await making.wait() for making in found]


def _portions(frames: list[Frame]) -> list[list[Frame]]:
    """Frames as they may be given at once: all of them, mostly."""
    portions: list[list[Frame]] = []
    size = PORTION
    for frame in frames:
        if size >= PORTION:
            portions.append([])
            size = 0
        portions[-1].append(frame)
        size += len(frame.body)
    return portions


class _Making:
    """A frame that is being made, or was."""

    __slots__ = ("_error", "_frame", "_waiters", "at")

    def __init__(self, at: float) -> None:
        self.at = at
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def end(self, frame: Frame | None, error: BaseException | None = None) -> None:
        """It is there, or it failed."""
        self._frame, self._error = frame, error
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self) -> Frame:
        """The frame, when it is there."""
        if self._frame is None and self._error is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self._frame is None:
            raise RuntimeError("an event could not be shown") from self._error
        return self._frame


async def _make(missing: list[tuple[_Making, Any]], make: Callable[[list[Any]], Awaitable[list[Frame]]]) -> None:
    """Make frames for everybody who waits for them: none who leaves can cancel it."""
    frames: list[Frame] = []
    error: BaseException | None = None
    try:
        frames = await make([event for _, event in missing])
    except BaseException as failure:
        error = failure
        if not isinstance(failure, Exception):
            raise
    finally:
        for n, (making, _) in enumerate(missing):
            making.end(frames[n] if error is None else None, error)
