"""Documents made to cost time: each is refused, or prepared, before anybody else would notice."""

import asyncio
import time
from collections.abc import Callable

import pytest

from execution.operations import MAX_TOKENS, Operations, RequestErrors
from schema.errors import describe_error
from schema.root import build_schema
from tests.client import Server

MOST_CPU_MS = 50  # of each step; a large document goes through them beside the event loop
NO_TASK = "task_" + 32 * "0"


def _times(count: int, make: Callable[[int], str]) -> str:
    return " ".join(make(n) for n in range(count))


def _task(fields: str) -> str:
    return f'{{ task(id: "{NO_TASK}") {{ {fields} }} }}'


def _doubling(levels: int) -> str:
    fragments = _times(levels, lambda n: f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}")
    return f"query Q {{ ...F0 }} {fragments} fragment F{levels} on Query {{ __typename }}"


def _wide() -> str:
    """All leaf fields of what a task leads to, over and over, as far as the tokens go."""
    leaves = "id status source origin externalId revision model createdAt updatedAt gitBranch sessionId flowId title"
    inner = f"{leaves} agent {{ id name type status }} children(first: 1) {{ nodes {{ {leaves} }} }}"
    for name in ("parentTask", "retryOf", "parentTask"):
        inner = f"{inner} {name} {{ {inner} }}"
    return "{ " + _times(4, lambda n: f"a{n}: tasks(first: 1) {{ nodes {{ {inner} }} }}") + " }"


HOSTILE: dict[str, str] = {
    "doubling fragments": _doubling(20),
    "doubling fragments, unused": _doubling(20).replace("...F0", "__typename"),
    "doubling fragments below fields": _doubling(20).replace("...F0", "health { status } ...F0"),
    "a long doubling chain": _doubling(130),
    "a chain": "query Q { ...F0 } " + _times(98, lambda n: f"fragment F{n} on Query {{ ...F{n + 1} }}"),
    "a ring": "query Q { ...F0 } " + _times(90, lambda n: f"fragment F{n} on Query {{ ...F{(n + 1) % 90} }}"),
    "all with all": "query Q { ...F0 } "
    + _times(20, lambda n: f"fragment F{n} on Query {{ {_times(20, lambda m: f'...F{m}')} }}"),
    "fragments to compare": _task(_times(95, lambda n: f"...F{n}"))
    + _times(95, lambda n: f" fragment F{n} on Task {{ agent {{ id }} status }}"),
    "fields to compare": _task("agent { name id } " * 190),
    "arguments to compare": _task(_times(140, lambda n: f"logs(first: {n % 100 + 1}) {{ nodes {{ seq }} }}")),
    "inline fragments": _task("... { " * 99 + "id" + " }" * 99),
    "unknown fields": _task(_times(900, lambda n: f"createdStartedAt{n}")),
    "unknown fields, few": _task(_times(280, lambda n: f"createdStartedAt{n}")),
    "unknown types": _times(40, lambda n: f"fragment F{n} on TaskConnectionEdgeResult{n} {{ id }}"),
    "unknown arguments": "{ tasks(" + _times(600, lambda n: f"filterOrder{n}: 1") + ") { nodes { id } } }",
    "unknown input fields": "{ tasks(filter: {" + _times(600, lambda n: f"statusAgent{n}: 1") + "}) { nodes { id } } }",
    "unknown enum values": "{ tasks(filter: {status: [" + _times(1900, lambda n: f"RUN{n}") + "]}) { nodes { id } } }",
    "a long list": "{ nodes(ids: [" + _times(1900, lambda n: f'"task_{n}"') + "]) { id } }",
    "variables": "query Q(" + _times(480, lambda n: f"$v{n}: Int") + ") { __typename }",
    "a long string": _task("id").replace(NO_TASK, "\\n" * 16_000),
    "an open string": '{ task(id: "' + "\\n" * 16_000,
    "a long block string": '{ task(id: """' + "a\n" * 16_000 + '""") { id } }',
    "a megabyte": '{ task(id: "' + "x" * 1_000_000 + '") { id } }',
    "a megabyte of nothing": "{" + "," * 1_000_000 + "__typename }",
    "a long name": "{ " + "a" * 32_000 + " }",
    "operations that share variables": _times(20, lambda n: f"query Q{n}($a: ID!) {{ ...F }}")
    + " fragment F on Query { nodes(ids: ["
    + "$a " * 840
    + "]) { id } }",
    "operations": _times(20, lambda n: f"query Q{n} {{ ...F0 }}")
    + _times(98, lambda n: f" fragment F{n} on Query {{ ...F{n + 1} }}")
    + " fragment F98 on Query { __typename }",
    "much of everything": _wide(),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_document_takes_no_time(case: str) -> None:
    operations = Operations(build_schema(), describe_error)
    operations.prepare("{ __typename }")  # the schema is made
    reading, validating = [], []
    for _ in range(5):
        begun = time.process_time()
        try:
            document = operations._parse(HOSTILE[case])
        except RequestErrors:
            document = None
        read = time.process_time()
        if document is not None:
            operations._validate(document)
        reading.append((read - begun) * 1_000)
        validating.append((time.process_time() - read) * 1_000)
    assert min(reading) < MOST_CPU_MS
    assert min(validating) < MOST_CPU_MS


IN_ORDER = ("inline fragments", "a long list", "a long string", "a long block string", "much of everything")


async def test_hostile_documents_over_http(filled: Server) -> None:
    before = filled.statement_count
    for case, query in HOSTILE.items():
        if case not in IN_ORDER:
            assert (await filled.post(query)).status_code == 400, case
    assert filled.statement_count == before


async def test_a_fragment_that_is_not_used_is_measured_too(filled: Server) -> None:
    assert (await filled.error(_doubling(20).replace("...F0", "__typename")))["extensions"][
        "code"
    ] == "TOO_MANY_FRAGMENTS"


async def test_a_large_document_keeps_nobody_waiting() -> None:
    operations = Operations(build_schema(), describe_error)
    operations.prepare("{ __typename }")
    query = _wide()
    asked = [asyncio.create_task(operations.prepare_aside(query)) for _ in range(3)]
    turns = 0
    while not asked[0].done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 3
    first, second, third = await asyncio.gather(*asked)
    assert first.document is second.document is third.document
    assert await operations.prepare_aside(query) is operations.prepare(query)


async def test_a_large_document_that_nobody_waits_for_any_more(caplog: pytest.LogCaptureFixture) -> None:
    operations = Operations(build_schema(), describe_error)
    asked = asyncio.create_task(operations.prepare_aside(HOSTILE["unknown fields"]))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    with pytest.raises(RequestErrors):
        await operations.prepare_aside(HOSTILE["unknown fields"])
    assert not operations._preparing
    assert caplog.messages == []


def test_many_large_documents_are_not_kept() -> None:
    """What is kept is looked at by each collection of garbage, and all wait for that."""
    operations = Operations(build_schema(), describe_error)
    first = operations.prepare(_wide())
    tokens = first.document.token_count
    for n in range(2 * MAX_TOKENS // tokens):
        operations.prepare(_wide().replace("a0:", f"b{n}:"))
        operations.prepare("{ __typename }")  # what is used stays
    kept = operations._prepared
    assert MAX_TOKENS - tokens < kept.weight <= MAX_TOKENS
    assert kept.get(("{ __typename }", None)) is not None
    assert operations.prepare(_wide()) is not first
