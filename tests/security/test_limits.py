"""What an operation may ask for: each limit at its edge, asked for from outside."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from graphql import get_introspection_query

from execution.limits import Limits
from local import StoreUrls
from settings import Settings, SettingsError
from tests.client import Server
from tests.serving import serving

LIMITS = Limits()
NAMES = ["id", "status", "source", "origin", "externalId", "revision", "model", "createdAt", "updatedAt", "gitBranch"]
NO_TASK = "task_" + 32 * "0"


def _times(count: int, make: Callable[[int], str]) -> str:
    return " ".join(make(n) for n in range(count))


def _nested(levels: int) -> str:
    """A document so many fields deep."""
    inner = "id"
    for n in range(levels - 2):
        inner = f"{'parentTask' if n % 2 else 'retryOf'} {{ {inner} }}"
    return f'{{ task(id: "{NO_TASK}") {{ {inner} }} }}'


def _introspected(levels: int) -> str:
    inner = "name"
    for _ in range(levels - 3):
        inner = f"ofType {{ {inner} }}"
    return f"{{ __schema {{ queryType {{ {inner} }} }} }}"


def _task(fields: str) -> str:
    return f'{{ task(id: "{NO_TASK}") {{ {fields} }} }}'


# A document for a count, the limit, and the code beyond it.
COUNTED: dict[str, tuple[Callable[[int], str], int, str]] = {
    "depth": (_nested, LIMITS.depth, "TOO_DEEP"),
    "introspection": (_introspected, LIMITS.introspection_depth, "TOO_DEEP"),
    "aliases": (lambda n: _task(_times(n, lambda i: f"a{i}: status")), LIMITS.aliases, "TOO_MANY_ALIASES"),
    "directives": (
        lambda n: _task(_times(n, lambda _: "id @include(if: true)")),
        LIMITS.directives,
        "TOO_MANY_DIRECTIVES",
    ),
    "spreads": (
        lambda n: _task(_times(n, lambda _: "...F")) + " fragment F on Task { id }",
        LIMITS.fragments,
        "TOO_MANY_FRAGMENTS",
    ),
    "inline fragments": (lambda n: _task("... { " * n + "id" + " }" * n), LIMITS.fragments, "TOO_MANY_FRAGMENTS"),
    "spreads in fragments": (  # each of G is four
        lambda n: (
            _task("...G " * (n // 4) + "...F " * (n % 4)) + " fragment F on Task { id } fragment G on Task { "
            "...F ...F ...F }"
        ),
        LIMITS.fragments,
        "TOO_MANY_FRAGMENTS",
    ),
    "root fields": (lambda n: f"{{ {'__typename ' * n} }}", LIMITS.root_fields, "TOO_MANY_ROOT_FIELDS"),
    "root fields in fragments": (
        lambda n: f"{{ ...F {'__typename ' * (n - 5)} }} fragment F on Query {{ {'__typename ' * 5} }}",
        LIMITS.root_fields,
        "TOO_MANY_ROOT_FIELDS",
    ),
    "repeated fields": (
        # Spread over ten names: pairs of one name stay few.
        lambda n: _task(" ".join(f"{name} " * (n // 10 + 1 + (index < n % 10)) for index, name in enumerate(NAMES))),
        LIMITS.repeated_fields,
        "TOO_MANY_REPEATED_FIELDS",
    ),
    "operations": (
        lambda n: _times(n, lambda i: f"query Q{i} {{ __typename }}"),
        LIMITS.operations,
        "TOO_MANY_OPERATIONS",
    ),
}


async def _refused(server: Server, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """The extensions of the only error; the status is 400, no statement ran."""
    before = server.statement_count
    response = await server.post(query, variables)
    assert (response.status_code, response.json().keys()) == (400, {"errors"}), response.text[:500]
    assert server.statement_count == before
    (error,) = response.json()["errors"]
    assert error["message"][-1] == "."
    return dict(error["extensions"])


@pytest.mark.parametrize("case", COUNTED)
async def test_so_many_and_no_more(filled: Server, case: str) -> None:
    make, limit, code = COUNTED[case]
    fits = await filled.post(make(limit))
    answer = fits.json()
    # Only the document is at stake: of several operations none is named, and introspection ends where types end.
    assert "data" in answer or answer["errors"][0]["extensions"]["code"] == "OPERATION_RESOLUTION_FAILURE", answer
    assert await _refused(filled, make(limit + 1)) == {"code": code, "limit": limit, "found": limit + 1}


async def test_tokens(filled: Server) -> None:
    def ids(count: int) -> str:
        return "{ nodes(ids: [" + '"x" ' * (count - 14) + "]) { id } }"

    assert await _refused(filled, ids(LIMITS.tokens + 10)) == {"code": "TOO_MANY_TOKENS", "limit": LIMITS.tokens}
    assert (await filled.post(ids(LIMITS.tokens - 10))).json()["errors"][0]["extensions"]["code"] != "TOO_MANY_TOKENS"


async def test_characters(filled: Server) -> None:
    query = "{ health { status } } #"
    fits = query + "x" * (LIMITS.document - len(query))
    assert (await filled.post(fits)).status_code == 200
    found = {"code": "DOCUMENT_TOO_LARGE", "limit": LIMITS.document, "found": LIMITS.document + 1}
    assert await _refused(filled, fits + "x") == found


async def test_values_of_variables(filled: Server) -> None:
    query = "query Q($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    many = {"ids": ["x"] * LIMITS.values}
    assert await _refused(filled, query, many) == {"code": "TOO_MANY_VALUES", "limit": LIMITS.values}
    deep: dict[str, Any] = {"ids": [[[{"a": ["x"] * 100}] * 20] * 20]}
    assert await _refused(filled, query, deep) == {"code": "TOO_MANY_VALUES", "limit": LIMITS.values}


# A variable's type, a field that takes it, and a filter with a list of strings in it.
FILTERS: list[tuple[str, str, Callable[[list[str]], dict[str, Any]]]] = [
    ("TaskFilter", "tasks(filter: $f) { nodes { id } }", lambda texts: {"agentId": texts}),
    ("TaskFilter", "tasks(filter: $f) { nodes { id } }", lambda texts: {"model": texts}),
    ("TaskFilter", "summary(range: {lastMs: 1}, filter: $f) { taskCount }", lambda texts: {"gitBranch": texts}),
    ("AgentFilter", "agents(filter: $f) { nodes { id } }", lambda texts: {"hostId": texts}),
    ("ConversationFilter", "conversations(filter: $f) { nodes { id } }", lambda texts: {"tag": texts}),
    ("ConversationFilter", "conversations(filter: $f) { nodes { id } }", lambda texts: {"ownerId": texts}),
    ("RunFilter", "runs(filter: $f) { nodes { id } }", lambda texts: {"projectId": texts}),
]


@pytest.mark.parametrize(("type_", "field", "filter_of"), FILTERS, ids=lambda value: str(value)[:12])
async def test_lists_in_filters(
    filled: Server, type_: str, field: str, filter_of: Callable[[list[str]], dict[str, Any]]
) -> None:
    query = f"query Q($f: {type_}) {{ {field} }}"
    assert await filled.query(query, f=filter_of([f"agent_{n:032x}" for n in range(500)]))
    error = await filled.error(query, f=filter_of(["x"] * 501))
    assert error["extensions"] == {"code": "INVALID_INPUT", "argument": "filter"}
    assert error["message"] == "A list of a filter may have up to 500 values; one has 501."


async def test_texts_to_search_logs_for(filled: Server) -> None:
    query = "query Q($f: LogFilter) { tasks(first: 1) { nodes { logs(filter: $f) { nodes { text } } } } }"
    for text in ("x" * 200, "%", "_", "\\", "  ", "\0", "'"):
        assert "tasks" in await filled.query(query, f={"search": text})
    assert (await filled.error(query, f={"search": "x" * 201}))["extensions"]["code"] == "INVALID_INPUT"


async def test_a_message_does_not_repeat_a_megabyte(filled: Server) -> None:
    query = "query Q($filter: TaskFilter) { tasks(filter: $filter) { nodes { id } } }"
    response = await filled.post(query, {"filter": {"status": ["x" * 500_000]}})
    assert (response.status_code, len(response.content) < 3_000) == (400, True)


@pytest.mark.parametrize("depth", [7, 9])
@pytest.mark.parametrize("all_of_it", [False, True])
async def test_the_tools_introspection_passes(filled: Server, depth: int, all_of_it: bool) -> None:
    """GraphiQL, Apollo, urql and graphql-codegen all send the standard query with options of their own."""
    query = get_introspection_query(
        descriptions=all_of_it,
        specified_by_url=all_of_it,
        directive_is_repeatable=all_of_it,
        schema_description=all_of_it,
        input_value_deprecation=all_of_it,
        one_of=all_of_it,
        type_depth=depth,
    )
    data = await filled.query(query)
    assert {"Task", "Query", "TaskStatus"} <= {kind["name"] for kind in data["__schema"]["types"]}


async def test_introspection_is_bounded_by_lists_too(filled: Server) -> None:
    query = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    assert (await filled.error(query))["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize("spread", ["...F", "... on Query { ...F }"])
async def test_depth_counts_through_fragments(filled: Server, spread: str) -> None:
    inner = _nested(LIMITS.depth + 1)
    query = f"query Q {{ {spread} }} fragment F on Query {inner}"
    assert (await _refused(filled, query))["code"] == "TOO_DEEP"


@pytest.mark.parametrize(
    "query",
    [
        "query Q { ...A } fragment A on Query { ...A }",
        "query Q { ...A } fragment A on Query { ...B ...B } fragment B on Query { ...A ...A }",
        "query Q { ...Nothing ...Nothing }",
        "query Q { ...A } fragment A on Query { ...Nothing }",
        "query Q { ...A } fragment A on Query { __typename } fragment A on Query { ...A ...A }",
        "query Q { ...A } fragment A on Nothing { ...A id }",
    ],
)
async def test_fragments_that_validation_refuses(filled: Server, query: str) -> None:
    response = await filled.post(query)
    assert response.status_code == 400
    assert {error["extensions"]["code"] for error in response.json()["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}


async def test_a_number_of_thousands_of_digits(filled: Server) -> None:
    response = await filled.post("{ tasks(first: " + "9" * 5_000 + ") { nodes { id } } }")
    assert response.status_code == 400
    assert "sys." not in response.text


# Settings


@pytest.fixture
async def other(settings: Settings, database_url: str, store_urls: StoreUrls) -> AsyncIterator[Server]:
    """A server with other limits."""
    read = Settings.read({"FLEETGRAPH_LIMITS": " depth=3, aliases = 1,cost=60 "}, host_name="testhost")
    async with serving(replace(settings, limits=read.limits), database_url, store_urls.redis_url) as running:
        yield running


async def test_limits_can_be_set(other: Server) -> None:
    assert (await other.post("{ tasks { nodes { id } } }")).status_code == 200
    assert (await _refused(other, "{ tasks { nodes { agent { id } } } }"))["limit"] == 3
    assert (await _refused(other, "{ a: __typename b: __typename }"))["limit"] == 1
    assert (await _refused(other, "{ tasks(first: 60) { nodes { id } } }"))["cost"] == {"requested": 61, "limit": 60}


@pytest.mark.parametrize(
    "text", ["depth", "depth=", "depth=x", "depth=0", "depth=-1", "deep=3", "depth=3;cost=5", "=3"]
)
def test_limits_that_cannot_be_read(text: str) -> None:
    with pytest.raises(SettingsError, match=r"FLEETGRAPH_LIMITS has .* it should be limits such as depth=15"):
        Settings.read({"FLEETGRAPH_LIMITS": text}, host_name="testhost")
