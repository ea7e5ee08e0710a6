"""A Redis that cannot be used: one line that says what to do, at start; and a bus that only publishes."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from db.database import Database
from pubsub.bus import Bus
from pubsub.errors import RedisUnavailable
from pubsub.hub import Hub
from tests.realtime.conftest import EventLog, RedisServer, take
from tests.redis_servers import SERVERS, server_program

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def refusal(url: str) -> str:
    with pytest.raises(RedisUnavailable) as caught:
        async with Bus(url, epoch="e"):
            pass
    text = str(caught.value)
    assert "\n" not in text
    assert "secret" not in text
    return text


@asynccontextmanager
async def some_server(answer: Answer) -> AsyncIterator[str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"redis://:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_no_server() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://user:secret@127.0.0.1:{closed.getsockname()[1]}/0"
        assert await refusal(url) == (
            f"no Redis answers at redis://127.0.0.1:{closed.getsockname()[1]}/0;"
            " start Redis or Valkey there, or correct REDIS_URL"
        )
    assert "no Redis answers at unix:///nowhere/redis.sock" in await refusal("unix:///nowhere/redis.sock")


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x00\x01\x02", b"+OK\r\n:5\r\n"])
async def test_no_redis(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with some_server(answer) as url:
        assert "is no Redis; correct REDIS_URL" in await refusal(url)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "", "redis://h:port", "redis://h?depth=3"])
async def test_no_url(url: str) -> None:
    assert "it should look like redis://" in await refusal(url)


@pytest.mark.parametrize("name", SERVERS)
async def test_passwords_and_rights(name: str) -> None:
    program = server_program(name)
    folder = Path(tempfile.mkdtemp(prefix="fgr-", dir="/tmp"))
    server = RedisServer(program, folder)
    server.start()
    try:
        path = server.url.partition("?")[0]
        await server.command(
            "ACL", "SETUSER", "mute", "on", ">secret", "resetchannels", "+ping", "+publish", "+subscribe"
        )
        await server.command(
            "ACL", "SETUSER", "app", "on", ">secret", "resetchannels", "&p:*", "+ping", "+publish", "+subscribe"
        )
        await server.command("CONFIG", "SET", "requirepass", "secret")
        assert "wants a password; put it into REDIS_URL" in await refusal(path)
        assert "refused the user or password" in await refusal(f"{path}?password=secretly")
        assert "does not allow this account" in await refusal(f"{path}?username=mute&password=secret")
        assert "DB index is out of range" in await refusal(f"{path}?password=secret&db=99")
        async with Bus(f"{path}?username=app&password=secret", epoch="e", prefix="p") as bus:
            assert bus.status == "up"
    finally:
        server.stop()
        shutil.rmtree(folder)


async def test_cluster_mode_is_refused() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = b"# Server\r\nredis_mode:cluster\r\n"
        while await reader.readline():
            words = [await reader.readline() for _ in range(2)]
            if words[1].startswith(b"PING"):
                writer.write(b"+PONG\r\n")
            elif words[1].startswith(b"INFO"):
                writer.write(b"$%d\r\n%s\r\n" % (len(info), info))
            elif words[1].startswith(b"AUTH"):
                await reader.readline(), await reader.readline()
                writer.write(b"+OK\r\n")
            await writer.drain()
        writer.close()

    async with some_server(answer) as url:
        assert "cluster mode" in await refusal(url)


async def test_a_bus_without_ears_publishes_and_sends_its_last_messages(
    redis: RedisServer, database: Database, log: EventLog, hub: Hub, prefix: str
) -> None:
    async with hub.subscribe("tasks") as tasks:
        async with Bus(redis.url, epoch=database.epoch, prefix=prefix, listen=False) as command:
            assert command.status == "up"
            for _ in range(30):
                await command.publish(await log.write("tasks", 100))
        assert len(await take(tasks, 3_000)) == 3_000
        assert command.failed_count == 0


async def test_publishing_before_and_after_is_harmless(redis: RedisServer, log: EventLog) -> None:
    bus = Bus(redis.url, epoch="e")
    assert bus.status == "down"
    await bus.publish(await log.write("tasks"))
    await bus.open()
    await bus.close()
    await bus.close()
    await bus.publish(await log.write("tasks"))
    assert bus.status == "down"


async def test_a_connection_that_went_silent_is_given_up(
    redis: RedisServer, hub: Hub, bus: Bus, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP: the socket stays open and nothing answers, as with a server whose network is gone."""
    import os
    import signal

    from pubsub import backend

    monkeypatch.setattr(backend, "SILENCE_S", 0.2)
    monkeypatch.setattr(backend, "ANSWER_TIMEOUT_S", 0.2)
    pid = await redis.pid()
    async with hub.subscribe("tasks") as tasks:
        await bus.publish(await log.write("tasks"))
        await take(tasks, 1)  # the next read has the short patience
        os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(10):
                while bus.status == "up":  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.02)
        finally:
            os.kill(pid, signal.SIGCONT)
        await bus.publish(await log.write("tasks"))
        assert (await take(tasks, 1, 15))[0].seq == 2


async def test_the_server_is_the_one_that_is_named(redis: RedisServer) -> None:
    found = await redis.command("INFO", "server")
    assert ("valkey_version" in found) == redis.program.name.startswith("Valkey")
    assert redis.program.name.split()[1] == str(found.get("valkey_version", found["redis_version"]))
