"""A server that a test may kill and restart, Valkey and Redis in turn, and the event log of a real PostgreSQL."""

import asyncio
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from db.database import Database
from db.handles import Event
from db.queries import events
from local.programs import Program
from local.valkey import Valkey, url_at
from pubsub.bus import Bus
from pubsub.hub import Hub
from pubsub.streams import Reached
from tests.redis_servers import SERVERS, server_program


class RedisServer:
    """One server, its socket always at the same place."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self._server = Valkey(program, folder, folder / "valkey.log")
        self.url = url_at(folder)

    def start(self) -> None:
        self._server.start()
        self._server.wait()

    def stop(self) -> None:
        self._server.stop()

    async def command(self, *words: str) -> Any:
        async with Redis.from_url(self.url, protocol=2) as client:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]

    async def pid(self) -> int:
        return int((await self.command("INFO", "server"))["process_id"])

    async def kill(self) -> None:
        """kill -9, and its clients have noticed nothing yet."""
        os.kill(await self.pid(), signal.SIGKILL)
        self._server.stop()

    async def cut_clients(self) -> None:
        """Every connection of others is closed."""
        for kind in ("pubsub", "normal"):
            await self.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


@pytest.fixture(scope="session", params=SERVERS)
def _redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    program = server_program(request.param)
    folder = Path(tempfile.mkdtemp(prefix="fgr-", dir="/tmp"))
    server = RedisServer(program, folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def redis(_redis: RedisServer) -> RedisServer:
    """The session's server, running."""
    return _redis


class EventLog:
    """The event log of a database: the hub's store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.read_count = 0
        self.is_away = False

    async def heads(self, names: Sequence[str]) -> Mapping[str, Any]:
        self._touch()
        return await events.heads(self._database.read, names)

    async def since(self, topic: str, seq: int, limit: int) -> Sequence[Any]:
        self._touch()
        return await events.since(self._database.read, topic, seq, limit)

    def _touch(self) -> None:
        self.read_count += 1
        if self.is_away:
            raise ConnectionRefusedError("the database is away")

    async def write(self, topic: str, count: int = 1) -> list[Event]:
        """Commit one transaction with `count` events; nobody is told."""
        async with self._database.write() as transaction:
            for _ in range(count):
                transaction.emit(topic, "ThingChanged", {"id": str(uuid.uuid4()), "status": ["QUEUED", "RUNNING"]})
        return transaction.emitted


@pytest.fixture
async def log(database: Database) -> EventLog:
    """The real event log."""
    return EventLog(database)


@pytest.fixture
def prefix() -> str:
    """A REDIS_PREFIX of the test's own."""
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def bus(redis: RedisServer, database: Database, prefix: str) -> AsyncIterator[Bus]:
    async with Bus(redis.url, epoch=database.epoch, prefix=prefix) as opened:
        yield opened


@pytest.fixture
async def hub(bus: Bus, log: EventLog) -> AsyncIterator[Hub]:
    async with Hub(bus, log) as opened:
        yield opened


async def take(stream: Any, count: int, timeout_s: float = 10) -> list[Any]:
    """The next `count` items, without the marks of where the stream stands."""
    found: list[Any] = []
    async with asyncio.timeout(timeout_s):
        while len(found) < count:
            item = await anext(stream)
            if not isinstance(item, Reached):
                found.append(item)
    return found


async def nothing_more(stream: Any, for_s: float = 0.2) -> None:
    """Assert that nothing comes."""
    with pytest.raises(TimeoutError):
        await take(stream, 1, for_s)


async def until(condition: Any, timeout_s: float = 10) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
