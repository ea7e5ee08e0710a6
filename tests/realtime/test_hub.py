"""What a subscriber sees: every event once and in order, whatever happens to messages, Redis and its own speed."""

import asyncio
import gc
import logging
import random
import uuid
from datetime import UTC, datetime

import pytest

from db.database import Database
from db.handles import NewLogLine
from pubsub.bus import Bus
from pubsub.events import Event
from pubsub.hub import Hub, Pace
from pubsub.streams import Expired, Reached, Span
from pubsub.topics import log_topic
from tests.realtime.conftest import EventLog, RedisServer, nothing_more, take, until


async def test_events_arrive_in_order_and_only_on_their_topic(bus: Bus, hub: Hub, log: EventLog) -> None:
    before = await log.write("tasks", 3)
    async with hub.subscribe("tasks") as tasks, hub.subscribe("agents") as agents:
        assert tasks.seq == before[-1].seq
        for _ in range(5):
            await bus.publish(await log.write("tasks", 2))
        await bus.publish(await log.write("agents"))
        got = await take(tasks, 10)
        assert [event.seq for event in got] == list(range(4, 14))
        assert [(event.topic, event.kind) for event in await take(agents, 1)] == [("agents", "ThingChanged")]
        await nothing_more(tasks)
    assert hub.watched == frozenset()


async def test_the_wire_keeps_an_event_as_it_is(bus: Bus, hub: Hub, log: EventLog) -> None:
    async with hub.subscribe("tasks") as tasks:
        (written,) = await log.write("tasks")
        await bus.publish([written])
        (got,) = await take(tasks, 1)
    assert (got.topic, got.seq, got.kind, got.facts, got.at) == (
        written.topic,
        written.seq,
        written.kind,
        written.facts,
        written.at,
    )


async def test_dropped_doubled_and_reordered_messages_do_not_show(bus: Bus, hub: Hub, log: EventLog) -> None:
    async with hub.subscribe("tasks") as tasks:
        written = [event for _ in range(100) for event in await log.write("tasks")]
        chosen = random.Random(7)
        messages = [event for event in written[:-1] if chosen.random() > 0.3] * 2
        chosen.shuffle(messages)
        for event in [*messages, written[-1]]:
            await bus.publish([event])
        assert [event.seq for event in await take(tasks, 100)] == list(range(1, 101))
        await nothing_more(tasks)


async def test_a_hole_is_read_once_for_all_subscribers(bus: Bus, hub: Hub, log: EventLog) -> None:
    streams = [hub.subscribe("tasks") for _ in range(20)]
    for stream in streams:
        await stream.__aenter__()
    await log.write("tasks", 9)
    reads = log.read_count
    await bus.publish(await log.write("tasks"))
    for stream in streams:
        assert [event.seq for event in await take(stream, 10)] == list(range(1, 11))
        await stream.aclose()
    assert log.read_count == reads + 1


async def test_a_slow_subscriber_goes_on_from_the_log(bus: Bus, log: EventLog) -> None:
    async with Hub(bus, log, ring=10) as hub, hub.subscribe("tasks") as slow, hub.subscribe("tasks") as fast:
        for _ in range(3):
            await bus.publish(await log.write("tasks", 30))
            assert len(await take(fast, 30)) == 30
        assert [event.seq for event in await take(slow, 90)] == list(range(1, 91))
        await bus.publish(await log.write("tasks"))
        assert (await take(slow, 1))[0].seq == 91


async def remove(database: Database, up_to: int) -> None:
    """What retention does."""
    async with database.write() as transaction:
        await transaction.connection.execute("DELETE FROM events WHERE seq <= $1", up_to)
        await transaction.connection.execute("UPDATE topics SET min_seq = $1", up_to)


async def test_one_that_outlived_retention_is_told_and_goes_on(bus: Bus, database: Database, log: EventLog) -> None:
    async with Hub(bus, log, ring=1) as hub, hub.subscribe("tasks") as slow:
        await bus.publish(await log.write("tasks", 5))
        await until(lambda: hub._topics["tasks"].seq == 5)
        await remove(database, 3)
        assert await take(slow, 1) == [Expired(5)]
        await bus.publish(await log.write("tasks"))
        assert [event.seq for event in await take(slow, 1)] == [6]


@pytest.mark.parametrize("ring", [1, 1_000])
async def test_replay_and_live_are_one_stream(bus: Bus, log: EventLog, ring: int) -> None:
    async with Hub(bus, log, ring=ring) as hub, hub.subscribe("tasks") as early:
        for _ in range(40):
            await bus.publish(await log.write("tasks", 30))
        await until(lambda: hub._topics["tasks"].seq == 1_200)
        for after in (0, 3, 1_170, 1_199, 1_200):
            async with hub.subscribe("tasks", after) as stream:
                got = [await anext(stream) for _ in range(1_200 - after)]
                assert [event.seq for event in got if isinstance(event, Event)] == list(range(after + 1, 1_201))
                assert await anext(stream) == Reached(1_200, is_live=True)
                await nothing_more(stream, 0.05)
        async with hub.subscribe("tasks", 1_150) as stream:
            await bus.publish(await log.write("tasks", 10))
            assert [event.seq for event in await take(stream, 60)] == list(range(1_151, 1_211))
        assert len(await take(early, 1_210)) == 1_210


@pytest.mark.parametrize("after", [-1, 2, 7, 2**62])
async def test_a_place_that_is_not_kept_or_never_was(
    bus: Bus, hub: Hub, database: Database, log: EventLog, after: int
) -> None:
    await log.write("tasks", 6)
    await remove(database, 3)
    async with hub.subscribe("tasks", after) as stream:
        assert [await anext(stream), await anext(stream)] == [Expired(6), Reached(6, is_live=True)]
        await bus.publish(await log.write("tasks"))
        assert [event.seq for event in await take(stream, 1)] == [7]


async def test_a_place_whose_events_are_all_gone(bus: Bus, hub: Hub, database: Database, log: EventLog) -> None:
    await log.write("tasks", 6)
    await remove(database, 6)
    async with hub.subscribe("tasks", 6) as exact, hub.subscribe("tasks", 5) as behind:
        assert await anext(exact) == Reached(6, is_live=True)
        assert await anext(behind) == Expired(6)


async def test_a_cursor_that_is_ahead_of_what_was_heard_is_waited_for(bus: Bus, hub: Hub, log: EventLog) -> None:
    """A page was read after its commit and before the message: what it has must not come again."""
    async with hub.subscribe("tasks") as early:
        written = await log.write("tasks", 5)
        async with hub.subscribe("tasks", 5) as stream:
            await bus.publish([*written, *await log.write("tasks")])
            assert [event.seq for event in await take(stream, 1)] == [6]
            assert [event.seq for event in await take(early, 6)] == [1, 2, 3, 4, 5, 6]


async def test_a_lost_last_message_is_found_by_looking(bus: Bus, log: EventLog) -> None:
    pace = Pace(poll_s=(0.1, 0.2), grace_s=0.05)
    task_id = uuid.uuid4()
    async with Hub(bus, log, pace=pace) as hub, hub.subscribe("tasks") as tasks, hub.subscribe_log(task_id) as lines:
        await log.write("tasks", 3)
        await log.write(log_topic(task_id), 2)
        assert [event.seq for event in await take(tasks, 3, 2)] == [1, 2, 3]
        seen = 0
        while seen < 2:  # there is no such task: the stream is told to look at it, with and without lines
            (span,) = await take(lines, 1, 2)
            seen = span.last
        reads = log.read_count
        await asyncio.sleep(0.5)
        assert log.read_count - reads <= 6  # one query for all topics; nothing is read that did not move


async def test_silence_is_told_by_the_place(bus: Bus, log: EventLog) -> None:
    pace = Pace(poll_s=(0.05, 0.1), silence_s=0.3)
    async with Hub(bus, log, pace=pace) as hub, hub.subscribe("tasks") as tasks:
        assert await anext(tasks) == Reached(0, is_live=True)
        await bus.publish(await log.write("tasks", 2))
        shown = [await anext(tasks), await anext(tasks)]
        assert [event.seq for event in shown if isinstance(event, Event)] == [1, 2]
        for _ in range(2):
            async with asyncio.timeout(2):
                assert await anext(tasks) == Reached(2, is_live=True)


async def test_many_writers_and_many_subscribers(bus: Bus, hub: Hub, log: EventLog) -> None:
    streams = [hub.subscribe("tasks") for _ in range(10)]
    for stream in streams:
        await stream.__aenter__()

    async def write() -> None:
        for _ in range(25):
            await bus.publish(await log.write("tasks"))

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(take(stream, 200, 30)) for stream in streams]
        for _ in range(8):
            group.create_task(write())
    for reader in readers:
        assert [event.seq for event in reader.result()] == list(range(1, 201))


async def test_a_subscriber_that_joins_between_commit_and_message(bus: Bus, hub: Hub, log: EventLog) -> None:
    early = await log.write("tasks")
    async with hub.subscribe("tasks") as tasks:
        await bus.publish(early)
        await bus.publish(await log.write("tasks"))
        assert [event.seq for event in await take(tasks, 1)] == [2]


async def test_redis_killed_and_restarted_loses_nothing(
    bus: Bus, hub: Hub, log: EventLog, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with hub.subscribe("tasks") as tasks:
        await bus.publish(await log.write("tasks"))
        await take(tasks, 1)
        await redis.kill()
        await until(lambda: bus.status == "down")
        for _ in range(10):
            started = asyncio.get_running_loop().time()
            await bus.publish(await log.write("tasks"))
            assert asyncio.get_running_loop().time() - started < 0.5  # nobody waits for a Redis that is away
        redis.start()
        assert [event.seq for event in await take(tasks, 10)] == list(range(2, 12))
        await until(lambda: bus.status == "up")
        await bus.publish(await log.write("tasks"))
        assert (await take(tasks, 1))[0].seq == 12
    lost = [record for record in caplog.records if record.levelname == "WARNING"]
    assert 1 <= len(lost) <= 2  # one line for reading, one for publishing; not one per event
    assert all("\n" not in record.getMessage() for record in lost)


async def test_ten_cuts_of_the_connection_lose_nothing(bus: Bus, hub: Hub, log: EventLog, redis: RedisServer) -> None:
    async with hub.subscribe("tasks") as tasks:
        for cut in range(10):
            await redis.cut_clients()
            await bus.publish(await log.write("tasks"))
            assert [event.seq for event in await take(tasks, 1)] == [cut + 1]


async def test_what_another_process_published_during_a_gap_is_healed(
    bus: Bus, hub: Hub, log: EventLog, database: Database, redis: RedisServer, prefix: str
) -> None:
    async with (
        hub.subscribe("tasks") as tasks,
        Bus(redis.url, epoch=database.epoch, prefix=prefix, listen=False) as other,
    ):
        await redis.cut_clients()
        written = await log.write("tasks", 4)
        await other.publish(written)
        assert [event.seq for event in await take(tasks, 4)] == [1, 2, 3, 4]


async def test_a_database_that_is_away_for_a_moment(bus: Bus, hub: Hub, log: EventLog) -> None:
    async with hub.subscribe("tasks") as tasks:
        await log.write("tasks", 3)
        last = await log.write("tasks")
        log.is_away = True
        await bus.publish(last)
        await nothing_more(tasks, 0.3)
        log.is_away = False
        assert [event.seq for event in await take(tasks, 4)] == [1, 2, 3, 4]


async def test_log_notices_cover_every_line_once(bus: Bus, hub: Hub, database: Database) -> None:
    task_id = uuid.uuid4()
    now = datetime.now(UTC)

    async def append(count: int, *, publish: bool = True) -> None:
        async with database.write() as transaction:
            transaction.append_log(NewLogLine(task_id, now, "INFO", "STDOUT", "line") for _ in range(count))
        if publish:
            await bus.publish(transaction.emitted, transaction.log_heads)

    # The lines' task is not needed for their numbers; without its foreign key the log is all that is tested.
    async with database.write() as transaction:
        await transaction.connection.execute("ALTER TABLE log_lines DROP CONSTRAINT IF EXISTS fk_log_lines_task_id")
    await append(2)
    async with hub.subscribe_log(task_id) as notices, hub.subscribe("logs") as batches:
        assert notices.seq == 2
        await append(3)
        assert await take(notices, 1) == [Span(3, 5)]
        await append(4, publish=False)
        await append(1)
        assert await take(notices, 1) == [Span(6, 10)]
        assert [event.facts["last"] for event in await take(batches, 3)] == [5, 9, 10]
        await nothing_more(notices)
    assert hub.watched == frozenset()


async def test_a_log_that_grew_during_a_gap(bus: Bus, hub: Hub, log: EventLog, redis: RedisServer) -> None:
    task_id = uuid.uuid4()
    topic = log_topic(task_id)
    async with hub.subscribe_log(task_id) as notices:
        await log.write(topic, 3)
        await redis.cut_clients()
        seen = 0
        while seen < 3:  # the first may have no lines: the task may have changed in the gap
            (span,) = await take(notices, 1)
            seen = span.last
            assert span.first <= 1


async def test_a_change_of_the_task_wakes_who_follows_its_log(bus: Bus, hub: Hub, log: EventLog) -> None:
    """A final status writes no line, and the stream must end."""
    (other, event) = await log.write("tasks", 2)
    async with hub.subscribe_log(event.facts["id"]) as notices:
        await bus.publish([other])
        await nothing_more(notices)
        await bus.publish([event])
        assert await take(notices, 1) == [Span(1, 0)]
        await nothing_more(notices)


async def test_unwatched_topics_cost_nothing(bus: Bus, hub: Hub, log: EventLog) -> None:
    await bus.publish(await log.write("tasks", 50))
    stream = hub.subscribe("agents")
    await stream.__aenter__()
    reads = log.read_count
    del stream  # a stream that was dropped without being left
    gc.collect()
    await log.write("agents", 5)
    await bus.publish(await log.write("agents"))
    await until(lambda: not hub.watched)
    assert log.read_count == reads


async def test_a_stream_enters_by_itself_and_is_left_once(bus: Bus, hub: Hub, log: EventLog) -> None:
    stream = hub.subscribe("tasks")
    waiting = asyncio.create_task(take(stream, 1))
    await until(lambda: "tasks" in hub.watched)
    await asyncio.sleep(0.05)
    await bus.publish(await log.write("tasks"))
    assert (await waiting)[0].seq == 1
    await stream.aclose()
    await stream.aclose()
    assert hub.watched == frozenset()


FOREIGN = [
    "no json",
    "5",
    "null",
    "[]",
    "{}",
    '{"epoch": 1, "topic": "tasks"}',
    '{"epoch": "EPOCH", "topic": "tasks", "seq": "1", "kind": "X", "facts": {}, "at": "2025-01-01T00:00:00Z"}',
    '{"epoch": "EPOCH", "topic": "tasks", "seq": 0, "kind": "X", "facts": {}, "at": "2025-01-01T00:00:00Z"}',
    '{"epoch": "EPOCH", "topic": "tasks", "seq": NEXT, "kind": "X", "facts": [], "at": "2025-01-01T00:00:00Z"}',
    '{"epoch": "EPOCH", "topic": "tasks", "seq": NEXT, "kind": "X", "facts": {}, "at": "2025-01-01T00:00:00"}',
    '{"epoch": "EPOCH", "topic": "log:UUID", "last": true}',
    '{"epoch": "EPOCH", "topic": "logs", "facts": {"task": "UUID", "first": true, "last": 1}}',
    '{"epoch": "EPOCH", "topic": "logs", "facts": {"task": null, "first": 1, "last": 1}}',
    '{"epoch": "EPOCH", "topic": "logs", "facts": {"task": "UUID", "first": 1, "last": 1},'
    ' "lines": [["now", "INFO", "STDOUT", "", false]]}',
    '{"epoch": "EPOCH", "topic": "logs", "facts": {"task": "UUID", "first": 1, "last": 2},'
    ' "lines": [[0, "INFO", "STDOUT", "", false]]}',
    '{"epoch": "another", "topic": "tasks", "seq": NEXT, "kind": "X", "facts": {}, "at": "2025-01-01T00:00:00Z"}',
    "\\xff\\xfe",
]


async def test_foreign_and_malformed_messages_are_ignored(
    bus: Bus, hub: Hub, log: EventLog, redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = uuid.uuid4()
    async with hub.subscribe("tasks") as tasks, hub.subscribe("logs"), hub.subscribe_log(task_id):
        for seq, message in enumerate(FOREIGN, start=1):
            text = message.replace("EPOCH", bus.epoch).replace("NEXT", str(seq)).replace("UUID", str(task_id))
            for _ in range(3):
                await redis.command("PUBLISH", f"{prefix}:events", text)
            await bus.publish(await log.write("tasks"))
            assert [(event.seq, event.kind) for event in await take(tasks, 1)] == [(seq, "ThingChanged")], message
    assert len([record for record in caplog.records if "malformed" in record.message]) == 1
