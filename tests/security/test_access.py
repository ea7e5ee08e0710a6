"""Who gets in: tokens over HTTP and WebSocket, origins, and scopes that no way of writing a document gets around."""

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from execution.http import GraphQLEndpoint
from execution.operations import Operations
from execution.sessions import Sessions
from execution.websocket import websocket_endpoint
from local import StoreUrls
from resolvers.context import Context, Viewer
from schema.errors import describe_error
from schema.root import build_schema
from settings import VERSION, Settings, now
from tests.client import Server
from tests.conftest import MakeDatabase
from tests.serving import listening, serving

FRIEND, STRANGER = "http://localhost:3005", "http://evil.example"
HEALTH = "{ health { status } }"


@pytest.fixture(scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase, migrated: str, store_urls: StoreUrls
) -> AsyncIterator[Server]:
    """One server for all; pages of two other origins are allowed."""
    origins = (FRIEND, "https://board.example:8443")
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("access"), redis_prefix=f"t{uuid.uuid4().hex}", cors_origins=origins
    )
    async with make_database(migrated) as url, serving(settings, url, store_urls.redis_url) as running:
        yield running


async def _send(server: Server, authorization: bytes | None, path: str = "/graphql") -> httpx.Response:
    headers = {} if authorization is None else {b"Authorization": authorization}
    return await server.http.post(path, json={"query": HEALTH}, headers=headers)


async def test_the_token_opens(server: Server) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        response = await _send(server, f"{scheme} {server.token}".encode())
        assert (response.status_code, response.json()) == (200, {"data": {"health": {"status": "OK"}}})


async def test_nothing_else_opens(server: Server) -> None:
    token = server.token.encode()
    wrong: list[bytes | None] = [
        None,
        b"",
        b"Bearer",
        b"Bearer wrong",
        b"Bearer " + token[:-1],
        b"Bearer " + token + b"x",
        b"Bearer " + token.upper(),
        b"Bearer " + token + b" " + token,
        b"Bearer\t" + token,
        b"Basic " + token,
        b"Token " + token,
        token,
        b"Bearer \xff\xfe",
        b"Bearer " + "ключ".encode(),
        b"Bearer " + b"x" * 20_000,
        b'Bearer "' + token + b'"',
    ]
    for header in wrong:
        response = await _send(server, header)
        assert response.status_code == 401, header
        assert response.headers["www-authenticate"].startswith("Bearer")
        (error,) = response.json()["errors"]
        assert response.json().keys() == {"errors"}
        assert error["extensions"] == {"code": "UNAUTHENTICATED"}
        assert error["message"].endswith(".")
        assert server.token not in response.text


async def test_a_token_elsewhere_does_not_count(server: Server) -> None:
    """What stands in a URL ends in logs and histories."""
    for name in ("token", "access_token", "authorization"):
        response = await _send(server, None, f"/graphql?{name}={server.token}")
        assert response.status_code == 401
    cookie = await server.http.post("/graphql", json={"query": HEALTH}, headers={"Cookie": f"token={server.token}"})
    body = await server.http.post("/graphql", json={"query": HEALTH, "token": server.token})
    assert (cookie.status_code, body.status_code) == (401, 401)


async def test_without_a_token_nothing_of_the_request_is_judged(server: Server) -> None:
    """Neither the schema nor its suggestions are for strangers."""
    for query in ("{ __schema { types { name } } }", "{ helth { status } }", "{", ""):
        response = await server.http.post("/graphql", json={"query": query})
        assert response.status_code == 401
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("path", ["/health", "/api/health"])
async def test_health_is_open(server: Server, path: str) -> None:
    response = await server.http.get(path)
    assert response.status_code == 200
    assert response.json().keys() == {"status", "timestamp", "version"}
    assert (response.json()["status"], response.json()["version"]) == ("ok", VERSION)
    assert response.json()["timestamp"].endswith("Z")


async def test_a_socket_with_a_wrong_token_is_closed(server: Server) -> None:
    async with connect(server.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": "Bearer wrong"}}))
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 4403


async def _origin_status(server: Server, origin: str | None) -> int:
    """101, or the status that the upgrade was refused with."""
    try:
        async with connect(
            server.socket_url,
            subprotocols=[Subprotocol("graphql-transport-ws")],
            origin=None if origin is None else Origin(origin),
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_a_socket_from_a_page_of_another_origin(server: Server) -> None:
    own = f"http://127.0.0.1:{server.port}"
    for origin in (None, own, FRIEND, "https://board.example:8443", "https://BOARD.example:8443"):
        assert await _origin_status(server, origin) == 101, origin
    for origin in (STRANGER, "null", "https://board.example", "https://localhost:3005", f"{FRIEND}.evil.example", "*"):
        assert await _origin_status(server, origin) == 403, origin


def _preflight(server: Server, origin: str) -> Any:
    return server.http.options(
        "/graphql",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )


async def test_pages_of_allowed_origins_may_ask(server: Server) -> None:
    response = await _preflight(server, FRIEND)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert "Origin" in response.headers["vary"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
    assert "POST" in response.headers["access-control-allow-methods"]
    answer = await server.http.post("/graphql", json={"query": HEALTH}, headers={**server.headers, "Origin": FRIEND})
    assert answer.headers["access-control-allow-origin"] == FRIEND


@pytest.mark.parametrize("origin", [STRANGER, "null", "http://localhost:3006", "https://localhost:3005", "*"])
async def test_pages_of_other_origins_may_not(server: Server, origin: str) -> None:
    response = await _preflight(server, origin)
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers
    answer = await server.http.post("/graphql", json={"query": HEALTH}, headers={**server.headers, "Origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-credentials" not in answer.headers


SCOPES = {
    "numbers": frozenset({"METRICS"}),
    "reader": frozenset({"METRICS", "READ"}),
    "writer": frozenset({"METRICS", "WRITE"}),
}


@pytest.fixture(scope="module")
async def limited(filled: Server) -> AsyncIterator[Server]:
    """The filled server's stores, for viewers of fewer scopes; their names are their tokens."""
    operations = Operations(build_schema(), describe_error)

    def authenticate(token: str | None) -> Viewer | None:
        return None if token not in SCOPES else Viewer(token, SCOPES[token])

    def make_context(viewer: Viewer) -> Context:
        return Context(viewer, filled.database, filled.bus, filled.hub, now, VERSION)

    async def page(request: Request) -> Response:
        return PlainTextResponse("a page")

    endpoint = GraphQLEndpoint(operations, authenticate=authenticate, make_context=make_context, page=page)

    async def graphql(request: Request) -> Response:
        return await endpoint(request)

    async def check(tokens: Sequence[str]) -> list[Viewer | None]:
        return [authenticate(token) for token in tokens]

    socket = websocket_endpoint(
        operations, authenticate=authenticate, make_context=make_context, sessions=Sessions(check)
    )
    app = Starlette(routes=[Route("/graphql", graphql, methods=["POST"]), WebSocketRoute("/graphql", socket)])
    async with listening(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        yield Server(port, "numbers", http, filled.database, filled.bus, filled.hub)


NO_TASK = "task_" + "0" * 32
REPORT = "mutation Report($id: ID!) { reportTask(input: {taskId: $id, status: FAILED}) { __typename } }"
# Documents, and the scope that a viewer of numbers lacks for them.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a field": ({"query": "{ tasks { nodes { title } } }"}, "READ"),
    "an alias": ({"query": "{ tasks { nodes { id: title } } }"}, "READ"),
    "a wide field": ({"query": "{ tasks { nodes { input } } }"}, "READ"),
    "a log": ({"query": "{ tasks { nodes { logs { nodes { seq } } } } }"}, "READ"),
    "below other types": (
        {"query": "{ agents { nodes { currentTasks { nodes { conversation { title } } } } } }"},
        "READ",
    ),
    "an inline fragment": ({"query": f'{{ node(id: "{NO_TASK}") {{ ... on Message {{ text }} }} }}'}, "READ"),
    "a fragment in a fragment": (
        {
            "query": "query Q { tasks { ...A } } fragment A on TaskConnection { edges { ...B } }"
            " fragment B on TaskEdge { node { ...C } } fragment C on Task { ... { ... { result } } }"
        },
        "READ",
    ),
    "what is skipped": ({"query": "{ tasks { nodes { id title @skip(if: true) } } }"}, "READ"),
    "what may be left out": (
        {
            "query": "query Q($no: Boolean!) { tasks { nodes { id ... @include(if: $no) { title } } } }",
            "variables": {"no": False},
        },
        "READ",
    ),
    "another operation of the document": (
        {"query": "query A { health { status } } query B { tasks { nodes { title } } }", "operationName": "A"},
        "READ",
    ),
    "variables that do not fit": (
        {"query": "query Q($id: ID!) { task(id: $id) { title } }", "variables": {"id": {}}},
        "READ",
    ),
    "a mutation": ({"query": REPORT, "variables": {"id": NO_TASK}}, "WRITE"),
    "a mutation of nonsense": ({"query": REPORT, "variables": {"id": 1.5}}, "WRITE"),
    "a mutation under an alias": (
        {"query": "mutation M { health: createConversation(input: {}) { __typename } }"},
        "WRITE",
    ),
    "a fragment on Mutation": (
        {"query": "mutation M { ...A } fragment A on Mutation { createConversation(input: {}) { __typename } }"},
        "WRITE",
    ),
}


async def _as(server: Server, token: str, payload: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/graphql-response+json"}
    return await server.http.post("/graphql", json=payload, headers=headers)


@pytest.mark.parametrize("case", REFUSED)
async def test_a_document_that_needs_more_is_refused_before_it_runs(limited: Server, case: str) -> None:
    payload, scope = REFUSED[case]
    before = limited.statement_count
    response = await _as(limited, "numbers", payload)
    assert limited.statement_count == before
    assert response.status_code == 403
    (error,) = response.json()["errors"]
    assert response.json().keys() == {"errors"}
    assert error["extensions"] == {"code": "FORBIDDEN", "scopes": [scope]}
    assert scope in error["message"]


async def test_nothing_was_written(limited: Server) -> None:
    """By the mutations above."""
    document = "{ conversations(first: 1) { totalCount } tasks(filter: {status: [FAILED]}, first: 1) { totalCount } }"
    data = (await _as(limited, "numbers", {"query": document})).json()["data"]
    assert data == {"conversations": {"totalCount": 50}, "tasks": {"totalCount": 50}}


async def test_a_fragment_that_is_not_used_is_no_way_in(limited: Server) -> None:
    query = "query Q { health { status } } fragment A on Task { title }"
    response = await _as(limited, "numbers", {"query": query})
    assert (response.status_code, response.json().keys()) == (400, {"errors"})


@pytest.mark.parametrize(
    "query",
    [
        "{ tasks(first: 1) { nodes { id status model usage { costUsd } toolCalls { nodes { name } } } totalCount } }",
        "{ tasks(first: 1) { nodes { __typename title: id } } __typename }",
        "{ viewer { scopes } health { status } }",
        '{ summary(range: {lastMs: 1000}) { usage { costUsd } } __type(name: "Task") { fields { name } } }',
    ],
)
async def test_numbers_are_for_those_who_may_read_numbers(limited: Server, query: str) -> None:
    response = await _as(limited, "numbers", {"query": query})
    assert (response.status_code, "errors" in response.json()) == (200, False)


async def test_each_scope_opens_its_own(limited: Server) -> None:
    content, report = {"query": "{ tasks { nodes { title } } }"}, {"query": REPORT, "variables": {"id": NO_TASK}}
    assert (await _as(limited, "reader", content)).status_code == 200
    assert (await _as(limited, "reader", report)).status_code == 403
    assert (await _as(limited, "writer", content)).status_code == 403
    answer = (await _as(limited, "writer", report)).json()
    assert answer == {"data": {"reportTask": {"__typename": "NotFound"}}}
    both = {"query": "mutation M { createConversation(input: {}) { ... on CreateConversationSuccess"}
    both["query"] += " { conversation { title } } } }"
    refused = (await _as(limited, "writer", both)).json()
    assert refused["errors"][0]["extensions"] == {"code": "FORBIDDEN", "scopes": ["READ"]}


async def test_the_scopes_that_a_viewer_has_are_told(limited: Server) -> None:
    for token, scopes in SCOPES.items():
        data = (await _as(limited, token, {"query": "{ viewer { scopes } }"})).json()["data"]
        assert set(data["viewer"]["scopes"]) == scopes


async def _ask(socket: ClientConnection, payload: dict[str, Any]) -> dict[str, Any]:
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


async def test_scopes_hold_over_websocket_too(limited: Server) -> None:
    log = {"query": f'subscription {{ taskLog(taskId: "{NO_TASK}") {{ __typename }} }}'}
    shown = {"query": "subscription { taskChanged { ... on TaskChanged { task { title } } } }"}
    # An event may be of a kind that asks for more than the stream.
    hidden = {"query": "subscription { taskChanged { ... on TaskChanged { task { logs { nodes { seq } } } } } }"}
    async with connect(limited.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": "Bearer numbers"}}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        before = limited.statement_count
        for payload, scope in [(log, "READ"), (shown, "READ"), (hidden, "READ"), *REFUSED.values()]:
            answer = await _ask(socket, payload)
            assert (answer["type"], answer["id"]) == ("error", "1")
            assert answer["payload"][0]["extensions"] == {"code": "FORBIDDEN", "scopes": [scope]}
        assert limited.statement_count == before
        answer = await _ask(socket, {"query": HEALTH})
        assert answer["payload"] == {"data": {"health": {"status": "OK"}}}
