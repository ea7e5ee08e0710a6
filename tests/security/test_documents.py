"""Documents by their hash: trusted ones, automatic persisted queries, and a store that is bounded."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client import Server

HEALTH = "{ health { status } }"
HEALTHY = {"data": {"health": {"status": "OK"}}}
JSON = "application/json"
RESPONSE = "application/graphql-response+json"
OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations"


async def _get(server: Server, **parameters: Any) -> httpx.Response:
    headers = {**server.headers, "Accept": RESPONSE, "GraphQL-Require-Preflight": "1"}
    return await server.http.get("/graphql", params=parameters, headers=headers)


async def _send(server: Server, accept: str = RESPONSE, **payload: Any) -> httpx.Response:
    return await server.http.post("/graphql", json=payload, headers={**server.headers, "Accept": accept})


def _code(response: httpx.Response) -> str:
    """The code of the only error; there is no data key."""
    body = response.json()
    assert body.keys() == {"errors"}
    (error,) = body["errors"]
    return str(error["extensions"]["code"])


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", sorted(path.name for path in OPERATIONS.glob("*.graphql")))
async def test_every_operation_of_ours_is_trusted(filled: Server, name: str) -> None:
    text = (OPERATIONS / name).read_text()
    for identifier in (f"sha256:{_hash(text)}", _hash(text), _hash(text).upper()):
        response = await _send(filled, documentId=identifier)
        # Variables are missing here, and subscriptions run elsewhere: it is found and prepared all the same.
        assert "errors" not in response.json() or _code(response) in ("BAD_USER_INPUT", "BAD_REQUEST")
        assert "DOCUMENT_NOT_FOUND" not in response.text


async def test_a_trusted_document_runs(filled: Server) -> None:
    text = (OPERATIONS / "TaskBoard.graphql").read_text()
    by_hash = await _send(filled, documentId=f"sha256:{_hash(text)}", variables={"first": 3})
    by_text = await _send(filled, query=text, variables={"first": 3})
    assert (by_hash.status_code, by_hash.json()) == (200, by_text.json())
    over_get = await _get(filled, documentId=f"sha256:{_hash(text)}", variables='{"first": 3}')
    assert over_get.json() == by_text.json()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"documentId": "sha256:" + "0" * 64}, "DOCUMENT_NOT_FOUND"),
        ({"documentId": "TaskBoard"}, "DOCUMENT_NOT_FOUND"),
        ({"documentId": 5}, "BAD_REQUEST"),
        ({"documentId": "sha256:" + "0" * 64, "query": HEALTH}, "BAD_REQUEST"),
    ],
)
async def test_a_document_that_is_not_known(filled: Server, payload: dict[str, Any], code: str) -> None:
    response = await _send(filled, **payload)
    assert (response.status_code, _code(response)) == (400, code)


def _persisted(query: str, digest: str | None = None) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": digest or _hash(query)}}


async def test_automatic_persisted_queries(server: Server) -> None:
    query = "query Stored { health { status version } }"
    for accept, status in ((JSON, 200), (RESPONSE, 400)):
        unknown = await _send(server, accept, extensions=_persisted(query))
        assert (unknown.status_code, _code(unknown)) == (status, "PERSISTED_QUERY_NOT_FOUND")
        assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    first = await _send(server, query=query, extensions=_persisted(query))
    assert first.json()["data"]["health"]["status"] == "OK"
    assert (await _send(server, extensions=_persisted(query))).json() == first.json()
    assert (await _get(server, extensions=json.dumps(_persisted(query)))).json() == first.json()


@pytest.mark.parametrize(
    "persisted",
    [
        {"version": 1, "sha256Hash": "0" * 64},
        {"version": 2, "sha256Hash": _hash(HEALTH)},
        {"version": 1},
        {"version": 1, "sha256Hash": 5},
        "x",
    ],
    ids=str,
)
async def test_a_hash_that_is_not_the_document_s(server: Server, persisted: Any) -> None:
    response = await _send(server, query=HEALTH, extensions={"persistedQuery": persisted})
    assert (response.status_code, _code(response)) == (400, "BAD_REQUEST")


async def test_what_is_not_valid_is_not_stored(server: Server) -> None:
    query = "{ nothing }"
    await _send(server, query=query, extensions=_persisted(query))
    assert _code(await _send(server, extensions=_persisted(query))) == "PERSISTED_QUERY_NOT_FOUND"


async def test_the_store_of_documents_is_bounded(server: Server) -> None:
    queries = [f"# {n} {'x' * 30_000}\n{HEALTH}" for n in range(75)]  # over 2 MiB in all
    for query in queries:
        assert (await _send(server, query=query, extensions=_persisted(query))).status_code == 200
    assert _code(await _send(server, extensions=_persisted(queries[0]))) == "PERSISTED_QUERY_NOT_FOUND"
    assert (await _send(server, extensions=_persisted(queries[-1]))).json() == HEALTHY
