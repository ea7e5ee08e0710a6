"""The recipes for urql and Apollo Client, with the real packages: cut twenty times, they lose and double nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from domain.records import Batch
from local import StoreUrls
from settings import Settings
from tests.client import Server
from tests.clients import test_examples
from tests.faults.model import seq_of
from tests.filled import at, task_record
from tests.realtime.conftest import until
from tests.realtime.live import TASKS, following
from tests.serving import serving

clients = test_examples.clients
CUTS = 20


class Proxy:
    """Passes bytes on, and cuts every connection when it is told to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.StreamWriter] = set()
        self.connection_count = 0
        self.is_shut = False  # takes no connection

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
        if self.is_shut:
            writer.transport.abort()
            return
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, onward}
        self._open |= ends
        try:
            await asyncio.gather(self._pass(reader, onward), self._pass(onward_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    def cut(self) -> None:
        for end in self._open:
            end.transport.abort()


@asynccontextmanager
async def proxied(server: Server) -> AsyncIterator[tuple[Proxy, int]]:
    proxy = Proxy(server.port)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with listener:
        yield proxy, listener.sockets[0].getsockname()[1]
        proxy.cut()


@asynccontextmanager
async def recipe(clients: Path, server: Server, port: int, name: str) -> AsyncIterator[asyncio.StreamReader]:
    """A recipe that follows through a port, and what it prints behind its first checkpoint."""
    told = {"FLEETGRAPH_URL": f"http://127.0.0.1:{port}/graphql", "FLEETGRAPH_TOKEN": server.token}
    process = await asyncio.create_subprocess_exec(
        "node",
        "build/recipes.js",
        name,
        cwd=clients / "typescript",
        env={"PATH": test_examples.PATH} | told,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert (await process.stdout.readline()).startswith(b"Checkpoint")
            yield process.stdout
    finally:
        process.terminate()
        await process.wait()


async def read_until(printed: asyncio.StreamReader, seen: list[int], count: int) -> None:
    """Collect the places of events until there are so many."""
    while len(seen) < count:
        kind, cursor = (await printed.readline()).decode().split()
        if kind == "TaskChanged":
            seen.append(seq_of(cursor))


@pytest.mark.parametrize("name", ["urql", "apollo"])
async def test_a_recipe_loses_nothing(clients: Path, server: Server, name: str) -> None:
    seen: list[int] = []
    async with proxied(server) as (proxy, port), recipe(clients, server, port, name) as printed:
        for cut in range(CUTS):
            for n in range(5):
                await server.write(Batch(tasks=[task_record(f"t{n}", at(1), title=f"{cut}")]))
                if n == cut % 5:
                    proxy.cut()
            await read_until(printed, seen, 5 * (cut + 1))
        assert seen == list(range(1, 5 * CUTS + 1))
        assert proxy.connection_count >= CUTS


async def test_a_client_that_is_sent_away_comes_back(
    clients: Path, settings: Settings, database_url: str, store_urls: StoreUrls
) -> None:
    """1013, here as another has the viewer's only socket: it tries again until there is room, and misses nothing."""
    few = replace(settings, limits=replace(settings.limits, sockets=1))
    seen: list[int] = []
    async with (
        serving(few, database_url, store_urls.redis_url) as server,
        proxied(server) as (proxy, port),
        recipe(clients, server, port, "urql") as printed,
    ):
        await server.write(Batch(tasks=[task_record("t0", at(1))]))
        await read_until(printed, seen, 1)
        proxy.is_shut = True
        proxy.cut()
        async with _only(server):
            proxy.is_shut = False
            before = proxy.connection_count
            await until(lambda: proxy.connection_count >= before + 3)
            for n in range(1, 6):
                await server.write(Batch(tasks=[task_record(f"t{n}", at(1))]))
            assert len(seen) == 1
        await read_until(printed, seen, 6)
    assert seen == list(range(1, 7))


@asynccontextmanager
async def _only(server: Server) -> AsyncIterator[None]:
    """Take the only socket: the server hears a moment later that it is free."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(ConnectionClosed):
                async with following(server, TASKS) as other:
                    await other.next()
                    yield
                    return
