"""The recipes for urql and Apollo Client, with the real packages: cut twenty times, they lose and double nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.records import Batch
from tests.client import Server
from tests.clients import test_examples
from tests.faults.model import seq_of
from tests.filled import at, task_record

clients = test_examples.clients
CUTS = 20


class Proxy:
    """Passes bytes on, and cuts every connection when it is told to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.StreamWriter] = set()
        self.connection_count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
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


@pytest.mark.parametrize("name", ["urql", "apollo"])
async def test_a_recipe_loses_nothing(clients: Path, server: Server, name: str) -> None:
    async with proxied(server) as (proxy, port):
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
        seen: list[int] = []
        try:
            async with asyncio.timeout(60):
                assert (await process.stdout.readline()).startswith(b"Checkpoint")
                for cut in range(CUTS):
                    for n in range(5):
                        await server.write(Batch(tasks=[task_record(f"t{n}", at(1), title=f"{cut}")]))
                        if n == cut % 5:
                            proxy.cut()
                    while len(seen) < 5 * (cut + 1):
                        kind, cursor = (await process.stdout.readline()).decode().split()
                        if kind == "TaskChanged":
                            seen.append(seq_of(cursor))
        finally:
            process.terminate()
            await process.wait()
        assert seen == list(range(1, 5 * CUTS + 1))
        assert proxy.connection_count >= CUTS
