"""GraphQL over HTTP is strict: what is no request is refused with the status and the words that fit, never with 500."""

import json
from typing import Any

import pytest

from tests.client import Server

HEALTH = "{ health { status } }"
TWO = "query A { health { status } } query B { viewer { scopes } }"
JSON = "application/json"
RESPONSE = "application/graphql-response+json"


async def _send(server: Server, body: bytes, **headers: str) -> tuple[int, Any]:
    """Status and body of a POST of bytes."""
    sent = {
        "Content-Type": JSON,
        "Accept": RESPONSE,
        **server.headers,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    response = await server.http.post("/graphql", content=body, headers=sent)
    return response.status_code, response.json()


def _is_refusal(body: Any, code: str) -> bool:
    """An error for people and programs, and no data key."""
    (error,) = body["errors"]
    return bool(body.keys() == {"errors"} and error["extensions"]["code"] == code and error["message"].endswith("."))


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE"])
async def test_only_get_and_post_ask(filled: Server, method: str) -> None:
    response = await filled.http.request(method, f"/graphql?query={HEALTH}", headers=filled.headers)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"
    if method != "HEAD":
        assert _is_refusal(response.json(), "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (RESPONSE, RESPONSE),
        (f"{JSON};q=0.5, {RESPONSE}", RESPONSE),
        ("text/plain, */*;q=0.1", JSON),
        ("APPLICATION/JSON", JSON),
        ("text/plain", None),
        ("image/png, text/csv", None),
        ("application/xml", None),
    ],
)
async def test_the_media_type_of_the_answer(filled: Server, accept: str | None, expected: str | None) -> None:
    headers = dict(filled.headers) | ({} if accept is None else {"Accept": accept})
    response = await filled.http.post("/graphql", json={"query": HEALTH}, headers=headers)
    if expected is None:
        assert response.status_code == 406
        assert _is_refusal(response.json(), "NOT_ACCEPTABLE")
    else:
        assert response.status_code == 200
        assert response.headers["content-type"] == f"{expected}; charset=utf-8"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
        "application/jsonp",
    ],
)
async def test_the_media_type_of_the_request(filled: Server, content_type: str) -> None:
    status, body = await _send(filled, json.dumps({"query": HEALTH}).encode(), Content_Type=content_type)
    assert status == 415
    assert _is_refusal(body, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_json_by_any_spelling(filled: Server, content_type: str) -> None:
    status, _ = await _send(filled, json.dumps({"query": HEALTH}).encode(), Content_Type=content_type)
    assert status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"5",
        b"null",
        b"true",
        b'"{ health { status } }"',
        b"[]",
        b'[{"query": "{ health { status } }"}]',
        b"{}",
        b"{",
        b'{"query": "{ health { status } }"',
        b'{"query": "{ health { status } }"} x',
        b'{"query": null}',
        b'{"query": ""}',
        b'{"query": 5}',
        b'{"query": ["{ health { status } }"]}',
        b'{"query": "{ health { status } }", "variables": []}',
        b'{"query": "{ health { status } }", "variables": "{}"}',
        b'{"query": "{ health { status } }", "variables": 5}',
        b'{"query": "{ health { status } }", "operationName": 5}',
        b'{"query": "{ health { status } }", "extensions": []}',
        b'{"query": "{ health { status } }", "variables": {"x": NaN}}',
        b'{"query": "{ health { status } }", "variables": {"x": Infinity}}',
        b'{"query": "{ health { status } }", "variables": {"x": "\xff"}}',
        b'{"query": "{ health { status } }", "variables": {"x": "\xed\xa0\x80"}}',
        b'{"query": "{ health { status } }", "variables": {"x": "\\ud800"}}',
        b"\xef\xbb\xbf" + b'{"query": "{ health { status } }"}',
        '{"query": "{ health { status } }"}'.encode("utf-16"),
        b'{"query": "{ health { status } }", "variables": ' + b'{"x":' * 65 + b"1" + b"}" * 66,
        b'{"query": "{ health { status } }", "variables": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"query": "{ health { status } }", "variables": {"x": ' + b"[" * 500_000,
        b"\x00" * 1_000,
    ],
    ids=lambda body: repr(body[:70]),
)
async def test_a_body_that_is_no_operation(filled: Server, body: bytes) -> None:
    status, answer = await _send(filled, body)
    assert status == 400
    assert _is_refusal(answer, "BAD_REQUEST")


async def test_a_body_that_is_too_large(filled: Server) -> None:
    limit = 1024 * 1024
    padding = limit - len(json.dumps({"query": HEALTH, "variables": {"x": ""}}))
    fits = json.dumps({"query": HEALTH, "variables": {"x": "x" * padding}}).encode()
    assert len(fits) == limit
    assert (await _send(filled, fits))[0] == 200
    for body in (fits + b" ", b" " * (5 * limit)):
        status, answer = await _send(filled, body)
        assert status == 413
        assert _is_refusal(answer, "PAYLOAD_TOO_LARGE")


async def test_a_body_that_is_too_large_and_does_not_say_so(filled: Server) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 50_000

    response = await filled.http.post("/graphql", content=chunks(), headers={"Content-Type": JSON, **filled.headers})
    assert response.status_code == 413


async def test_several_operations(filled: Server) -> None:
    async def ask(**payload: Any) -> tuple[int, Any]:
        return await _send(filled, json.dumps({"query": TWO, **payload}).encode())

    assert await ask(operationName="A") == (200, {"data": {"health": {"status": "OK"}}})
    for payload in ({}, {"operationName": None}, {"operationName": ""}, {"operationName": "C"}, {"operationName": "a"}):
        status, body = await ask(**payload)
        assert status == 400
        assert _is_refusal(body, "OPERATION_RESOLUTION_FAILURE")
    assert "A, B" in (await ask())[1]["errors"][0]["message"]
    status, body = await ask(query="fragment A on Health { status }")
    assert (status, body.keys()) == (400, {"errors"})


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "{ health",
        "query",
        "{ health { status } } garbage",
        "\0",
        "{ health { status }\0}",
        '{ health(x: "\\uD800") { status } }',
        "# nothing but words",
    ],
)
async def test_a_document_that_cannot_be_read(filled: Server, query: str) -> None:
    response = await filled.post(query)
    assert (response.status_code, response.json().keys()) == (400, {"errors"})
    assert response.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ helth { status } }", None),
        ("{ health }", None),
        ("{ health { status { x } } }", None),
        ("{ task { id } }", None),
        ("{ task(id: true) { id } }", None),
        ("query Q($x: Nothing) { health { status } }", None),
        ("query Q($x: ID!) { task(id: $y) { id } }", None),
        ("{ tasks(first: 1.5) { nodes { id } } }", None),
        ("{ tasks(orderBy: {field: TITLE, direction: ASC}) { nodes { id } } }", None),
        ("type A { b: Int }", None),
        ("query Q($x: ID!) { task(id: $x) { id } }", None),
        ("query Q($x: ID!) { task(id: $x) { id } }", {"x": None}),
        ("query Q($x: ID!) { task(id: $x) { id } }", {"x": ["a"]}),
        ("query Q($x: Int) { tasks(first: $x) { nodes { id } } }", {"x": "1"}),
        ("query Q($x: Int) { tasks(first: $x) { nodes { id } } }", {"x": 2**31}),
        ("query Q($x: Int) { tasks(first: $x) { nodes { id } } }", {"x": 2**200}),
        ("query Q($x: String) { tasks(after: $x) { nodes { id } } }", {"x": {"y": 1}}),
    ],
)
async def test_an_operation_that_cannot_run(filled: Server, query: str, variables: dict[str, Any] | None) -> None:
    before = filled.statement_count
    response = await filled.post(query, variables)
    assert (response.status_code, response.json().keys()) == (400, {"errors"})
    for error in response.json()["errors"]:
        assert error["extensions"]["code"] in ("GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT")
    assert filled.statement_count == before


@pytest.mark.parametrize("depth", [30, 100, 150, 200, 250, 300, 400, 600, 900])
async def test_a_deep_value_in_a_document(filled: Server, depth: int) -> None:
    """Recursion ends in parsing, validating or printing: none of them may end in a failure of ours."""
    for opening, closing in (("[", "]"), ("{a:", "}")):
        deep = opening * depth + "1" + closing * depth
        for query in (
            f"{{ task(id: {deep}) {{ id }} }}",
            f"{{ tasks(filter: {deep}) {{ nodes {{ id }} }} }}",
            f"query Q($x: [ID] = {deep}) {{ nodes(ids: $x) {{ id }} }}",
            "{ " + "health { " * depth + "}" * depth + " }",
        ):
            response = await filled.post(query)
            assert (response.status_code, response.json().keys()) == (400, {"errors"}), response.text[:300]
            assert response.json()["errors"][0]["extensions"]["code"] != "INTERNAL"


async def test_a_deep_type_of_a_variable(filled: Server) -> None:
    for depth in (50, 150, 300, 900):
        query = f"query Q($x: {'[' * depth}ID{']' * depth}) {{ nodes(ids: $x) {{ id }} }}"
        response = await filled.post(query)
        assert (response.status_code, response.json().keys()) == (400, {"errors"}), response.text[:300]


async def test_subscriptions_are_not_for_http(filled: Server) -> None:
    response = await filled.post("subscription { taskChanged { __typename } }")
    assert response.status_code == 400
    assert _is_refusal(response.json(), "BAD_REQUEST")
    assert "WebSocket" in response.text


async def test_the_server_is_well_after_all_this(filled: Server) -> None:
    assert (await filled.query(HEALTH))["health"]["status"] == "OK"
