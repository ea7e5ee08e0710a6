"""graphql-transport-ws from outside: every close code, every message, origins, limits and the end of a server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from execution.websocket import Limits
from tests.realtime.conftest import until
from tests.realtime.socket_server import INIT, WIRES, Server, dial, initialised, serving


@pytest.fixture(scope="module", params=list(WIRES))
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """By frames of our own, and by the messages of ASGI as under any other server."""
    origins = ("https://fleet.example/", "http://localhost:3000")
    async with serving(allowed_origins=origins, ws=WIRES[request.param]) as started:
        yield started


@pytest.mark.parametrize("protocols", [(), ("graphql-ws",), ("other", "another")])
async def test_another_subprotocol_is_4406(server: Server, protocols: tuple[str, ...]) -> None:
    async with dial(server, protocols=protocols) as client:
        assert (await client.closed())[0] == 4406


async def test_ours_among_others_is_chosen(server: Server) -> None:
    async with dial(server, protocols=("graphql-ws", "graphql-transport-ws")) as client:
        assert client.connection.subprotocol == "graphql-transport-ws"


@pytest.mark.parametrize("key", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_a_token_in_any_case_of_its_key(server: Server, key: str) -> None:
    async with dial(server) as client:
        await client.send({"type": "connection_init", "payload": {key: "bearer writer"}})
        assert await client.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        None,
        {"Authorization": "Bearer wrong"},
        {"Authorization": "writer"},
        {"Authorization": "Basic writer"},
        {"Authorization": ["Bearer writer"]},
        {"token": "writer"},
        {"Authorization": "Bearer "},
    ],
)
async def test_a_wrong_or_missing_token_is_4403(server: Server, payload: Any) -> None:
    async with dial(server) as client:
        await client.send({"type": "connection_init", "payload": payload})
        code, reason = await client.closed()
        assert code == 4403
        assert reason.startswith("Forbidden")


async def test_no_payload_is_4403(server: Server) -> None:
    async with dial(server) as client:
        await client.send({"type": "connection_init"})
        assert (await client.closed())[0] == 4403


async def test_tokens_that_cannot_be_checked_now_may_be_tried_again(server: Server) -> None:
    async with dial(server) as client:
        await client.send({"type": "connection_init", "payload": {"Authorization": "Bearer broken"}})
        code, reason = await client.closed()
        assert code == 1013
        assert "store" not in reason


async def test_init_late_is_4408() -> None:
    async with serving(Limits(init_timeout_s=0.2)) as server, dial(server) as client:
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}
        assert (await client.closed())[0] == 4408


async def test_init_twice_is_4429(server: Server) -> None:
    async with initialised(server) as client:
        await client.send(INIT)
        assert (await client.closed())[0] == 4429


async def test_subscribe_first_is_4401(server: Server) -> None:
    async with dial(server) as client:
        await client.subscribe("{ echo(text: 1) }")
        assert (await client.closed())[0] == 4401


async def test_an_id_twice_is_4409(server: Server) -> None:
    async with initialised(server) as client:
        await client.subscribe("subscription { ticks(count: 0) }", "ü")
        await client.subscribe("subscription { ticks(count: 0) }", "ü")
        assert (await client.closed())[0] == 4409


OPERATION = {"query": "{ echo(text: 1) }"}
MALFORMED: list[Any] = [
    "",
    "hello",
    "{",
    "null",
    "5",
    "true",
    "[]",
    '[{"type": "ping"}]',
    '"ping"',
    "{}",
    '{"type": null}',
    '{"type": 5}',
    '{"type": ["ping"]}',
    '{"type": "start"}',
    '{"type": "next", "id": "1", "payload": {}}',
    '{"type": "connection_ack"}',
    '{"type": "ping", "payload": 5}',
    '{"type": "pong", "payload": []}',
    '{"type": "connection_init", "payload": "x"}',
    b'{"type": "ping"}',
    b"\xff\x00",
    '{"a": NaN, "type": "ping"}',
    "[" * 5_000,
    '{"a":' * 5_000,
    '{"type": "ping", "payload": {"a": ' + "[" * 70 + "]" * 70 + "}}",
    '{"type": "ping", "payload": ' + '{"a":' * 1_020 + "1" + "}" * 1_021,  # as deep as the parser goes
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ echo(text: 1) }", "variables": '
    + '{"a":' * 1_020
    + "1"
    + "}" * 1_022,
    {"type": "complete"},
    {"type": "complete", "id": 5},
    {"type": "complete", "id": None},
    {"type": "complete", "id": ["1"]},
    {"type": "subscribe", "payload": OPERATION},
    {"type": "subscribe", "id": None, "payload": OPERATION},
    {"type": "subscribe", "id": 1, "payload": OPERATION},
    {"type": "subscribe", "id": ["1"], "payload": OPERATION},
    {"type": "subscribe", "id": {}, "payload": OPERATION},
    {"type": "subscribe", "id": "", "payload": OPERATION},
    {"type": "subscribe", "id": "1"},
    {"type": "subscribe", "id": "1", "payload": None},
    {"type": "subscribe", "id": "1", "payload": []},
    {"type": "subscribe", "id": "1", "payload": "{ echo }"},
    {"type": "subscribe", "id": "1", "payload": {}},
    {"type": "subscribe", "id": "1", "payload": {"query": None}},
    {"type": "subscribe", "id": "1", "payload": {"query": 5}},
    {"type": "subscribe", "id": "1", "payload": {"query": ["{ echo }"]}},
    {"type": "subscribe", "id": "1", "payload": {**OPERATION, "operationName": 5}},
    {"type": "subscribe", "id": "1", "payload": {**OPERATION, "variables": []}},
    {"type": "subscribe", "id": "1", "payload": {**OPERATION, "variables": "x"}},
    {"type": "subscribe", "id": "1", "payload": {**OPERATION, "extensions": 1}},
]


@pytest.mark.parametrize("message", MALFORMED, ids=lambda message: str(message)[:60])
async def test_a_malformed_message_is_4400(server: Server, message: Any) -> None:
    async with initialised(server) as client:
        await client.send(message)
        code, reason = await client.closed()
        assert code == 4400
        assert 0 < len(reason) < 80
    if not isinstance(message, dict):
        async with dial(server) as client:  # also as the very first
            await client.send(message)
            assert (await client.closed())[0] in (4400, 4403)


async def test_a_message_over_256_kib_is_1009(server: Server) -> None:
    fits = '{"type": "ping"%s}' % (" " * (256 * 1024 - 16))
    async with initialised(server) as client:
        await client.send(fits)
        assert await client.receive() == {"type": "pong"}
        await client.send(fits + " ")
        assert (await client.closed())[0] == 1009
    async with initialised(server) as client:
        await client.send('{"type": "ping", "payload": {"a": "%s"}}' % ("€" * 100_000))
        assert (await client.closed())[0] == 1009


async def test_ping_is_answered_with_its_payload(server: Server) -> None:
    async with initialised(server) as client:
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}
        await client.send({"type": "ping", "payload": {"n": 1}})
        assert await client.receive() == {"type": "pong", "payload": {"n": 1}}
        await client.send({"type": "pong"})
        await client.send({"type": "complete", "id": "unknown"})
        await client.send({"type": "ping", "payload": None})
        assert await client.receive() == {"type": "pong"}


async def test_a_peer_that_does_not_answer_pings_is_closed() -> None:
    async with serving(Limits(ping_interval_s=0.2, pong_timeout_s=0.2)) as server, initialised(server) as client:
        for _ in range(4):
            assert await client.receive() == {"type": "ping"}
            await client.send({"type": "pong"})
        assert await client.receive() == {"type": "ping"}
        assert await client.closed() == (1013, "No pong")


async def test_queries_and_mutations(server: Server) -> None:
    async with initialised(server) as client:
        await client.subscribe("query Q($t: String!) { echo(text: $t) }", "q", variables={"t": "hé"}, operationName="Q")
        assert await client.receive() == {"type": "next", "id": "q", "payload": {"data": {"echo": "hé"}}}
        assert await client.receive() == {"type": "complete", "id": "q"}
        await client.subscribe('mutation { write(text: "m") }', "q", extensions={}, variables=None)
        assert (await client.receive())["payload"] == {"data": {"write": "m"}}
        assert await client.receive() == {"type": "complete", "id": "q"}
    assert server.world.written == ["m"]


@pytest.mark.parametrize(
    ("query", "extra", "code"),
    [
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { ticks }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query A { wait } query B { wait }", {}, "OPERATION_RESOLUTION_FAILURE"),
        ("query A { wait }", {"operationName": "C"}, "OPERATION_RESOLUTION_FAILURE"),
        ("query Q($t: String!) { echo(text: $t) }", {"variables": {"t": 5}}, "BAD_USER_INPUT"),
        ("subscription S($n: Int!) { ticks(count: $n) }", {"variables": {"n": "x"}}, "BAD_USER_INPUT"),
        ('mutation { write(text: "no") }', {}, "FORBIDDEN"),
    ],
)
async def test_a_failing_document_is_an_error_on_an_open_socket(
    server: Server, query: str, extra: dict[str, Any], code: str
) -> None:
    async with initialised(server, "reader") as client:
        await client.subscribe(query, "bad", **extra)
        message = await client.receive()
        assert (message["type"], message["id"]) == ("error", "bad")
        assert message["payload"][0]["extensions"]["code"] == code
        assert message["payload"][0]["message"]
        await client.subscribe('{ echo(text: "still here") }', "bad")  # the id is free again
        assert (await client.receive())["payload"] == {"data": {"echo": "still here"}}
    assert "no" not in server.world.written


async def test_a_surprise_is_masked(server: Server) -> None:
    async with initialised(server) as client:
        await client.subscribe('{ echo(text: "explode") }')
        message = await client.receive()
        assert message["type"] == "next"
        assert message["payload"]["data"] == {"echo": None}
        assert "secret" not in str(message)
        assert await client.receive() == {"type": "complete", "id": "1"}
        await client.subscribe("subscription { ticks(count: 13) }", "late")
        messages = [await client.receive() for _ in range(14)]
        assert [message["type"] for message in messages] == ["next"] * 13 + ["error"]
        assert "secret" not in str(messages)


async def test_a_subscription_to_its_end(server: Server) -> None:
    async with initialised(server) as client:
        before = server.world.contexts
        await client.subscribe("subscription { n: ticks(count: 3) }")
        assert [(await client.receive())["payload"] for _ in range(3)] == [{"data": {"n": n}} for n in (1, 2, 3)]
        assert await client.receive() == {"type": "complete", "id": "1"}
        assert server.world.contexts - before == 2  # one to start, one for all events: nothing is read for these


@pytest.mark.parametrize(("query", "what"), [("subscription { ticks(count: 0) }", "ticks"), ("{ wait }", "wait")])
async def test_complete_ends_an_operation_at_once(server: Server, query: str, what: str) -> None:
    world = server.world
    async with initialised(server) as client:
        for _ in range(3):  # the same id, at once
            opened, closed = world.open_feeds[what], world.closed_feeds[what]
            await client.subscribe(query, "x")
            await until(lambda: world.open_feeds[what] == opened + 1)  # noqa: B023 - awaited here
            await client.send({"type": "complete", "id": "x"})
            await until(lambda: world.closed_feeds[what] == closed + 1, 1)  # noqa: B023
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}  # and nothing was said of x


async def test_no_next_after_complete(server: Server) -> None:
    async with initialised(server) as client:
        await client.subscribe("subscription { gated }", "a")
        await client.send({"type": "complete", "id": "a"})
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}
        server.world.gate.set()
        await client.subscribe("subscription { gated }", "b")
        assert (await client.receive())["id"] == "b"


async def test_a_client_that_leaves_ends_its_operations(server: Server) -> None:
    world = server.world
    opened, closed = world.open_feeds["ticks"], world.closed_feeds["ticks"]
    async with initialised(server) as client:
        for n in range(20):
            await client.subscribe("subscription { ticks(count: 0) }", str(n))
        await until(lambda: world.open_feeds["ticks"] == opened + 20)
        client.connection.transport.abort()
    await until(lambda: world.closed_feeds["ticks"] == closed + 20, 2)


async def test_a_server_that_stops_says_1012() -> None:
    async with serving() as server, initialised(server) as client:
        await client.subscribe("subscription { ticks(count: 0) }")
        await until(lambda: server.world.open_feeds["ticks"] == 1)
        server.uvicorn.should_exit = True
        assert (await client.closed())[0] == 1012
        await until(lambda: server.world.closed_feeds["ticks"] == 1)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:PORT", "https://fleet.example", "http://localhost:3000", None])
async def test_an_origin_that_may(server: Server, origin: str | None) -> None:
    async with dial(server, origin=origin and origin.replace("PORT", str(server.port))) as client:
        await client.send(INIT)
        assert await client.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://127.0.0.1:PORT.evil.example",
        "http://fleet.example",
        "https://fleet.example:8443",
        "https://fleet.example.evil.example",
        "https://evil.example/https://fleet.example",
        "https://fleet.example@evil.example",
        "http://localhost:99999",
        "http://[::1",
        "file://",
    ],
)
async def test_an_origin_that_may_not_is_403(server: Server, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(server, origin=origin.replace("PORT", str(server.port))):
            pass
    assert refused.value.response.status_code == 403


async def test_two_origins_are_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(server, origin="https://fleet.example", headers={"Origin": "https://fleet.example"}):
            pass
    assert refused.value.response.status_code in (400, 403)  # uvicorn refuses it before we see it
