"""Whatever is killed, cut, lost or slow: every client sees 1 … n, and ends with what the database has."""

import asyncio
import random
from typing import Any
from uuid import UUID

import pytest

from db.database import Database
from db.pages import EventPosition
from db.queries import events
from db.statements import raw_statement
from pubsub.watching import RING
from resolvers.pages import encode_event_cursor
from tests.client import Server
from tests.faults.inject import Garbler, outage
from tests.faults.model import Client, Writers, clients_of, settle, truth
from tests.faults.rig import Rig
from tests.realtime.conftest import until
from tests.redis_servers import SERVERS, server_program


async def test_sockets_cut_at_random(running: Rig, writers: Writers) -> None:
    async with clients_of(running.urls, running.token, 4) as clients:
        async with writers.working():
            for n in range(40):
                await asyncio.sleep(0.05)
                clients[n % 4].cut()
        await settle(clients, writers.database)
        assert min(client.connections for client in clients) >= 5
        assert min(client.delivered for client in clients) > 300


async def test_a_process_is_killed_and_comes_back(running: Rig, writers: Writers) -> None:
    first, second = running.apis
    async with (
        clients_of(lambda: [first.socket_url], running.token, 2) as near,
        clients_of(lambda: [second.socket_url], running.token, 1, seed=2) as far,
    ):
        async with writers.working():
            await asyncio.sleep(0.3)
            first.kill()
            await asyncio.sleep(0.5)
            first.start()
            await asyncio.to_thread(first.wait)
            await asyncio.sleep(0.2)
        await settle([*near, *far], writers.database)
        assert min(client.connections for client in near) >= 2
        assert far[0].connections == 1


async def test_processes_die_between_commit_and_publish(running: Rig, writers: Writers) -> None:
    """Nobody tells of the last event: it is found by looking."""
    first, second = running.apis
    for dying, living in ((first, second), (second, first)):
        url = living.socket_url
        async with clients_of(lambda url=url: [url], running.token, 2) as clients:  # type: ignore[misc]
            before, revisions = await truth(writers.database)
            await dying.die_unpublished(next(iter(revisions)), f"told by nobody, {dying.port}")
            assert (await truth(writers.database))[0] == before + 1
            dying.start()
            await settle(clients, writers.database)
            assert [client.delivered for client in clients] == [1, 1]
            await asyncio.to_thread(dying.wait)


async def test_two_processes_tell_each_other(running: Rig, writers: Writers) -> None:
    """Changes come in through both, and clients of each see all of them, in one order."""
    first, second = running.apis
    async with (
        clients_of(lambda: [first.socket_url], running.token, 2) as near,
        clients_of(lambda: [second.socket_url], running.token, 2, seed=2) as far,
    ):
        _, revisions = await truth(writers.database)
        async with writers.working():
            for n, task in enumerate(list(revisions)[:40]):
                await running.apis[n % 2].report(task, f"by process {n % 2}")
        await settle([*near, *far], writers.database)
        assert len({client.delivered for client in [*near, *far]}) == 1
        assert [set(client.served) for client in (near[0], far[0])] == [{first.socket_url}, {second.socket_url}]


@pytest.mark.parametrize("name", SERVERS)
async def test_redis_is_cut_killed_and_restarted(running: Rig, writers: Writers, name: str) -> None:
    async with running.served_by(server_program(name)), clients_of(running.urls, running.token) as clients:
        async with writers.working():
            cut = 0
            for _ in range(3):
                cut += await running.cut_valkey()
                await asyncio.sleep(0.2)
            assert cut >= 3  # the readers of two processes, and who published
            before = await running.redis_run()
            await running.restart_valkey(1.0)
            assert await running.redis_run() != before
            await asyncio.sleep(0.3)
        await settle(clients, writers.database)


async def test_redis_stays_away(running: Rig, writers: Writers) -> None:
    """Streams go on from looking, every second or two, and lose nothing; /ready says so, and when it is over."""
    async with clients_of(running.urls, running.token) as clients:
        found = await outage(running, writers, clients, away_s=3.5)
        assert [answer["redis"] for answer in found.ready] == ["down", "down"]
        assert [answer["status"] for answer in found.ready] == ["degraded", "degraded"]
        assert min(found.seen_meanwhile) > 0  # not only when it was over
        await settle(clients, writers.database)
    await running.ready()


async def test_postgres_is_restarted(running: Rig, writers: Writers) -> None:
    before = await started_at(writers.database)
    async with clients_of(running.urls, running.token) as clients:
        async with writers.working():
            await asyncio.sleep(0.3)
            await running.restart_postgres(0.5)
            await asyncio.sleep(0.3)
        await settle(clients, writers.database)
        assert max(client.connections for client in clients) == 1  # nobody was even cut
    assert await started_at(writers.database) != before
    assert writers.failed > 0


async def test_messages_are_dropped_doubled_and_reordered(running: Rig, writers: Writers) -> None:
    garbler = Garbler(writers.bus, random.Random(5))
    writers.publish = garbler.publish
    async with clients_of(running.urls, running.token) as clients:
        async with writers.working():
            await until(lambda: min(garbler.dropped, garbler.doubled, garbler.swapped) > 50, 20)
        await settle(clients, writers.database)


async def test_a_client_stops_reading_and_comes_back(running: Rig, writers: Writers) -> None:
    first = running.apis[0]
    async with clients_of(lambda: [first.socket_url], running.token) as clients:
        slow, other = clients[:2]
        slow.receive_buffer = 4096
        slow.cut()
        await until(lambda: slow.socket is not None and slow.connections == 2)
        assert slow.socket is not None
        port = slow.socket.transport.get_extra_info("sockname")[1]
        async with writers.working():
            slow.pause()
            await until(
                lambda: other.last - slow.last > 2 * RING, 20
            )  # what it has not taken is not in memory any more
            assert first.unsent_bytes(port) > 0
            slow.resume()
            await asyncio.sleep(0.2)
        await settle(clients, writers.database)


async def test_a_transaction_stays_open_behind_its_events(running: Rig, writers: Writers) -> None:
    """Later ones wait for it: nothing can be seen that an earlier number may still come before."""
    holds = iter([0.0] * 20 + [1.0])
    writers.hold_s = lambda: next(holds, 0.0)
    async with clients_of(running.urls, running.token) as clients:
        async with writers.working():
            await asyncio.sleep(1.5)
        await settle(clients, writers.database)
        assert writers.held == 1
        assert min(client.longest_silence_s for client in clients) > 0.9


async def started_at(database: Database) -> object:
    async with database.write() as transaction:
        return await transaction.connection.fetchval("SELECT pg_postmaster_start_time()")


# The classic mistake: events numbered by a sequence, which gives numbers in another order than transactions commit.
MUTANT = raw_statement(
    """
INSERT INTO events (topic, seq, kind, facts, at)
SELECT e.topic, nextval('mutant'), e.kind, e.facts, clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::jsonb[]) WITH ORDINALITY AS e(topic, kind, facts, n)
ORDER BY e.n
RETURNING topic, seq, kind, facts, at
""",
    events.EmittedRow,
)


@pytest.mark.parametrize("is_mutant", [False, True], ids=["as-built", "mutant-bigserial"])
async def test_the_model_finds_events_that_are_numbered_by_a_sequence(
    server: Server, database: Database, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that the log as built passes must fail with the mutant: a suite that cannot see it proves nothing."""
    chance = random.Random(3)
    writers = Writers(database, server.bus, hold_s=lambda: chance.choice((0.0, 0.0, 0.03)))
    await writers.start()
    if is_mutant:
        seq, _ = await truth(database)
        async with database.write() as transaction:
            await transaction.connection.execute(f"CREATE SEQUENCE mutant START {seq + 1}")
        monkeypatch.setattr(events, "EMIT", MUTANT)
    async with clients_of(lambda: [server.socket_url], server.token, 2) as clients:
        async with writers.working():
            await asyncio.sleep(1.0)
        await asyncio.sleep(0.3)
        wrong = [(client.lost, client.doubled, client.expired) for client in clients]
        assert [any(counts) for counts in wrong] == [is_mutant, is_mutant], wrong


def test_the_model_itself_sees_holes_and_doubles() -> None:
    def event(seq: int) -> dict[str, Any]:
        cursor = encode_event_cursor(EventPosition(UUID(int=0), "tasks", seq))
        return {
            "__typename": "TaskChanged",
            "cursor": cursor,
            "at": "2026-01-01T00:00:00.000Z",
            "task": {"id": "t", "revision": seq},
        }

    client = Client(list, "", random.Random(1))
    client.take({"__typename": "Checkpoint", "cursor": event(4)["cursor"]})
    for seq in (5, 6, 8, 8, 7):
        client.take(event(seq))
    assert (client.lost, client.doubled, client.delivered) == (1, 2, 5)
