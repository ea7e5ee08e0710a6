"""A client of live fields that keeps its cursor, for tests of what it is told across cuts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

TASKS = """
subscription Tasks($filter: TaskEventFilter, $after: EventCursor) {
  taskChanged(filter: $filter, after: $after) {
    __typename
    ... on LiveEvent { cursor at }
    ... on TaskChanged { taskId isNew task { id revision status title } }
    ... on TaskLeft { taskId }
    ... on Checkpoint { isLive }
  }
}
"""
LOG = """
subscription Log($taskId: ID!, $filter: LogFilter, $after: EventCursor) {
  taskLog(taskId: $taskId, filter: $filter, after: $after) {
    __typename
    ... on LiveEvent { cursor }
    ... on LogLinesAppended { taskId lines { seq text } }
    ... on Checkpoint { isLive }
  }
}
"""


class Served(Protocol):
    """Where a server is, and what opens it."""

    @property
    def socket_url(self) -> str: ...

    @property
    def headers(self) -> dict[str, str]: ...


class Follower:
    """One subscription on a socket of its own."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def next(self, timeout_s: float = 10) -> dict[str, Any]:
        """The next event. Raises EOFError at `complete`, RuntimeError with the errors at `error`."""
        async with asyncio.timeout(timeout_s):
            while True:
                message = json.loads(await self.socket.recv())
                match message["type"]:
                    case "next":
                        assert "errors" not in message["payload"], message["payload"]
                        ((value),) = message["payload"]["data"].values()
                        return dict(value)
                    case "complete":
                        raise EOFError
                    case "error":
                        raise RuntimeError(message["payload"])
                    case "ping":
                        await self.socket.send(json.dumps({"type": "pong"}))

    async def take(self, count: int) -> list[dict[str, Any]]:
        """The next `count` events."""
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def following(server: Served, document: str, **variables: Any) -> AsyncIterator[Follower]:
    """A subscription; nothing of it was read."""
    protocol = Subprotocol("graphql-transport-ws")
    async with connect(server.socket_url, subprotocols=[protocol], max_queue=None) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": server.headers}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        payload = {"query": document, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        yield Follower(socket)
