"""Nothing runs longer than it may, or for nobody: answers in time, and no statement is left behind in PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from domain.records import AgentRecord, Batch
from execution.limits import Limits
from local import StoreUrls
from settings import Settings
from tests.client import Server
from tests.pgbouncer import straight
from tests.serving import serving

HEALTH = "{ health { status } }"
LONG = {  # each waits for the lock below, in another place
    "root": "{ tasks { nodes { id } } }",
    "batch": "{ agents { nodes { name currentTasks { nodes { id } } } } }",
    "beside each other": "{ a: tasks { nodes { id } } b: tasks { totalCount } }",
    "core": "{ __typename tasks { nodes { id } } __schema { queryType { name } } }",
}
NO_TASK, NO_CONVERSATION = "task_" + 32 * "0", "conversation_" + 32 * "0"
LINK = f'mutation {{ linkTask(input: {{taskId: "{NO_TASK}", conversationId: "{NO_CONVERSATION}"}}) {{ __typename }} }}'
WAITING = "state = 'active' AND wait_event_type = 'Lock'"
NONE, SOME = range(1), range(1, 100)

Count = Callable[[str], Awaitable[int]]


@asynccontextmanager
async def _locked(server: Server) -> AsyncIterator[Count]:
    """The tasks cannot be read inside the block; counts the service's connections that are in a state."""
    arguments = straight(server.database.url)
    locker, watcher = await asyncpg.connect(**arguments), await asyncpg.connect(**arguments)

    async def count(condition: str) -> int:
        return int(
            await watcher.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                f" AND application_name = 'fleetgraph' AND {condition}"
            )
        )

    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
            yield count
    finally:
        await locker.close()
        await watcher.close()


async def _until(count: Count, wanted: range) -> None:
    """Wait until so many statements of the service wait for the lock."""
    async with asyncio.timeout(8):
        while await count(WAITING) not in wanted:  # noqa: ASYNC110 (PostgreSQL does not tell)
            await asyncio.sleep(0.02)


async def _send(server: Server, query: str) -> asyncio.StreamWriter:
    """A request whose answer nobody waits for yet."""
    body = json.dumps({"query": query}).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = ["POST /graphql HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    head += [f"Content-Length: {len(body)}", f"Authorization: Bearer {server.token}", "", ""]
    writer.write("\r\n".join(head).encode() + body)
    return writer


async def _is_well(server: Server) -> None:
    """The server answers, with all connections of its pool."""
    answers = await asyncio.gather(*(server.query(LONG["root"]) for _ in range(20)))
    assert all("tasks" in answer for answer in answers)


@pytest.fixture
async def quick(settings: Settings, database_url: str, store_urls: StoreUrls) -> AsyncIterator[Server]:
    """A server where an operation may take a second."""
    chosen = replace(settings, limits=Limits(seconds=1))
    async with serving(chosen, database_url, store_urls.redis_url) as running:
        await running.write(Batch(agents=[AgentRecord("a", "laptop")]))
        yield running


@pytest.mark.parametrize("query", LONG.values(), ids=LONG)
async def test_a_client_that_goes_takes_its_statements_along(server: Server, query: str) -> None:
    await server.write(Batch(agents=[AgentRecord("a", "laptop")]))
    async with _locked(server) as count:
        writer = await _send(server, query)
        await _until(count, SOME)
        writer.close()
        await _until(count, NONE)
    await _is_well(server)


async def test_a_client_that_stays_gets_its_answer(server: Server) -> None:
    async with _locked(server) as count:
        asked = asyncio.create_task(server.query(LONG["root"]))
        await _until(count, SOME)
        await asyncio.sleep(0.2)  # longer than the server waits before it looks for the client
        assert not asked.done()
    assert await asked == {"tasks": {"nodes": []}}


@pytest.mark.parametrize("query", LONG.values(), ids=LONG)
async def test_an_operation_that_takes_too_long(quick: Server, query: str) -> None:
    async with _locked(quick) as count:
        async with asyncio.timeout(5):
            response = await quick.post(query)
        (error,) = response.json()["errors"]
        assert (response.status_code, response.json()["data"]) == (200, None)
        assert error["extensions"] == {"code": "TIMEOUT"}
        assert error["message"].startswith("This took longer than 1 s")
        await _until(count, NONE)
    await _is_well(quick)


async def test_a_mutation_that_takes_too_long_changes_nothing(quick: Server) -> None:
    async with _locked(quick) as count:
        answer = (await quick.post(LINK)).json()
        assert answer["errors"][0]["extensions"]["code"] == "TIMEOUT"
        await _until(count, NONE)
    again = await quick.query(LINK)
    assert again["linkTask"]["__typename"] == "NotFound"


async def test_a_statement_that_postgresql_stops(server: Server) -> None:
    """Its own limit lies below that of the operation."""
    async with _locked(server) as count:
        asked = asyncio.create_task(server.error(LONG["root"]))
        await _until(count, SOME)
        await count(f"CASE WHEN {WAITING} THEN pg_cancel_backend(pid) END")
        error = await asked
    assert error["extensions"]["code"] == "TIMEOUT"


async def test_an_operation_over_a_socket_that_takes_too_long(quick: Server) -> None:
    async with _locked(quick), connect(quick.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": quick.headers}))
        await socket.recv()
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": LONG["root"]}}))
        async with asyncio.timeout(5):
            answer: dict[str, Any] = json.loads(await socket.recv())
    assert (answer["type"], answer["id"]) == ("next", "1")
    assert answer["payload"]["errors"][0]["extensions"]["code"] == "TIMEOUT"


async def test_too_many_operations_at_a_time(settings: Settings, database_url: str, store_urls: StoreUrls) -> None:
    chosen = replace(settings, limits=Limits(running=3))
    async with serving(chosen, database_url, store_urls.redis_url) as server:
        async with _locked(server) as count:
            asked = [asyncio.create_task(server.query(LONG["root"])) for _ in range(3)]
            await _until(count, range(3, 4))
            response = await server.post(HEALTH)
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            assert response.json()["errors"][0]["extensions"]["code"] == "TRY_AGAIN_LATER"
        assert await asyncio.gather(*asked) == [{"tasks": {"nodes": []}}] * 3
        assert (await server.query(HEALTH))["health"]["status"] == "OK"


async def test_clients_that_cut_their_bodies(server: Server) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n"
        writer.write(head.encode() + b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()
    await _is_well(server)
