"""What a socket and its viewer may take of a server: operations, messages, sockets, and time without reading."""

import asyncio
import contextlib
import gc
import socket
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from execution.connections import BoundedHttp, BoundedSocket
from execution.limits import Limits as OperationLimits
from execution.websocket import Limits
from local import StoreUrls
from settings import Settings
from tests.client import Server as FleetgraphServer
from tests.realtime.conftest import until
from tests.realtime.live import TASKS, following
from tests.realtime.socket_server import INIT, WIRES, dial, initialised, serving
from tests.serving import serving as serving_fleetgraph


async def test_at_most_so_many_operations_at_a_time() -> None:
    async with serving(Limits(subscriptions=3)) as server, initialised(server) as client:
        for n in range(4):
            await client.subscribe("subscription { ticks(count: 0) }", str(n))
        message = await client.receive()
        assert (message["type"], message["id"]) == ("error", "3")
        assert message["payload"][0]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"
        assert "at most 3" in message["payload"][0]["message"]
        await client.send({"type": "complete", "id": "0"})
        await client.subscribe('{ echo(text: "room") }', "3")
        assert (await client.receive())["payload"] == {"data": {"echo": "room"}}


async def test_the_hundred_and_first_subscription() -> None:
    async with serving() as server, initialised(server) as client:
        for n in range(101):
            await client.subscribe("subscription { ticks(count: 0) }", str(n))
        message = await client.receive()
        assert (message["type"], message["id"]) == ("error", "100")


@pytest.mark.parametrize("ws", WIRES.values(), ids=WIRES)
async def test_messages_that_come_too_fast(ws: Any) -> None:
    """1013: graphql-ws comes back after it; 4429 it takes for a mistake that lasts."""
    limits = OperationLimits(messages=10, messages_burst=20)
    async with serving(ws=ws, operation_limits=limits) as server, initialised(server) as client:
        for _ in range(19):  # connection_init was the first of the 20
            await client.send({"type": "ping"})
        for _ in range(19):
            assert (await client.receive())["type"] == "pong"
        await asyncio.sleep(0.6)  # time for six more, at ten a second
        for _ in range(3):
            await client.send({"type": "ping"})
        for _ in range(3):
            assert (await client.receive())["type"] == "pong"
        for _ in range(60):
            await client.send({"type": "pong"})
        code, reason = await client.closed()
        assert code == 1013
        assert "10 a second, 20 at once" in reason


async def test_two_hundred_messages_at_once() -> None:
    """As many as a client that takes up again all that a socket may carry."""
    async with serving() as server, initialised(server) as client:
        for _ in range(199):
            await client.send({"type": "ping"})
        for _ in range(199):
            assert (await client.receive())["type"] == "pong"


@pytest.mark.parametrize("ws", WIRES.values(), ids=WIRES)
async def test_at_most_so_many_sockets_of_a_viewer(ws: Any) -> None:
    limits = OperationLimits(sockets=2)
    async with (
        serving(ws=ws, operation_limits=limits) as server,
        initialised(server),
        initialised(server, "reader"),
        initialised(server, "reader"),
    ):
        async with initialised(server) as second, dial(server) as surplus:
            await surplus.send(INIT)
            code, reason = await surplus.closed()
            assert code == 1013
            assert "at most 2" in reason
            await second.subscribe('{ echo(text: "goes on") }')
            assert (await second.receive())["payload"] == {"data": {"echo": "goes on"}}
        async with asyncio.timeout(5):
            while True:  # the server hears of the end a moment later
                async with dial(server) as next_one:
                    await next_one.send(INIT)
                    with contextlib.suppress(ConnectionClosed):
                        assert await next_one.receive() == {"type": "connection_ack"}
                        break


async def test_a_client_that_does_not_read_is_dropped() -> None:
    async with serving(Limits(send_timeout_s=0.3)) as server:
        world = server.world
        async with initialised(server) as client:
            transport = client.connection.transport
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            transport.pause_reading()
            await client.subscribe("subscription { flood }")
            await until(lambda: world.closed_feeds["flood"] == 1)
            transport.abort()


async def test_the_service_has_the_limits_of_its_settings(
    settings: Settings, database_url: str, store_urls: StoreUrls
) -> None:
    """All who have the local token are one viewer."""
    chosen = replace(settings, limits=OperationLimits(sockets=1, messages=1, messages_burst=5))
    async with (
        serving_fleetgraph(chosen, database_url, store_urls.redis_url) as server,
        following(server, TASKS) as first,
    ):
        assert (await first.next())["__typename"] == "Checkpoint"
        with pytest.raises(ConnectionClosed) as surplus:
            async with following(server, TASKS):
                pass
        for _ in range(9):
            await first.socket.send('{"type": "pong"}')
        with pytest.raises(ConnectionClosed) as flood:
            await first.next()
    for closed, reason in ((surplus, "at most 1"), (flood, "5 at once")):
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        assert reason in closed.value.rcvd.reason


async def test_an_open_socket_keeps_none_of_the_protocols_that_made_it(server: FleetgraphServer) -> None:
    """Each has 7 KiB: timers of 5 s were enough to have them all at once while 10,000 sockets opened."""
    gc.collect()
    before = protocols()
    async with following(server, TASKS) as follower:
        await follower.next()
        assert not protocols() - before


def protocols() -> Counter[type]:
    """The protocols of connections that are no taken WebSockets. A proxy of something dead has no class but its own."""
    kinds = (type(each) for each in gc.get_objects())
    return Counter(kind for kind in kinds if issubclass(kind, BoundedHttp | BoundedSocket))
