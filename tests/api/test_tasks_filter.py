"""tasks(filter): fields AND, values OR, null and absent no filter, [] nothing; and what no filter can match."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolvers.ranges import Calendar, resolve_range
from tests.api.board import FACTS, NOW, SIZE, STATUSES, Board, Fact, created

NAMES = """
query Names($filter: TaskFilter) {
  tasks(filter: $filter, first: 100) { nodes { externalId } totalCount }
}
"""
ON_BOARD = {"source": ["CLAUDE_CODE", "ENGINE", "API"]}  # leaves the deep task and its children out
Keep = Callable[[Fact], bool]

# A filter, its ids by the board's names, and the same in Python.
CASES: dict[str, tuple[dict[str, Any], Keep]] = {
    "status": ({"status": ["FAILED"]}, lambda t: t.status == "FAILED"),
    "two statuses": ({"status": ["FAILED", "QUEUED"]}, lambda t: t.status in ("FAILED", "QUEUED")),
    "one twice": ({"status": ["FAILED", "FAILED"]}, lambda t: t.status == "FAILED"),
    "source": ({"source": ["API"]}, lambda t: t.source == "API"),
    "agent": ({"agentId": ["a1", "a2"]}, lambda t: t.agent in (1, 2)),
    "agent type": ({"agentType": ["PLANNING"]}, lambda t: t.agent % 2 == 0),
    "agent types": ({"agentType": ["PLANNING", "EXECUTOR"]}, lambda t: True),
    "no agent of the type": ({"agentType": ["CONSULTATION"]}, lambda t: False),
    "model": ({"model": ["model-1", "model-4"]}, lambda t: t.model in ("model-1", "model-4")),
    "part of a model's name": ({"model": ["model"]}, lambda t: False),
    "owner": ({"ownerId": ["u1"]}, lambda t: t.owner == 1),
    "host": ({"hostId": ["h3"]}, lambda t: t.host == 3),
    "project": ({"projectId": ["p0", "p2"]}, lambda t: t.project in (0, 2)),
    "conversation": ({"conversationId": ["c6"]}, lambda t: t.conversation == 6),
    "parent": ({"parentTaskId": ["t02", "t03"]}, lambda t: t.parent in ("t02", "t03")),
    "run": ({"runId": ["run_" + "0" * 32]}, lambda t: False),
    "flow": ({"flowId": "jira:FG-1"}, lambda t: t.flow == "jira:FG-1"),
    "branch": ({"gitBranch": ["fix/1"]}, lambda t: t.branch == "fix/1"),
    "one id of another kind": ({"agentId": ["h1", "a1"]}, lambda t: t.agent == 1),
    "ids of another kind": ({"agentId": ["h1"]}, lambda t: False),
    "no ids at all": ({"agentId": ["", "agent", "agent_1"]}, lambda t: False),
    "an empty list": ({"status": []}, lambda t: False),
    "an empty list beside another field": ({"status": ["FAILED"], "model": []}, lambda t: False),
    "null": ({"status": None, "flowId": None, "createdAt": None}, lambda t: True),
    "null beside another field": ({"status": None, "source": ["API"]}, lambda t: t.source == "API"),
    "all fields": (
        {
            "status": ["FAILED", "COMPLETED"],
            "agentId": ["a0", "a1", "a2"],
            "agentType": ["PLANNING"],
            "projectId": ["p0", "p1"],
            "createdAt": {"lastMs": 3 * 24 * 3600 * 1000},
        },
        lambda t: (
            t.status in ("FAILED", "COMPLETED")
            and t.agent in (0, 2)
            and t.project in (0, 1)
            and t.created_at >= NOW - timedelta(days=3)
        ),
    ),
    "unfit text": ({"model": ["model-1\0", "\0"]}, lambda t: False),
    "unfit text of a branch": ({"gitBranch": ["main\0"]}, lambda t: False),
    "unfit text of a flow": ({"flowId": "jira:\0"}, lambda t: False),
    "another alphabet": ({"model": ["модель", "模型", "🦊"]}, lambda t: False),
}


def _named(board: Board, chosen: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [board.ids.get(text, text) for text in value] if key.endswith("Id") and isinstance(value, list) else value
        for key, value in chosen.items()
    }


async def _check(board: Board, chosen: dict[str, Any], keep: Keep) -> None:
    page = (await board.server.query(NAMES, filter=_named(board, ON_BOARD | chosen)))["tasks"]
    expected = [told.name for told in FACTS if keep(told)]
    assert sorted(node["externalId"] for node in page["nodes"]) == expected
    assert page["totalCount"] == len(expected)


@pytest.mark.parametrize("case", CASES)
async def test_a_filter(board: Board, case: str) -> None:
    await _check(board, *CASES[case])


@pytest.mark.parametrize("status", STATUSES)
async def test_each_status(board: Board, status: str) -> None:
    await _check(board, {"status": [status]}, lambda told: told.status == status)


async def test_no_filter(board: Board) -> None:
    nothing: dict[str, Any] = {}
    for chosen in (None, nothing):
        page = (await board.server.query(NAMES, filter=chosen))["tasks"]
        assert page["totalCount"] == len(page["nodes"]) > SIZE


def _iso(n: int) -> str:
    return created(n).isoformat()


RANGES: dict[str, tuple[dict[str, Any], Keep]] = {
    "from is in it and to is not": (
        {"between": {"from": _iso(10), "to": _iso(20)}},
        lambda t: created(10) <= t.created_at < created(20),
    ),
    "an offset": (
        {"between": {"from": created(10).astimezone().isoformat(), "to": "2027-01-01T00:00:00+14:00"}},
        lambda t: t.created_at >= created(10),
    ),
    "the least": ({"between": {"from": "0001-01-01T00:00:00Z", "to": _iso(0)}}, lambda t: False),
    "the widest": ({"between": {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999Z"}}, lambda t: True),
    "a minute": ({"lastMs": 60_000}, lambda t: t.created_at >= NOW - timedelta(minutes=1)),
    "less than a minute": ({"lastMs": 59_999}, lambda t: False),
    "a day of UTC": ({"calendar": {"unit": "DAY", "timezone": "UTC"}}, lambda t: t.created_at.day == 29),
    "a day that began in winter time": (
        {"calendar": {"unit": "DAY", "timezone": "Europe/Berlin"}},
        lambda t: t.created_at >= NOW.replace(day=28, hour=23, minute=0, second=0, microsecond=0),
    ),
    "a week": (
        {"calendar": {"unit": "WEEK", "timezone": "Europe/Berlin"}},
        lambda t: t.created_at >= NOW.replace(day=22, hour=23, minute=0, second=0, microsecond=0),
    ),
    "a month": ({"calendar": {"unit": "MONTH", "timezone": "Asia/Kolkata"}}, lambda t: True),
    "tomorrow, on the other side of the world": (
        {"calendar": {"unit": "DAY", "timezone": "Pacific/Kiritimati"}},
        lambda t: t.created_at >= NOW.replace(hour=10, minute=0, second=0, microsecond=0),
    ),
}


@pytest.mark.parametrize("case", RANGES)
async def test_a_range_of_creation(board: Board, case: str) -> None:
    wanted, keep = RANGES[case]
    await _check(board, {"createdAt": wanted}, keep)


@pytest.mark.parametrize(
    "wanted",
    [
        {"between": {"from": _iso(3), "to": _iso(3)}},
        {"between": {"from": _iso(4), "to": _iso(1)}},
        {"lastMs": 0},
        {"lastMs": -1},
        {"lastMs": 2**53 - 1},
        *({"calendar": {"unit": "DAY", "timezone": name}} for name in ("Mars/Olympus", "", "../etc/passwd", "a\0b")),
        *({"calendar": {"unit": "DAY", "timezone": name}} for name in ("Europe", "/etc/passwd", "é", "x" * 5_000)),
    ],
    ids=lambda wanted: str(wanted)[:60],
)
async def test_a_range_that_cannot_be(board: Board, wanted: dict[str, Any]) -> None:
    error = await board.server.error(NAMES, filter={"createdAt": wanted})
    assert error["extensions"] == {"code": "INVALID_RANGE", "argument": "filter"}
    assert error["message"].endswith(".")
    assert len(error["message"]) < 300


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"lastMs": None},
        {"lastMs": 1, "calendar": {"unit": "DAY", "timezone": "UTC"}},
        {"lastMs": 1.5},
        {"lastMs": "60000"},
        {"lastMs": True},
        {"lastMs": 2**53},
        {"between": {"from": "2026-01-01T00:00:00Z"}},
        {"between": {"from": "2026-01-01T00:00:00", "to": "2027-01-01T00:00:00Z"}},
        {"between": {"from": "yesterday", "to": "2027-01-01T00:00:00Z"}},
        {"between": {"from": "2026-02-30T00:00:00Z", "to": "2027-01-01T00:00:00Z"}},
        {"between": {"from": "0001-01-01T00:00:00+14:00", "to": "2027-01-01T00:00:00Z"}},
        {"between": {"from": 1_767_225_600, "to": "2027-01-01T00:00:00Z"}},
        {"calendar": {"unit": "YEAR", "timezone": "UTC"}},
    ],
    ids=str,
)
async def test_a_range_of_another_form(board: Board, wanted: dict[str, Any]) -> None:
    response = await board.server.post(NAMES, {"filter": {"createdAt": wanted}})
    assert response.status_code == 400
    assert "data" not in response.json()
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("chosen", [{"status": ["DONE"]}, {"status": [None]}, {"nothing": "x"}, {"model": [1]}, []])
async def test_a_filter_of_another_form(board: Board, chosen: Any) -> None:
    response = await board.server.post(NAMES, {"filter": chosen})
    assert (response.status_code, "data" in response.json()) == (400, False)


def test_a_day_with_two_midnights_begins_at_the_first() -> None:
    """In Havana the clocks go back from 1:00 to 0:00; half an hour later is still the same day."""
    now = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    span = resolve_range(Calendar("DAY", "America/Havana"), now)
    assert span.start == datetime(2026, 11, 1, 4, tzinfo=UTC)
