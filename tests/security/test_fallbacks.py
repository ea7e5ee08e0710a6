"""What runs without a plan is counted at /ready by reason, and the log names it once; nothing else does."""

import logging
from hashlib import sha256
from typing import Any

import pytest
from graphql import get_introspection_query

from execution.plans.fallbacks import MOST_LINES
from tests.client import Server

# A page within a page that cannot be had: an error at a place that only graphql-core tells of exactly.
REFUSED = "{ tasks(first: 2) { nodes { id children(first: 0) { nodes { id } } } } }"
# How the tools make theirs; the last is what those that know no generator send.
INTROSPECTIONS: dict[str, dict[str, bool]] = {
    "graphql-codegen": {"descriptions": True, "specified_by_url": True, "directive_is_repeatable": True},
    "GraphiQL": {
        "descriptions": True,
        "schema_description": True,
        "input_value_deprecation": True,
        "specified_by_url": True,
        "directive_is_repeatable": True,
        "one_of": True,
    },
    "Apollo": {"descriptions": False},
    "urql": {"descriptions": False, "input_value_deprecation": True, "specified_by_url": True},
    "all": {"experimental_directive_deprecation": True, "descriptions": True, "input_value_deprecation": True},
}
# What gql.tada, for urql, asks before, to learn what may be asked.
SUPPORTS = """query IntrospectionSupport {
  type: __type(name: "__Type") { name fields { name } }
  directive: __type(name: "__Directive") { name fields { name args { name } } }
  field: __type(name: "__Field") { name fields { name } args: fields { args { name } } }
  inputValue: __type(name: "__InputValue") { name fields { name } }
}"""


async def _fallbacks(server: Server) -> dict[str, int]:
    answer = await server.http.get("/ready")
    found: dict[str, int] = answer.json()["fallbacks"]
    return found


def _since(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {reason: count - before.get(reason, 0) for reason, count in after.items() if count != before.get(reason, 0)}


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "execution.plans.fallbacks"]


async def test_it_is_counted_and_told_once(filled: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    document = f"query Board {REFUSED}"
    before = await _fallbacks(filled)
    for _ in range(3):
        answer: dict[str, Any] = (await filled.post(document)).json()
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_PAGE_SIZE"
        assert answer["data"] is None
    assert _since(before, await _fallbacks(filled)) == {"InvalidInput": 3}
    (line,) = _lines(caplog)
    assert sha256(document.encode()).hexdigest() in line
    assert line.startswith("graphql-core ran the query Board (")
    assert line.endswith(": InvalidInput")


async def test_ever_new_documents_do_not_fill_the_log(filled: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = await _fallbacks(filled)
    for n in range(2 * MOST_LINES):
        await filled.post(f"query Q{n} {REFUSED}")
    assert _since(before, await _fallbacks(filled)) == {"InvalidInput": 2 * MOST_LINES}
    assert len(_lines(caplog)) <= MOST_LINES


@pytest.mark.parametrize("document", ["{ __typename }", "{ health { status } }", "{ nothing }", "{"])
async def test_the_rest_falls_back_on_nothing(filled: Server, document: str) -> None:
    before = await _fallbacks(filled)
    await filled.post(document)
    assert await _fallbacks(filled) == before


@pytest.mark.parametrize("tool", INTROSPECTIONS)
async def test_introspection_of_the_tools_is_served_as_intended(
    filled: Server, tool: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = await _fallbacks(filled)
    answer: dict[str, Any] = (await filled.post(get_introspection_query(**INTROSPECTIONS[tool]))).json()
    assert "errors" not in answer
    names = {kind["name"] for kind in answer["data"]["__schema"]["types"]}
    assert {"Query", "Mutation", "Subscription", "Task", "TaskFilter", "DateTime", "TaskStatus"} <= names
    assert _since(before, await _fallbacks(filled)) == {"introspection": 1}
    assert _lines(caplog) == []


async def test_what_tools_ask_before_is_answered(filled: Server) -> None:
    answer: dict[str, Any] = (await filled.post(SUPPORTS)).json()
    assert "isOneOf" in {field["name"] for field in answer["data"]["type"]["fields"]}
