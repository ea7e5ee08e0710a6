"""What operations cost, told from the document and its variables, and what happens to one that costs too much."""

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from execution.limits import Limits
from execution.operations import Operations
from schema.errors import describe_error
from schema.root import build_schema
from tests.client import Server

LIMITS = Limits()
OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations"


async def _refused(server: Server, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """The extensions of the only error; the status is 400, no statement ran."""
    before = server.statement_count
    response = await server.post(query, variables)
    assert (response.status_code, response.json().keys()) == (400, {"errors"}), response.text[:500]
    assert server.statement_count == before
    (error,) = response.json()["errors"]
    return dict(error["extensions"])


async def _cost(server: Server, query: str, variables: dict[str, Any] | None = None) -> dict[str, int]:
    """What the answer says of it."""
    payload = {"query": query, "variables": variables, "extensions": {"cost": True}}
    answer = (await server.http.post("/graphql", json=payload, headers=server.headers)).json()
    return dict((answer.get("extensions") or answer["errors"][0]["extensions"])["cost"])


COSTS = [
    ("{ __typename }", None, 0),
    ("{ __schema { types { name } } }", None, 0),
    ("{ health { status } }", None, 1),
    ('{ task(id: "x") { id agent { id } conversation { id } } }', None, 3),
    ("{ tasks { totalCount } }", None, 1),
    ("{ tasks { nodes { id } } }", None, 1 + 50),
    ("{ tasks { nodes { id } pageInfo { hasNextPage } } }", None, 1 + 50 + 1),
    ("{ tasks { edges { node { id } } } }", None, 1 + 50 + 50),
    ("{ tasks(first: 7) { nodes { id agent { id } } } }", None, 1 + 7 * 2),
    ("{ tasks(first: 7) { nodes { agent { name } logs(last: 4) { nodes { text } } } } }", None, 50),
    ("{ tasks(first: 7) { nodes { id logs { nodes { seq } } } } }", None, 1 + 7 * (1 + 1 + 10)),
    ("{ tasks(first: 7) { nodes { logs(last: 4) { nodes { seq } } } } }", None, 1 + 7 * (1 + 1 + 4)),
    ("{ a: tasks(first: 2) { nodes { id } } b: tasks(first: 3) { nodes { id } } }", None, 1 + 2 + 1 + 3),
    ("{ tasks(first: 2) { ...F } } fragment F on TaskConnection { nodes { id agent { id } } }", None, 1 + 2 * 2),
    ("{ tasks(first: 2) { ... { nodes { ... on Task { agent { id } } } } } }", None, 1 + 2 * 2),
    ("{ tasks(first: 2) @skip(if: true) { nodes { id } } }", None, 1 + 2),
    ("query Q($n: Int) { tasks(first: $n) { nodes { id } } }", {"n": 5}, 1 + 5),
    ("query Q($n: Int) { tasks(first: $n) { nodes { id } } }", None, 1 + 50),
    ("query Q($n: Int) { tasks(first: $n) { nodes { id } } }", {"n": None}, 1 + 50),
    ("query Q($n: Int = 3) { tasks(first: $n) { nodes { id } } }", None, 1 + 3),
    ("query Q($n: Int = 3) { tasks(first: $n) { nodes { id } } }", {"n": 4}, 1 + 4),
    (
        "query Q($n: Int, $m: Int) { tasks(first: $n) { nodes { logs(first: $m) { nodes { seq } } } } }",
        {"n": 3, "m": 4},
        1 + 3 * (1 + 1 + 4),
    ),
    ('{ nodes(ids: ["x", "y"]) { id } }', None, 2),
    ("query Q($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["x"] * 9}, 9),
]


@pytest.mark.parametrize(("query", "variables", "cost"), COSTS)
async def test_what_operations_cost(filled: Server, query: str, variables: dict[str, Any] | None, cost: int) -> None:
    assert await _cost(filled, query, variables) == {"requested": cost, "limit": LIMITS.cost}


async def test_the_cost_is_told_to_who_asks(filled: Server) -> None:
    for extensions in (None, {}, {"cost": False}, {"cost": "yes"}, {"other": True}):
        payload = {"query": "{ health { status } }", "extensions": extensions}
        answer = (await filled.http.post("/graphql", json=payload, headers=filled.headers)).json()
        assert answer == {"data": {"health": {"status": "OK"}}}


LOGS = "logs(first: 1000) { nodes { seq } }"
SHOWN = f"subscription {{ taskChanged {{ ... on TaskChanged {{ task {{ children(first: 100) {{ nodes {{ {LOGS} }}"
DEAR = "query Q($n: Int, $m: Int) { tasks(first: $n) { nodes { logs(first: $m) { nodes { seq } } } } }"


async def test_an_operation_that_costs_too_much(filled: Server) -> None:
    # 1 + 100 · (1 + 1 + 498) is 50,001; one line less for each is within the limit.
    assert (await filled.post(DEAR, {"n": 100, "m": 497})).status_code == 200
    refused = await _refused(filled, DEAR, {"n": 100, "m": 498})
    assert refused == {"code": "TOO_EXPENSIVE", "cost": {"requested": 50_001, "limit": 50_000}}
    dozen = " ".join(f"a{n}: tasks(first: 100) {{ nodes {{ {LOGS} }} }}" for n in range(12))
    assert (await _refused(filled, f"{{ {dozen} }}"))["cost"]["requested"] == 12 * (1 + 100 * 1_002)
    deep = "nodes { children(first: 100) { " * 4 + "nodes { id }" + " } }" * 4
    assert (await _refused(filled, f"{{ tasks(first: 100) {{ {deep} }} }}"))["cost"]["requested"] == 10**9


@pytest.mark.parametrize("size", [0, -1, 101, 10**6, 2**31 - 1])
async def test_a_page_that_is_no_page_is_refused_as_such(filled: Server, size: int) -> None:
    for query, variables in ((f"{{ tasks(first: {size}) {{ nodes {{ id }} }} }}", None), (DEAR, {"n": size, "m": 1})):
        (error,) = (await filled.post(query, variables)).json()["errors"]
        assert error["extensions"]["code"] == "INVALID_PAGE_SIZE"


@pytest.mark.parametrize("path", sorted(OPERATIONS.glob("*.graphql")), ids=lambda path: path.stem)
def test_our_operations_are_far_within_the_limits(path: Path) -> None:
    prepared = Operations(build_schema(), describe_error).prepare(path.read_text())
    assert prepared.cost.of(None) < LIMITS.cost / 10
    assert prepared.document.token_count < LIMITS.tokens / 2


async def test_limits_hold_over_a_socket_too(filled: Server) -> None:
    async with connect(filled.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": filled.headers}))
        await socket.recv()
        for query, code in (
            ("{ " + "__typename " * 21 + "}", "TOO_MANY_ROOT_FIELDS"),
            (DEAR.replace("$m)", "1000)").replace("$n)", "100)").replace("($n: Int, $m: Int)", ""), "TOO_EXPENSIVE"),
            (SHOWN + " }" * 5, "TOO_EXPENSIVE"),
        ):
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
            answer = json.loads(await socket.recv())
            assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", code)
