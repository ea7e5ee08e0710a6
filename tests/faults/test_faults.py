"""Whatever is killed, cut, lost or slow: every client sees 1 … n, and ends with what the database has."""

import asyncio
import random
from typing import Any
from uuid import UUID

import httpx
import pytest

from db.database import Database
from db.pages import EventPosition
from db.queries import events
from db.statements import raw_statement
from resolvers.pages import encode_event_cursor
from tests.client import Server
from tests.faults.model import Client, Writers, clients_of, settle, truth
from tests.faults.rig import Rig


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
    async with clients_of(running.urls, running.token, 4) as clients:
        async with writers.working():
            await asyncio.sleep(0.3)
            running.apis[0].kill()
            await asyncio.sleep(0.5)
            running.apis[0].start()
            await asyncio.to_thread(running.apis[0].wait)
            await asyncio.sleep(0.2)
        await settle(clients, writers.database)


async def test_a_process_dies_between_commit_and_publish(running: Rig, writers: Writers) -> None:
    """Nobody tells of the last event: it is found by looking."""
    first, second = running.apis
    query = "mutation Report($input: ReportTaskInput!) { reportTask(input: $input) { __typename } }"
    async with clients_of(lambda: [second.socket_url], running.token, 2) as clients:
        before, revisions = await truth(writers.database)
        (first.data_dir / "die").touch()
        headers = {"Authorization": f"Bearer {running.token}"}
        payload = {"query": query, "variables": {"input": {"taskId": next(iter(revisions)), "result": "done"}}}
        with pytest.raises(httpx.TransportError):
            async with httpx.AsyncClient() as http:
                await http.post(first.socket_url.replace("ws:", "http:"), json=payload, headers=headers)
        assert first.child is not None
        assert await asyncio.to_thread(first.child.wait, 5) == -9
        (first.data_dir / "die").unlink()
        first.start()
        assert (await truth(writers.database))[0] == before + 1
        await settle(clients, writers.database, 3)
        await asyncio.to_thread(first.wait)


async def test_valkey_is_cut_killed_and_restarted(running: Rig, writers: Writers) -> None:
    async with clients_of(running.urls, running.token) as clients:
        async with writers.working():
            for _ in range(3):
                await running.cut_valkey()
                await asyncio.sleep(0.2)
            await running.restart_valkey(1.0)
            await asyncio.sleep(0.3)
        await settle(clients, writers.database)


async def test_valkey_stays_away(running: Rig, writers: Writers) -> None:
    """Streams go on from looking, every second or two; /ready says so."""
    running.kill_valkey()
    try:
        async with clients_of(running.urls, running.token) as clients:
            async with writers.working():
                await asyncio.sleep(1.0)
            await settle(clients, writers.database, 5)
            async with httpx.AsyncClient() as http:
                answer = await http.get(running.apis[0].socket_url.replace("ws:", "http:").replace("graphql", "ready"))
            assert (answer.status_code, answer.json()["redis"]) == (200, "down")
            assert max(client.longest_silence_s for client in clients) < 3
    finally:
        running.valkey.start()
        running.valkey.wait()


async def test_postgres_is_restarted(running: Rig, writers: Writers) -> None:
    async with clients_of(running.urls, running.token) as clients:
        async with writers.working():
            await asyncio.sleep(0.3)
            await running.restart_postgres(0.5)
            await asyncio.sleep(0.3)
        await settle(clients, writers.database)
        assert max(client.connections for client in clients) == 1  # nobody was even cut


async def test_messages_are_dropped_doubled_and_reordered(running: Rig, writers: Writers) -> None:
    chance = random.Random(5)
    waiting: list[Any] = []

    async def publish(transaction: Any) -> None:
        if chance.random() < 0.2:
            return
        waiting.extend([transaction] * chance.choice((1, 1, 2)))
        while len(waiting) > 8:
            told = waiting.pop(chance.randrange(len(waiting)))
            await writers.bus.publish(told.emitted, told.log_heads)

    writers.publish = publish
    async with clients_of(running.urls, running.token) as clients:
        async with writers.working():
            await asyncio.sleep(1.5)
        await settle(clients, writers.database)


async def test_a_client_stops_reading_and_comes_back(running: Rig, writers: Writers) -> None:
    async with clients_of(running.urls, running.token) as clients:
        async with writers.working():
            clients[0].pause_s = 1.5
            await asyncio.sleep(2)
        await settle(clients, writers.database)


async def test_a_transaction_stays_open_behind_its_events(running: Rig, writers: Writers) -> None:
    holds = iter([0.0] * 20 + [1.0])
    writers.hold_s = lambda: next(holds, 0.0)
    async with clients_of(running.urls, running.token) as clients:
        async with writers.working():
            await asyncio.sleep(1.5)
        await settle(clients, writers.database)


# The classic mistake: events numbered by a sequence, which gives numbers in another order than transactions commit.
MUTANT = raw_statement(
    """
INSERT INTO events (topic, seq, kind, facts, at)
SELECT e.topic, nextval('mutant'), e.kind, e.facts, clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::jsonb[]) WITH ORDINALITY AS e(topic, kind, facts, n)
WHERE $4::uuid[] IS NOT NULL AND $5::timestamptz[] IS NOT NULL AND $6::text[] IS NOT NULL
  AND $7::text[] IS NOT NULL AND $8::text[] IS NOT NULL AND $9::bool[] IS NOT NULL
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
