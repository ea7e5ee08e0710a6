"""Money, tokens and time: a task's usage with and without what is below it, durations, and the summary of a range."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.ids import show_id
from domain.records import Batch, Ref, TaskRecord
from tests.api.board import DEEP, FACTS, NOW, ORIGIN, Board, Fact, usage
from tests.client import Server

USAGE = """
query Usage($id: ID!) {
  task(id: $id) {
    own: usage { ...Sums }
    same: usage(includeChildren: false) { ...Sums }
    all: usage(includeChildren: true) { ...Sums }
  }
}
fragment Sums on UsageTotals {
  inputTokens cacheReadTokens cacheWrite5mTokens cacheWrite1hTokens outputTokens reasoningTokens
  callCount costUsd unpricedCallCount
}
"""
COUNTS = (
    ("inputTokens", "input"),
    ("cacheReadTokens", "cache_read"),
    ("cacheWrite5mTokens", "cache_write_5m"),
    ("cacheWrite1hTokens", "cache_write_1h"),
    ("outputTokens", "output"),
    ("reasoningTokens", "reasoning"),
)


def _task(name: str, parent: str | None = None) -> TaskRecord:
    return TaskRecord(ORIGIN, name, "API", NOW, NOW, parent=None if parent is None else Ref(ORIGIN, parent))


async def test_usage_of_a_task_and_of_all_below_it(server: Server) -> None:
    """Three levels, two branches; each call has tokens of its own power of ten, so that a sum tells who is in it."""
    tree = {"root": None, "left": "root", "right": "root", "leaf": "left", "other": None}
    batch = Batch(tasks=[_task(name, parent) for name, parent in tree.items()])
    for power, name in enumerate(tree):
        counts = {own: (n + 1) * 10**power for n, (_, own) in enumerate(COUNTS)}
        batch.usage.append(usage(name, "0", NOW, Decimal(10**power) / 1000, **counts))
    batch.usage.append(usage("leaf", "unpriced", NOW, None, input=0, output=0))
    applied = await server.write(batch)
    below = {
        "root": ("root", "left", "right", "leaf"),
        "left": ("left", "leaf"),
        "right": ("right",),
        "leaf": ("leaf",),
        "other": ("other",),
    }
    powers = {name: 10**power for power, name in enumerate(tree)}
    for name, members in below.items():
        found = (await server.query(USAGE, id=show_id("task", applied.task_ids[ORIGIN, name])))["task"]
        assert found["own"] == found["same"]
        for key, names in (("own", (name,)), ("all", members)):
            whole = sum(powers[member] for member in names)
            sums = found[key]
            assert [sums[shown] for shown, _ in COUNTS] == [(n + 1) * whole for n in range(len(COUNTS))]
            assert sums["costUsd"] == whole / 1000
            assert sums["unpricedCallCount"] == int("leaf" in names)
            assert sums["callCount"] == len(names) + int("leaf" in names)


SUMS: list[tuple[list[str], float]] = [
    (["0.000000001"], 0.000000001),
    (["0.000000001"] * 3, 0.000000003),
    (["0.1", "0.2"], 0.3),
    (["0.1"] * 10, 1),
    (["9007199", "-0"], 9007199),
    (["9007198.999999999"], 9007198.999999999),
    (["1234567.123456789", "0.000000001"], 1234567.12345679),
    (["0"], 0),
    ([], 0),
]


async def test_money_is_exact(server: Server) -> None:
    """The sum of a task and its child; a sum of floats would not be the expected one."""
    batch = Batch()
    for n, (costs, _) in enumerate(SUMS):
        batch.tasks += [_task(f"t{n}"), _task(f"t{n}/child", f"t{n}")]
        for call, cost in enumerate(costs):
            batch.usage.append(usage((f"t{n}", f"t{n}/child")[call % 2], str(call), NOW, Decimal(cost)))
    applied = await server.write(batch)
    for n, (_, expected) in enumerate(SUMS):
        found = await server.query(USAGE, id=show_id("task", applied.task_ids[ORIGIN, f"t{n}"]))
        assert found["task"]["all"]["costUsd"] == expected
    document = "{ tasks { nodes { usageRecords { nodes { costUsd reportedCostUsd costSource } } } } }"
    nodes = [row for task in (await server.query(document))["tasks"]["nodes"] for row in task["usageRecords"]["nodes"]]
    assert sorted(row["costUsd"] for row in nodes) == sorted(float(cost) for costs, _ in SUMS for cost in costs)
    assert all((row["reportedCostUsd"], row["costSource"]) == (row["costUsd"], "REPORTED") for row in nodes)


async def test_a_call_without_a_price_costs_null_not_nothing(board: Board) -> None:
    names = [told.name for told in FACTS if None in told.costs]
    document = "query Calls($id: ID!) { task(id: $id) { usageRecords { nodes { costUsd costSource } } } }"
    (row,) = [
        row
        for row in (await board.server.query(document, id=board.ids[names[0]]))["task"]["usageRecords"]["nodes"]
        if row["costSource"] == "UNPRICED"
    ]
    assert row["costUsd"] is None


async def test_durations(board: Board) -> None:
    document = "{ tasks(first: 100) { nodes { externalId startedAt endedAt durationMs } } }"
    found = {node["externalId"]: node for node in (await board.server.query(document))["tasks"]["nodes"]}
    for told in FACTS:
        assert found[told.name]["durationMs"] == told.took_ms
        assert (found[told.name]["endedAt"] is None) is (told.took_ms is None and told.status != "CANCELLED")


async def test_a_duration_is_never_negative(server: Server) -> None:
    """Clocks of different machines disagree."""
    record = _task("t")
    record.status, record.started_at, record.ended_at = "COMPLETED", NOW, NOW - timedelta(seconds=5)
    applied = await server.write(Batch(tasks=[record]))
    document = "query One($id: ID!) { task(id: $id) { durationMs } }"
    found = await server.query(document, id=show_id("task", applied.task_ids[ORIGIN, "t"]))
    assert found["task"]["durationMs"] == 0


SUMMARY = """
query Sum($range: TimeRange!, $filter: TaskFilter) {
  summary(range: $range, filter: $filter) {
    from to asOf
    usage { callCount costUsd unpricedCallCount inputTokens outputTokens cacheReadTokens reasoningTokens }
    taskCount finishedTaskCount failedTaskCount successRate averageDurationMs averageCostUsd
  }
}
"""
ON_BOARD = {"source": ["CLAUDE_CODE", "ENGINE", "API"]}


def _summary(facts: list[Fact]) -> dict[str, Any]:
    """The same by plain Python: here a task's calls were made when it was created."""
    costs = [cost for told in facts for cost in told.costs]
    completed, failed = (sum(told.status == word for told in facts) for word in ("COMPLETED", "FAILED"))
    took = [told.took_ms for told in facts if told.took_ms is not None]
    whole = sum((cost for cost in costs if cost is not None), Decimal(0))
    return {
        "usage": {
            "callCount": len(costs),
            "costUsd": float(whole),
            "unpricedCallCount": costs.count(None),
            "inputTokens": 10 * len(costs),
            "outputTokens": 3 * len(costs),
            "cacheReadTokens": 0,
            "reasoningTokens": 0,
        },
        "taskCount": len(facts),
        "finishedTaskCount": sum(told.status in ("COMPLETED", "FAILED", "CANCELLED") for told in facts),
        "failedTaskCount": failed,
        "successRate": completed / (completed + failed) if completed + failed else None,
        "averageDurationMs": round(sum(took) / len(took)) if took else None,
        "averageCostUsd": round(float(whole / len(facts)), 9) if facts else None,
    }


DAY = 24 * 3600 * 1000
EVER = {"between": {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}}
SUMMARIES: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[Fact], bool]]] = {
    "ever": (EVER, {}, lambda t: True),
    "a day": ({"lastMs": DAY}, {}, lambda t: t.created_at >= NOW - timedelta(days=1)),
    "some days before": (
        {"between": {"from": (NOW - timedelta(days=3)).isoformat(), "to": (NOW - timedelta(days=2)).isoformat()}},
        {},
        lambda t: NOW - timedelta(days=3) <= t.created_at < NOW - timedelta(days=2),
    ),
    "of a status": (EVER, {"status": ["FAILED"]}, lambda t: t.status == "FAILED"),
    "of no end": (EVER, {"status": ["RUNNING", "QUEUED"]}, lambda t: t.status in ("RUNNING", "QUEUED")),
    "of a model": (EVER, {"model": ["model-1", "model-3"]}, lambda t: t.model in ("model-1", "model-3")),
    "of a day and a type": (
        {"lastMs": DAY},
        {"agentType": ["PLANNING"]},
        lambda t: t.created_at >= NOW - timedelta(days=1) and t.agent % 2 == 0,
    ),
    "of nothing": (EVER, {"status": []}, lambda t: False),
    "before anything": (
        {"between": {"from": "1999-01-01T00:00:00Z", "to": "2000-01-01T00:00:00Z"}},
        {},
        lambda t: False,
    ),
    "created in another range": (
        EVER,
        {"createdAt": {"lastMs": 2 * DAY}},
        lambda t: t.created_at >= NOW - timedelta(days=2),
    ),
}


@pytest.mark.parametrize("case", SUMMARIES)
async def test_a_summary(board: Board, case: str) -> None:
    wanted, chosen, keep = SUMMARIES[case]
    found = (await board.server.query(SUMMARY, range=wanted, filter=ON_BOARD | chosen))["summary"]
    assert found.pop("asOf") == "2026-03-29T10:30:00.500Z"
    assert found.pop("from") < found.pop("to")
    expected = _summary([told for told in FACTS if keep(told)])
    assert found["averageCostUsd"] == pytest.approx(expected.pop("averageCostUsd"), abs=1e-9)
    del found["averageCostUsd"]
    assert found["successRate"] == pytest.approx(expected.pop("successRate"))
    del found["successRate"]
    assert found == expected


async def test_a_summary_without_a_filter_has_all_calls(board: Board) -> None:
    """Those of the deep task, and those of no task."""
    found = (await board.server.query(SUMMARY, range=EVER))["summary"]
    expected = _summary(FACTS)
    assert found["usage"]["callCount"] == expected["usage"]["callCount"] + DEEP
    whole = sum((told.cost for told in FACTS), Decimal(0)) + DEEP * Decimal("0.000000001")
    assert found["usage"]["costUsd"] == float(whole)


async def test_a_call_counts_in_the_range_of_its_own_time(server: Server) -> None:
    """A task of yesterday that calls a model today."""
    record = _task("t")
    record.created_at = NOW - timedelta(days=2)
    await server.write(Batch(tasks=[record], usage=[usage("t", "0", NOW, Decimal(1))]))
    today = {"between": {"from": (NOW - timedelta(days=1)).isoformat(), "to": (NOW + timedelta(1)).isoformat()}}
    found = (await server.query(SUMMARY, range=today))["summary"]
    assert (found["taskCount"], found["usage"]["callCount"], found["averageCostUsd"]) == (0, 1, None)
    before = {"between": {"from": (NOW - timedelta(days=3)).isoformat(), "to": (NOW - timedelta(1)).isoformat()}}
    found = (await server.query(SUMMARY, range=before))["summary"]
    assert (found["taskCount"], found["usage"]["callCount"], found["averageCostUsd"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ({"lastMs": 1}, "2026-03-29T10:30:00.499Z", "2026-03-29T10:30:00.501Z"),
        (
            {"calendar": {"unit": "DAY", "timezone": "Europe/Berlin"}},
            "2026-03-28T23:00:00.000Z",
            "2026-03-29T10:30:00.501Z",
        ),
        ({"calendar": {"unit": "WEEK", "timezone": "UTC"}}, "2026-03-23T00:00:00.000Z", "2026-03-29T10:30:00.501Z"),
        (
            {"calendar": {"unit": "MONTH", "timezone": "America/New_York"}},
            "2026-03-01T05:00:00.000Z",
            "2026-03-29T10:30:00.501Z",
        ),
        (
            {"between": {"from": "0001-01-01T00:00:00Z", "to": "0999-12-31T23:59:59.9999+00:00"}},
            "0001-01-01T00:00:00.000Z",
            "0999-12-31T23:59:59.999Z",
        ),
        (
            {"between": {"from": "2026-01-01", "to": "2026-01-01T01:00:00.1234567+02:00"}},
            None,
            None,
        ),
        (
            {"between": {"from": "2026-01-01T02:00:00+02:00", "to": "20260101T000000.5Z"}},
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T00:00:00.500Z",
        ),
    ],
    ids=str,
)
async def test_the_instants_of_a_range(
    board: Board, wanted: dict[str, Any], start: str | None, end: str | None
) -> None:
    """Three fraction digits, Z, four digits of the year: the order of the strings is the order of time."""
    if start is None:
        error = await board.server.error(SUMMARY, range=wanted)
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
    else:
        found = (await board.server.query(SUMMARY, range=wanted))["summary"]
        assert (found["from"], found["to"]) == (start, end)


async def test_a_range_that_cannot_be(board: Board) -> None:
    for wanted in ({"lastMs": 0}, {"calendar": {"unit": "DAY", "timezone": "Nowhere"}}):
        error = await board.server.error(SUMMARY, range=wanted)
        assert error["extensions"] == {"code": "INVALID_RANGE", "argument": "range"}
    error = await board.server.error(SUMMARY, range=EVER, filter={"createdAt": {"lastMs": 0}})
    assert error["extensions"] == {"code": "INVALID_RANGE", "argument": "filter"}


@pytest.mark.parametrize("literal", ["9007199254740992", "-9007199254740992", "1.5", '"1"', "1e400", "true", "null"])
async def test_what_is_no_safe_integer(board: Board, literal: str) -> None:
    response = await board.server.post(f"{{ summary(range: {{ lastMs: {literal} }}) {{ taskCount }} }}")
    assert (response.status_code, "data" in response.json()) == (400, False)


@pytest.mark.parametrize("literal", ["60000", "60000.0", "6e4"])
async def test_what_is_a_safe_integer(board: Board, literal: str) -> None:
    assert "summary" in await board.server.query(f"{{ summary(range: {{ lastMs: {literal} }}) {{ taskCount }} }}")
    assert "summary" in await board.server.query(SUMMARY, range={"lastMs": float(literal)})


@pytest.mark.parametrize("wanted", ["{}", "{ lastMs: null }", "{ lastMs: 1, between: null }", "null"])
async def test_a_range_is_exactly_one_thing(board: Board, wanted: str) -> None:
    """Found out before anything runs, when it stands in the document as when it comes as a variable."""
    response = await board.server.post(f"{{ summary(range: {wanted}) {{ taskCount }} }}")
    assert (response.status_code, "data" in response.json()) == (400, False)
    assert response.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
