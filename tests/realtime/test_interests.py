"""Streams that sleep through what does not concern them: they miss nothing of what does, and know where they stand."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

import pytest

from db.database import Database
from db.handles import Event as Written
from execution.plans.gathering import MOST, Gathering
from pubsub.bus import Bus
from pubsub.events import Event
from pubsub.hub import Hub, Pace
from pubsub.interests import Interest
from pubsub.streams import EventStream, Expired, Reached
from tests.realtime.conftest import EventLog, nothing_more, take, until
from tests.realtime.test_hub import remove

WORDS = ["a", "b", "c", "d", "e", None]
FEW = {"a", "b"}


async def write(database: Database, chosen: random.Random, count: int) -> list[Written]:
    """Commit events whose facts have words in several places."""
    async with database.write() as transaction:
        for _ in range(count):
            before, after, own = (chosen.choice(WORDS) for _ in range(3))
            facts: dict[str, Any] = {"before": before and {"word": before}, "after": after and {"word": after}}
            transaction.emit("tasks", "ThingChanged", facts if chosen.random() < 0.7 else {"word": own})
    return transaction.emitted


def concerns(facts: dict[str, Any], values: set[str]) -> bool:
    """The rule in its plainest form."""
    return any(part.get("word") in values for part in (facts, facts.get("before") or {}, facts.get("after") or {}))


def interested(hub: Hub, values: set[str], after: int | None = None) -> EventStream:
    return hub.subscribe("tasks", after, Interest("word", frozenset(values)))


async def collect(stream: EventStream, values: set[str], found: list[int], chosen: random.Random) -> None:
    """What concerns the reader, and at which pace it likes."""
    last = 0
    async for item in stream:
        place = item.seq
        assert place >= last
        last = place
        if isinstance(item, Event) and concerns(item.facts, values):
            found.append(item.seq)
        if chosen.random() < 0.2:
            await asyncio.sleep(chosen.random() / 100)


@pytest.mark.parametrize("seed", range(3))
async def test_all_that_concerns_it_comes_once_and_in_order(
    bus: Bus, database: Database, log: EventLog, seed: int
) -> None:
    """Messages are lost, doubled and swapped; readers are slow, come late and go; the ring is short."""
    chosen = random.Random(seed)
    pace = Pace(poll_s=(0.05, 0.1), grace_s=0.02, silence_s=0.1)
    sets: list[set[str]] = [{"a"}, {"b"}, FEW, {"c", "d", "e"}, {"nothing"}, {"e"}]
    written: list[Written] = []
    async with Hub(bus, log, pace=pace, ring=20) as hub, contextlib.AsyncExitStack() as stack:
        readers: list[tuple[set[str], int, list[int], asyncio.Task[None]]] = []
        for n in range(40):
            if n < 12:
                values, after = sets[n % len(sets)], chosen.choice([0, None])
                stream = await stack.enter_async_context(interested(hub, values, after))
                began, found = (0 if after == 0 else stream.seq), list[int]()
                readers.append((values, began, found, asyncio.create_task(collect(stream, values, found, chosen))))
            events = await write(database, chosen, chosen.choice([1, 1, 2, 30]))
            written += events
            told = [event for event in events if chosen.random() > 0.1] + chosen.sample(events, 1)
            if chosen.random() < 0.3:
                chosen.shuffle(told)
            for event in told:
                await bus.publish([event])
            await asyncio.sleep(chosen.choice([0, 0, 0.005, 0.02]))
        for values, began, found, reader in readers:
            wanted = [event.seq for event in written if event.seq > began and concerns(event.facts, values)]
            with contextlib.suppress(TimeoutError):
                await until(lambda found=found, wanted=wanted: len(found) >= len(wanted), 5)
            assert found == wanted
            reader.cancel()


async def test_it_is_not_woken_by_the_rest_but_knows_its_place(bus: Bus, database: Database, log: EventLog) -> None:
    pace = Pace(poll_s=(0.05, 0.1), silence_s=0.3)
    async with Hub(bus, log, pace=pace) as hub, interested(hub, {"x"}) as stream:
        assert await anext(stream) == Reached(0, is_live=True)
        async with database.write() as transaction:
            for word in ["y"] * 5:
                transaction.emit("tasks", "ThingChanged", {"word": word})
        await bus.publish(transaction.emitted)
        async with asyncio.timeout(2):
            assert await anext(stream) == Reached(5, is_live=True)
        async with database.write() as transaction:
            for word in ["y", "x", "y"]:
                transaction.emit("tasks", "ThingChanged", {"word": word})
        await bus.publish(transaction.emitted)
        (event,) = await take(stream, 1)
        assert (event.seq, event.facts) == (7, {"word": "x"})
        assert not [item.seq for item in await take_marks(stream) if isinstance(item, Event) and item.seq != 8]


async def take_marks(stream: EventStream) -> list[Any]:
    """Everything until it is silent again."""
    found: list[Any] = []
    async with asyncio.timeout(3):
        while not (found and isinstance(found[-1], Reached)):
            found.append(await anext(stream))
    assert found[-1] == Reached(8, is_live=True)
    return found


async def test_none_sleeps_through_what_retention_took(bus: Bus, database: Database, log: EventLog, hub: Hub) -> None:
    """Whether it would have concerned them nobody knows any more: they are told that something is gone."""
    async with interested(hub, {"x"}) as stream:
        assert await anext(stream) == Reached(0, is_live=True)
        waiting = asyncio.create_task(take(stream, 1))
        await asyncio.sleep(0.05)
        await write(database, random.Random(1), 5)
        await remove(database, 5)
        assert await waiting == [Expired(5)]
        async with database.write() as transaction:
            transaction.emit("tasks", "ThingChanged", {"word": "x"})
        await bus.publish(transaction.emitted)
        assert (await take(stream, 1))[0].seq == 6
        await nothing_more(stream)


async def test_what_left_is_found_no_more(hub: Hub) -> None:
    async with interested(hub, FEW), interested(hub, {"a"}):
        topic = hub._topics["tasks"]
        assert len(topic._interests.of(Event("tasks", 1, "k", {"word": "a"}, None))) == 2  # type: ignore[arg-type]
    assert not topic._interests._names


# Readings together


async def test_readings_that_come_together_are_one_and_the_next_wait_for_it() -> None:
    calls: list[list[int]] = []
    gate = asyncio.Event()

    async def batch(reader: Any, keys: Sequence[int], args: Any) -> list[int]:
        calls.append(list(keys))
        await gate.wait()
        return [key * 10 for key in keys]

    gathering = Gathering()
    first = [asyncio.create_task(gathering.read(batch, None, [n, 1], None)) for n in range(3)]
    await asyncio.sleep(0.01)
    second = [asyncio.create_task(gathering.read(batch, None, [n], None)) for n in range(MOST + 5)]
    await asyncio.sleep(0.01)
    second[3].cancel()
    assert calls == [[0, 1, 2]]
    gate.set()
    assert [await task for task in first] == [[0, 10], [10, 10], [20, 10]]
    assert [await task for n, task in enumerate(second) if n != 3] == [[n * 10] for n in range(MOST + 5) if n != 3]
    assert [len(keys) for keys in calls] == [3, MOST, 5]
    assert await gathering.read(batch, None, [7], None) == [70]


async def test_a_reading_that_fails_fails_for_those_who_asked() -> None:
    failing = True

    async def batch(reader: Any, keys: Sequence[int], args: Any) -> list[int]:
        if failing:
            raise ConnectionError("away")
        return list(keys)

    gathering = Gathering()
    answers = await asyncio.gather(*(gathering.read(batch, None, [n], None) for n in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionError] * 3
    failing = False
    assert await gathering.read(batch, None, [1, 2], None) == [1, 2]
