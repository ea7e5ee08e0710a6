"""What the tests talk to a server with: HTTP, graphql-transport-ws, and the store beneath to fill and to count."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from db.database import Database
from domain.records import Applied, Batch
from domain.writer import apply
from pubsub.bus import Bus
from pubsub.hub import Hub
from settings import now


class Subscription:
    """One subscription on a socket of its own; iterate its payloads."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def next(self) -> dict[str, Any]:
        """The payload of the next `next`. Raises EOFError at `complete`, RuntimeError at `error`."""
        while True:
            message = json.loads(await self._socket.recv())
            match message["type"]:
                case "next":
                    return dict(message["payload"])
                case "complete":
                    raise EOFError
                case "error":
                    raise RuntimeError(message["payload"])
                case "ping":
                    await self._socket.send(json.dumps({"type": "pong"}))


@dataclass
class Server:
    """A running server."""

    port: int
    token: str
    http: httpx.AsyncClient
    database: Database
    bus: Bus
    hub: Hub
    app: Any = None
    data_dir: Path = Path()

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def post(self, document: str, variables: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        """The raw answer, with a status that tells errors of the request."""
        payload = {"query": document, "variables": variables}
        accept = {"Accept": "application/graphql-response+json"}
        return await self.http.post("/graphql", json=payload, headers={**self.headers, **accept, **headers})

    async def query(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data; fails on any error."""
        answer = (await self.post(document, variables)).json()
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    async def error(self, document: str, **variables: Any) -> dict[str, Any]:
        """The first error; fails when there is none."""
        return dict((await self.post(document, variables)).json()["errors"][0])

    @asynccontextmanager
    async def subscribe(self, topic: str, document: str, **variables: Any) -> AsyncIterator[Subscription]:
        """A subscription that has its place in `topic`: what is committed inside the block is delivered."""
        before = self.hub.follower_count(topic)
        async with connect(self.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": self.headers}))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            payload = {"query": document, "variables": variables}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            async with asyncio.timeout(10):
                while self.hub.follower_count(topic) <= before:  # noqa: ASYNC110 (the hub has no reason to tell)
                    await asyncio.sleep(0.005)
                subscription = Subscription(socket)
                await subscription.next()  # the Checkpoint that every stream of events begins with
            yield subscription

    async def write(self, batch: Batch) -> Applied:
        """Write records as an importer does, and publish."""
        async with self.database.write() as transaction:
            applied = await apply(transaction, batch, now=now())
        await self.bus.publish(transaction.emitted, transaction.log_heads)
        return applied

    @property
    def statement_count(self) -> int:
        """How many statements the read pool has run."""
        return self.database.read.statement_count
