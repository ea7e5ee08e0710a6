"""What takes long to work out keeps nobody waiting: it is done beside the event loop, or in many turns of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from graphql import get_introspection_query

from execution.limits import Limits
from execution.operations import Operations, RequestErrors
from resolvers.context import Context
from schema.errors import describe_error
from schema.root import build_schema
from tests.client import Server

LIMITS = Limits()
NOBODY: Any = None  # for what reads nothing


def _operations() -> Operations:
    operations = Operations(build_schema(), describe_error)
    operations.prepare("{ __typename }")  # the schema is made
    return operations


async def _turns(work: Awaitable[Any]) -> tuple[int, Any]:
    """How many turns of the loop others have had until it was done, and what came of it."""
    task = asyncio.ensure_future(work)
    turns = 0
    while not task.done():
        await asyncio.sleep(0.001)
        turns += 1
    return turns, await task


class _InTurns:
    """Counts calls of a method by turn of the loop."""

    def __init__(self, owner: Any, name: str) -> None:
        self.counts: Counter[int] = Counter()
        self._turn = 0
        self._call: Callable[..., Any] = getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *arguments: Any) -> Any:
        if not self.counts[self._turn]:
            asyncio.get_running_loop().call_soon(self._next)
        self.counts[self._turn] += 1
        return self._call(*arguments)

    def _next(self) -> None:
        self._turn += 1


async def test_many_new_documents_at_once() -> None:
    operations = _operations()
    prepared = _InTurns(operations, "_prepare")
    queries = [f"{{ a{n % 40}: tasks(first: {n % 40 + 1}) {{ nodes {{ id }} }} }}" for n in range(80)]
    found = await asyncio.gather(*[operations.prepare_aside(query) for query in queries])
    assert found[0] is found[40]  # of the same ones the first is prepared, and the others find it
    assert (prepared.counts.total(), max(prepared.counts.values())) == (40, 1)


async def test_many_new_documents_that_are_not_valid() -> None:
    operations = _operations()
    prepared = _InTurns(operations, "_prepare")
    asked = [operations.prepare_aside(f"{{ nothing{n} }}") for n in range(30)]
    failures = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(failure, RequestErrors) for failure in failures)
    assert max(prepared.counts.values()) == 1


async def test_many_new_conditions_at_once() -> None:
    """One document, and a plan for each combination of what it skips."""
    operations = _operations()
    executor = operations._executor
    compiled = _InTurns(executor, "_compile")
    names = [f"v{n}" for n in range(5)]
    fields = " ".join(f"f{name}: __typename @skip(if: ${name})" for name in names)
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    prepared = operations.prepare(f"query Q({declared}) {{ {fields} __typename }}")
    combinations = [{name: bool(n >> place & 1) for place, name in enumerate(names)} for n in range(32)]
    await asyncio.gather(*[operations.execute(prepared, given, NOBODY) for given in combinations])
    assert (compiled.counts.total(), max(compiled.counts.values())) == (32, 1)


async def test_introspection_keeps_nobody_waiting() -> None:
    operations = _operations()
    prepared = operations.prepare(get_introspection_query())
    turns, answer = await _turns(operations.execute(prepared, None, NOBODY))
    assert len(answer["data"]["__schema"]["types"]) > 100
    assert turns > 3


WIDE = "types { name fields { name type { name ofType { name ofType { name } } } args { name type { name } } } }"


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { " + " ".join(f"a{n}: {WIDE}" for n in range(20)) + " } }",
        "{ " + " ".join(f"a{n}: __schema {{ {WIDE} }}" for n in range(20)) + " }",
        "{ " + " ...F" * 20 + " } fragment F on Query { __schema { " + WIDE + " } }",
        "{ ...F } fragment F on Query { ... { " + " ".join(f"a{n}: __schema {{ {WIDE} }}" for n in range(20)) + " } }",
        "{ health { status } __schema { " + " ".join(f"a{n}: {WIDE}" for n in range(2)) + " } }",
        "query Q { health { status } ...F } fragment F on Query { __schema { types { ...T } } }"
        " fragment T on __Type { fields { type { fields { name args { name } } } } }",
    ],
    ids=["types", "schemas", "spreads", "inline", "beside data", "types of fields"],
)
async def test_introspection_is_bounded(filled: Server, query: str) -> None:
    response = await filled.post(query)
    error = response.json()["errors"][0]
    assert (response.status_code, error["extensions"]["code"]) == (400, "TOO_MUCH_INTROSPECTION")
    limit = LIMITS.introspection // 10 if "health" in query else LIMITS.introspection
    assert error["extensions"]["limit"] == limit < error["extensions"]["found"]


@pytest.mark.parametrize(
    "query",
    [
        '{ __type(name: "Task") { fields { name args { name } type { name ofType { name } } } } health { status } }',
        "{ __schema { types { name } } viewer { scopes } }",
        "{ __schema { " + WIDE + " } }",
    ],
)
async def test_what_people_ask_of_the_schema(filled: Server, query: str) -> None:
    assert await filled.query(query)


RECORD = {"at": "2026-11-20T12:00:00Z", "model": "m", "provider": "p", "inputTokens": 1, "outputTokens": 2}


async def test_large_variables_keep_nobody_waiting() -> None:
    operations = _operations()
    query = "mutation M($r: [UsageInput!]!) { reportUsage(input: {records: $r}) { __typename } }"
    prepared = operations.prepare(query)
    variables = {"r": [{"dedupKey": str(n), **RECORD} for n in range(1_500)]}  # more than are taken: nothing is written
    context = Context(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, "")
    turns, answer = await _turns(operations.execute(prepared, variables, context))
    assert answer == {"data": {"reportUsage": {"__typename": "InvalidInput"}}}
    assert turns > 3


async def test_large_variables_that_do_not_fit() -> None:
    operations = _operations()
    prepared = operations.prepare("query Q($ids: [ID!]!) { nodes(ids: $ids) { id } }")
    with pytest.raises(RequestErrors, match="ID cannot represent"):
        await operations.execute(prepared, {"ids": ["x"] * 5_000 + [{}]}, NOBODY)
