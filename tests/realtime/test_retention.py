"""Old events go, from the oldest on; who follows from before them is told, and nobody else notices."""

from datetime import UTC, datetime, timedelta

from db.database import Database
from jobs.retention import Retention
from pubsub.bus import Bus
from pubsub.hub import Hub
from pubsub.streams import Expired, Reached
from tests.conftest import Fetch
from tests.realtime.conftest import EventLog, take

NOW = datetime(2030, 1, 10, tzinfo=UTC)


async def age(database: Database, topic: str, first: int, last: int, days: float) -> None:
    async with database.write() as transaction:
        await transaction.connection.execute(
            "UPDATE events SET at = $4 WHERE topic = $1 AND seq BETWEEN $2 AND $3",
            topic,
            first,
            last,
            NOW - timedelta(days=days),
        )


async def test_what_is_older_than_a_week_goes(
    bus: Bus, hub: Hub, database: Database, log: EventLog, fetch: Fetch
) -> None:
    await log.write("tasks", 30)
    await log.write("agents", 5)
    await log.write("log:00000000-0000-0000-0000-000000000001", 3)
    for topic in ("tasks", "agents", "log:00000000-0000-0000-0000-000000000001"):
        await age(database, topic, 1, 20, 8)
    await age(database, "tasks", 21, 30, 6)
    async with hub.subscribe("tasks") as here, hub.subscribe("tasks", 20) as away, hub.subscribe("tasks", 19) as late:
        other = Retention(database, lambda: NOW)
        assert await other.prune(batch=7) == 25
        assert await Retention(database, lambda: NOW).prune() == 0  # another holds the lease
        assert [event.seq for event in await take(away, 10)] == list(range(21, 31))
        assert await take(late, 1) == [Expired(30)]
        assert await anext(here) == Reached(30, is_live=True)
        await bus.publish(await log.write("tasks"))
        for stream in (here, away, late):
            assert [event.seq for event in await take(stream, 1)] == [31]
    heads = {row["name"]: (row["seq"], row["min_seq"]) for row in await fetch("SELECT * FROM topics")}
    assert heads == {"tasks": (31, 20), "agents": (5, 5), "log:00000000-0000-0000-0000-000000000001": (3, 0)}
    assert await other.prune() == 0


async def test_a_clock_that_was_set_back_leaves_no_hole(database: Database, log: EventLog, fetch: Fetch) -> None:
    await log.write("tasks", 10)
    await age(database, "tasks", 1, 4, 8)
    await age(database, "tasks", 5, 5, 1)
    await age(database, "tasks", 6, 8, 9)
    assert await Retention(database, lambda: NOW).prune() == 4
    assert [row["seq"] for row in await fetch("SELECT seq FROM events ORDER BY seq")] == list(range(5, 11))
    assert (await fetch("SELECT min_seq FROM topics"))[0]["min_seq"] == 4
