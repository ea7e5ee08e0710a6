"""The processes of a measurement: a server of ours, Node's, and the client that counts."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from bench import node
from bench.kinds import PEERS, Kind, kinds
from bench.servers import READY_S, Server
from bench.stores import ROOT, Stores
from local.valkey import SOCKET_NAME

LINE_LIMIT = 1 << 20
PEER = "graphql-ws"


def peer_kind(stores: Stores) -> Kind:
    """Node's graphql-ws."""
    token = secrets.token_hex(16)
    environment = {"NODE_ENV": "production", "REDIS_SOCKET": str(stores.sockets / SOCKET_NAME), "TOKEN": token}
    program = node.install(PEERS).program
    headers = {"authorization": f"Bearer {token}"}
    return Kind(PEER, {}, [program, "subscriptions.mjs"], PEERS, environment, headers)


@contextmanager
def serving(stores: Stores, database: str) -> Iterator[list[Server]]:
    """Ours and Node's, listening."""
    servers: list[Server] = []
    try:
        (ours,) = kinds(stores, database, ["ours"])
        many = {"FLEETGRAPH_LIMITS": "sockets=10000"}  # of one viewer: here all are
        ours = replace(ours, environment={**ours.environment, **many})
        for kind in (ours, peer_kind(stores)):
            servers.append(Server(kind, stores.folder / f"{kind.name}.log"))
        for server in servers:
            _wait(server)
        yield servers
    finally:
        for server in servers:
            server.stop()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        except OSError:
            if server.child.poll() is not None or time.monotonic() > deadline:
                said = server.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{server.kind.name} does not run: {said}") from None
            time.sleep(0.05)
        else:
            return


def token_of(server: Server) -> str:
    """What opens its doors."""
    return server.kind.headers["authorization"].removeprefix("Bearer ")


class Counting:
    """The client's process; see bench.realtime.counting."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def connect(self, server: Server, query: str, variables: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Open a socket for each set of variables, each with its first message."""
        await self._tell(
            {
                "do": "connect",
                "port": server.port,
                "token": token_of(server),
                "query": query,
                "variables": list(variables),
            }
        )
        return await self._told()

    @asynccontextmanager
    async def expecting(self, count: int, marker: str, *, is_timed: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Count what the block causes; the dictionary has the figures behind the block."""
        await self._tell({"do": "expect", "wanted": count, "marker": marker, "is_timed": is_timed})
        found: dict[str, Any] = {}
        yield found
        found |= await self._told()

    async def close(self) -> None:
        """Close all sockets."""
        await self._tell({"do": "close"})
        await self._told()

    async def _tell(self, words: dict[str, Any]) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(words).encode() + b"\n")
        await self._child.stdin.drain()

    async def _told(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = await self._child.stdout.readline()
        if not line:
            raise RuntimeError("the counting client has ended")
        return dict(json.loads(line))


@asynccontextmanager
async def counting() -> AsyncIterator[Counting]:
    """The client's process, running."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.realtime.counting",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )
    try:
        yield Counting(child)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()
