"""A real uvicorn with a small schema of its own, for tests of the WebSocket protocol from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import strawberry
import uvicorn
from graphql import GraphQLSchema
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from execution.fields import feed, mutation, operation_type, root
from execution.limits import Limits as OperationLimits
from execution.operations import Operations
from execution.sessions import Sessions
from execution.websocket import DEFAULT_LIMITS, Limits, websocket_endpoint
from execution.websocket_wire import FrameProtocol

TOKENS = {"reader": frozenset({"read"}), "writer": frozenset({"read", "write"})}
WIRES = {"frames": FrameProtocol, "asgi": "websockets-sansio"}  # frames of our own, and the messages of ASGI
INIT = {"type": "connection_init", "payload": {"Authorization": "Bearer writer"}}


@dataclass
class World:
    """What the schema's fields look at, and what they have seen."""

    open_feeds: Counter[str] = field(default_factory=Counter)
    closed_feeds: Counter[str] = field(default_factory=Counter)
    contexts: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    written: list[str] = field(default_factory=list)


@dataclass
class Viewer:
    credential: str
    scopes: frozenset[str]


@dataclass
class Context:
    world: World
    reader: Any = None

    def narrowed(self, rows: Any) -> Context:
        raise AssertionError(f"no rows here: {rows}")


async def echo(context: Context, text: str) -> str:
    if text == "explode":
        raise RuntimeError("a secret of the inside")
    return text


async def write(context: Context, text: str) -> str:
    context.world.written.append(text)
    return text


async def wait(context: Context, args: None) -> str:
    context.world.open_feeds["wait"] += 1
    try:
        await asyncio.Event().wait()
    finally:
        context.world.closed_feeds["wait"] += 1
    return "never"


async def ticks(context: Context, count: int) -> AsyncIterator[int]:
    context.world.open_feeds["ticks"] += 1
    try:
        for n in range(1, count + 1):
            yield n
        if count == 0:
            await asyncio.Event().wait()
        if count == 13:
            raise RuntimeError("a secret of the inside")
    finally:
        context.world.closed_feeds["ticks"] += 1


async def gated(context: Context, args: None) -> AsyncIterator[str]:
    while True:
        await context.world.gate.wait()
        context.world.gate.clear()
        yield "through"


async def flood(context: Context, args: None) -> AsyncIterator[str]:
    context.world.open_feeds["flood"] += 1
    try:
        while True:
            yield "x" * 100_000
            await asyncio.sleep(0)
    finally:
        context.world.closed_feeds["flood"] += 1


def text_argument(text: str) -> str:
    return text


def count_argument(count: int) -> int:
    return count


@operation_type(description="Queries", name="Query")
class Query:
    echo: str | None = root(echo, scope="read", description="The text", arguments=text_argument)
    wait: str = root(wait, scope="read", description="Never answers")


@operation_type(description="Mutations", name="Mutation")
class Mutation:
    write: str = mutation(write, scope="write", description="Writes", arguments=text_argument, expected=())


@operation_type(description="Subscriptions", name="Subscription")
class Subscription:
    ticks: int = feed(ticks, scope="read", description="1 to count; 0 never says a thing", arguments=count_argument)
    gated: str = feed(gated, scope="read", description="One per opening of the gate")
    flood: str = feed(flood, scope="read", description="More than anybody reads")


def build() -> GraphQLSchema:
    made = strawberry.Schema(Query, Mutation, Subscription)
    return made._schema


@dataclass
class Server:
    """Where it listens, and what its fields have seen."""

    port: int
    world: World
    uvicorn: uvicorn.Server


@asynccontextmanager
async def serving(
    limits: Limits = DEFAULT_LIMITS,
    allowed_origins: tuple[str, ...] = (),
    ws: Any = FrameProtocol,
    operation_limits: OperationLimits | None = None,
) -> AsyncIterator[Server]:
    """A server on a free port of loopback; `ws` is uvicorn's: with another one than ours all goes by ASGI."""
    world = World()

    def authenticate(token: str | None) -> Viewer | None:
        if token == "broken":
            raise ConnectionError("the store of tokens is away")
        return Viewer(token, TOKENS[token]) if token in TOKENS else None

    def make_context(viewer: Viewer) -> Context:
        world.contexts += 1
        return Context(world)

    async def check(tokens: Sequence[str]) -> list[Viewer | None]:
        return [authenticate(token) for token in tokens]

    endpoint = websocket_endpoint(
        Operations(build(), lambda error: None, operation_limits),
        authenticate=authenticate,
        make_context=make_context,
        sessions=Sessions(check),
        allowed_origins=allowed_origins,
        limits=limits,
    )
    app = Starlette(routes=[WebSocketRoute("/graphql", endpoint)])
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        ws=ws,
        ws_max_size=64 * 1024 * 1024,
        log_config=None,
        timeout_graceful_shutdown=2,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())  # serve() would take the signals of pytest
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield Server(server.servers[0].sockets[0].getsockname()[1], world, server)
    finally:
        server.should_exit = True
        await task


class Client:
    """A graphql-transport-ws client that lets a test say anything."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        """An object as JSON; a string or bytes as they are."""
        await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self, timeout_s: float = 5) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(timeout_s):
            message = json.loads(await self.connection.recv())
        assert isinstance(message, dict)
        return message

    async def subscribe(self, query: str, operation_id: str = "1", **payload: Any) -> None:
        await self.send({"id": operation_id, "type": "subscribe", "payload": {"query": query, **payload}})

    async def closed(self, timeout_s: float = 5) -> tuple[int, str]:
        """The code and reason of the server's close frame, after whatever comes before it."""
        async with asyncio.timeout(timeout_s):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        frame = self.connection.protocol.close_rcvd
        assert frame is not None, "the connection was cut without a code"
        return frame.code, frame.reason


@asynccontextmanager
async def dial(
    server: Server,
    *,
    protocols: tuple[str, ...] = ("graphql-transport-ws",),
    origin: str | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Client]:
    """A connection that has said nothing yet."""
    async with connect(
        f"ws://127.0.0.1:{server.port}/graphql",
        subprotocols=[Subprotocol(name) for name in protocols] or None,
        origin=None if origin is None else Origin(origin),
        additional_headers=headers,
        compression=None,  # what a slow reader leaves must be as large as it was sent
        max_size=None,
        close_timeout=1,
    ) as connection:
        yield Client(connection)


@asynccontextmanager
async def initialised(server: Server, token: str = "writer") -> AsyncIterator[Client]:  # noqa: S107 - no secret
    """A connection that was acknowledged."""
    async with dial(server) as client:
        await client.send({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        assert await client.receive() == {"type": "connection_ack"}
        yield client
