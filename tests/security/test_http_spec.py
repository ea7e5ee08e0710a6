"""GET, media types, statuses and compression: what the specification of GraphQL over HTTP says of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import StoreUrls
from settings import Settings
from tests.client import Server
from tests.serving import serving

HEALTH = "{ health { status } }"
HEALTHY = {"data": {"health": {"status": "OK"}}}
CREATE = 'mutation { createConversation(input: {idempotencyKey: "k"}) { __typename } }'
JSON = "application/json"
RESPONSE = "application/graphql-response+json"
PREFLIGHT = {"GraphQL-Require-Preflight": "1"}
OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations"


async def _get(server: Server, headers: dict[str, str] | None = None, **parameters: Any) -> httpx.Response:
    sent = {**server.headers, **(PREFLIGHT if headers is None else headers)}
    return await server.http.get("/graphql", params=parameters, headers={"Accept": RESPONSE, **sent})


async def _send(server: Server, accept: str = RESPONSE, **payload: Any) -> httpx.Response:
    return await server.http.post("/graphql", json=payload, headers={**server.headers, "Accept": accept})


def _code(response: httpx.Response) -> str:
    """The code of the only error; there is no data key."""
    body = response.json()
    assert body.keys() == {"errors"}
    (error,) = body["errors"]
    return str(error["extensions"]["code"])


# GET


async def test_a_get_carries_a_query(filled: Server) -> None:
    response = await _get(filled, query=HEALTH)
    assert (response.status_code, response.json()) == (200, HEALTHY)
    assert response.headers["content-type"] == f"{RESPONSE}; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    named = await _get(
        filled,
        query="query A($n: Int) { tasks(first: $n) { nodes { id } } } query B { health { status } }",
        operationName="A",
        variables=json.dumps({"n": 2}),
        extensions=json.dumps({"cost": True}),
    )
    assert len(named.json()["data"]["tasks"]["nodes"]) == 2
    assert named.json()["extensions"]["cost"]["requested"] == 3


@pytest.mark.parametrize(
    "headers",
    [
        PREFLIGHT,
        {"Apollo-Require-Preflight": "true"},
        {"Content-Type": JSON},
        {"Content-Type": f"{JSON}; charset=utf-8"},
    ],
    ids=str,
)
async def test_headers_that_no_page_sends_unasked(filled: Server, headers: dict[str, str]) -> None:
    assert (await _get(filled, headers, query=HEALTH)).json() == HEALTHY


@pytest.mark.parametrize(
    "headers",
    [{}, {"GraphQL-Require-Preflight": ""}, {"Content-Type": "text/plain"}, {"X-Requested-With": "XMLHttpRequest"}],
    ids=str,
)
async def test_a_get_that_any_page_could_send(filled: Server, headers: dict[str, str]) -> None:
    response = await _get(filled, headers, query=HEALTH)
    assert (response.status_code, _code(response)) == (400, "CSRF")


async def test_a_get_never_changes_anything(server: Server) -> None:
    response = await _get(server, query=CREATE)
    assert (response.status_code, _code(response)) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST"
    assert (await server.query("{ conversations { nodes { id } } }"))["conversations"]["nodes"] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": ""},
        {"query": [HEALTH, HEALTH]},
        {"query": HEALTH, "variables": "{"},
        {"query": HEALTH, "variables": "[]"},
        {"query": HEALTH, "variables": "null"},
        {"query": HEALTH, "variables": '{"x": NaN}'},
        {"query": HEALTH, "extensions": "5"},
    ],
    ids=str,
)
async def test_a_get_that_cannot_be_read(filled: Server, parameters: dict[str, Any]) -> None:
    response = await _get(filled, **parameters)
    assert (response.status_code, _code(response)) == (400, "BAD_REQUEST")


async def test_a_get_without_a_token(filled: Server) -> None:
    response = await filled.http.get("/graphql", params={"query": HEALTH}, headers=PREFLIGHT)
    assert (response.status_code, _code(response)) == (401, "UNAUTHENTICATED")


async def test_the_header_may_be_sent_by_pages_of_listed_origins(
    settings: Settings, database_url: str, store_urls: StoreUrls
) -> None:
    origin = "http://dashboard.test"
    chosen = replace(settings, cors_origins=(origin,))
    async with serving(chosen, database_url, store_urls.redis_url) as server:
        for asking, allowed in ((origin, origin), ("http://other.test", None)):
            response = await server.http.options(
                "/graphql",
                headers={
                    "Origin": asking,
                    "Access-Control-Request-Method": "GET",
                    "Access-Control-Request-Headers": "authorization, graphql-require-preflight",
                },
            )
            assert response.headers.get("access-control-allow-origin") == allowed
            assert response.is_success == (allowed is not None)


# Media types and statuses


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{RESPONSE}, {JSON};q=0.9", RESPONSE),
        (f"{RESPONSE};q=0.2, {JSON}", JSON),
        (f"{JSON}, {RESPONSE}", RESPONSE),
        (f"{JSON};q=0, */*", RESPONSE),
        (f"{RESPONSE};q=0, application/*", JSON),
        (f"{RESPONSE}; charset=utf-8", RESPONSE),
        (f"{JSON};q=0", None),
        (f"{RESPONSE};q=x", None),
        ("*/*;q=0", None),
    ],
)
async def test_the_weights_of_media_types(filled: Server, accept: str, expected: str | None) -> None:
    response = await _send(filled, accept, query=HEALTH)
    if expected is None:
        assert (response.status_code, _code(response)) == (406, "NOT_ACCEPTABLE")
    else:
        assert response.headers["content-type"] == f"{expected}; charset=utf-8"


@pytest.mark.parametrize("query", ["{", "{ nothing }", "query Q($id: ID!) { task(id: $id) { id } }"])
async def test_the_status_of_a_request_error_is_the_media_type_s(filled: Server, query: str) -> None:
    for accept, status in ((RESPONSE, 400), (JSON, 200)):
        response = await _send(filled, accept, query=query)
        assert (response.status_code, response.json().keys()) == (status, {"errors"})


async def test_a_partial_answer_is_no_failure(filled: Server) -> None:
    (task,) = (await filled.query("{ tasks(first: 1) { nodes { id } } }"))["tasks"]["nodes"]
    query = f'{{ health {{ status }} task(id: "{task["id"]}") {{ logs(first: 5000) {{ nodes {{ seq }} }} }} }}'
    for accept in (RESPONSE, JSON):
        response = await _send(filled, accept, query=query)
        assert response.status_code == 200
        assert response.json()["data"] == {"health": {"status": "OK"}, "task": None}
        assert response.json()["errors"][0]["path"] == ["task", "logs"]


async def test_a_compressed_body_is_not_taken(filled: Server) -> None:
    headers = {**filled.headers, "Content-Type": JSON, "Content-Encoding": "gzip"}
    response = await filled.http.post("/graphql", content=b"\x1f\x8b" + b"\0" * 100, headers=headers)
    assert (response.status_code, _code(response)) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_doubled_keys_are_json(filled: Server) -> None:
    body = b'{"query": "{", "query": "{ health { status } }"}'
    headers = {**filled.headers, "Content-Type": JSON}
    assert (await filled.http.post("/graphql", content=body, headers=headers)).json() == HEALTHY


# Compression


async def test_long_answers_are_compressed(filled: Server) -> None:
    query = (OPERATIONS / "TaskBoard.graphql").read_text()
    for encoding, expected in (("gzip", "gzip"), ("identity", None)):
        headers = {**filled.headers, "Accept-Encoding": encoding}
        response = await filled.http.post("/graphql", json={"query": query}, headers=headers)
        assert len(response.content) > 8192
        assert response.headers.get("content-encoding") == expected
        assert "Accept-Encoding" in response.headers["vary"]
        assert len(response.json()["data"]["tasks"]["nodes"]) == 50
    short = await filled.http.post("/graphql", json={"query": HEALTH}, headers=filled.headers)
    assert "content-encoding" not in short.headers
