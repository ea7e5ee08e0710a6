"""tasks(orderBy, first, after): orders both ways with ties, pages that stay while rows arrive, counts, bad input."""

import base64
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from domain.records import Batch, TaskRecord
from tests.api.board import FACTS, NOW, ORIGIN, Board, usage
from tests.client import Server

PAGE = """
query Page($orderBy: TaskOrder, $first: Int, $after: String) {
  tasks(filter: {source: [CLAUDE_CODE, ENGINE, API]}, orderBy: $orderBy, first: $first, after: $after) {
    nodes { id externalId createdAt usage { costUsd } }
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
NEWEST_FIRST = {"field": "CREATED_AT", "direction": "DESC"}
ORDERS = [{"field": field, "direction": way} for field in ("CREATED_AT", "COST") for way in ("ASC", "DESC")]


async def _walk(server: Server, size: int, **variables: Any) -> list[dict[str, Any]]:
    """All nodes, page by page."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await server.query(PAGE, first=size, after=after, **variables))["tasks"]
        info, edges = page["pageInfo"], page["edges"]
        assert [edge["node"]["id"] for edge in edges] == [node["id"] for node in page["nodes"]]
        assert (info["startCursor"], info["endCursor"]) == (edges[0]["cursor"], edges[-1]["cursor"])
        assert info["hasPreviousPage"] is (after is not None)
        found += page["nodes"]
        if not info["hasNextPage"]:
            return found
        assert len(page["nodes"]) == size
        after = info["endCursor"]


@pytest.mark.parametrize("size", [7, 100])
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " ".join(order.values()))
async def test_an_order(board: Board, order: dict[str, str], size: int) -> None:
    nodes = await _walk(board.server, size, orderBy=order)
    assert sorted(node["externalId"] for node in nodes) == [told.name for told in FACTS]

    def place(node: dict[str, Any]) -> tuple[Any, str]:
        return (node["createdAt"] if order["field"] == "CREATED_AT" else node["usage"]["costUsd"]), node["id"]

    assert len({place(node)[0] for node in nodes}) < len(nodes), "there are ties"
    assert nodes == sorted(nodes, key=place, reverse=order["direction"] == "DESC")


async def test_an_order_is_of_what_was_told(board: Board) -> None:
    facts = {told.name: told for told in FACTS}
    names = [node["externalId"] for node in await _walk(board.server, 100, orderBy=ORDERS[2])]
    costs = [facts[name].cost for name in names]
    assert costs == sorted(costs)
    names = [node["externalId"] for node in await _walk(board.server, 100)]
    times = [facts[name].created_at for name in names]
    assert times == sorted(times, reverse=True)


async def test_the_newest_come_first_unless_asked_otherwise(board: Board) -> None:
    asked = await board.server.query(PAGE, orderBy=NEWEST_FIRST)
    assert await board.server.query(PAGE) == asked == await board.server.query(PAGE, orderBy=None)
    other = "{ tasks(orderBy: {field: COST, direction: DESC}, first: 1) { nodes { usage { costUsd } } } }"
    (dearest,) = (await board.server.query(other))["tasks"]["nodes"]
    assert dearest["usage"]["costUsd"] == float(max(told.cost for told in FACTS))


async def test_without_first_there_are_fifty(server: Server) -> None:
    await server.write(Batch(tasks=[_task(f"t{n}", n) for n in range(51)]))
    page = (await server.query(PAGE))["tasks"]
    assert (len(page["nodes"]), page["pageInfo"]["hasNextPage"]) == (50, True)


def _task(name: str, minutes: float) -> TaskRecord:
    at = NOW + timedelta(minutes=minutes)
    return TaskRecord(ORIGIN, name, "API", at, at, status="RUNNING")


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " ".join(order.values()))
async def test_pages_stay_while_tasks_arrive(server: Server, order: dict[str, str]) -> None:
    """120 tasks, and ten more between pages at every place of the order: in front, behind, among ties."""
    batch = Batch(tasks=[_task(f"t{n}", n // 2) for n in range(120)])
    batch.usage = [usage(f"t{n}", "0", NOW, Decimal(n // 3) / 100) for n in range(120)]
    await server.write(batch)
    seen: list[str] = []
    after, pages = None, 0
    while True:
        page = (await server.query(PAGE, orderBy=order, first=10, after=after))["tasks"]
        seen += [node["externalId"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after, pages = page["pageInfo"]["endCursor"], pages + 1
        if pages > 11:
            continue
        late = Batch(tasks=[_task(f"late{pages}/{n}", n * 6) for n in range(-1, 11)])
        late.usage = [usage(f"late{pages}/{n}", "0", NOW, Decimal(n + 1) / 25) for n in range(-1, 11)]
        await server.write(late)
    assert len(seen) == len(set(seen))
    assert {name for name in seen if not name.startswith("late")} == {f"t{n}" for n in range(120)}
    assert len(seen) > 120


COUNT = "query Count($atMost: Int!) { tasks(first: 1) { totalCount(atMost: $atMost) } }"


async def test_the_count_goes_no_further_than_asked(board: Board) -> None:
    whole = (await board.server.query("{ tasks(first: 1) { totalCount } }"))["tasks"]["totalCount"]
    assert whole == len(FACTS) + 26
    for at_most in (1, 7, whole - 1, whole, whole + 1, 1_000_000):
        found = await board.server.query(COUNT, atMost=at_most)
        assert found["tasks"]["totalCount"] == min(whole, at_most)


@pytest.mark.parametrize("at_most", [0, -1, 1_000_001])
async def test_a_count_that_cannot_be(board: Board, at_most: int) -> None:
    error = await board.server.error(COUNT, atMost=at_most)
    assert error["extensions"] == {"code": "INVALID_PAGE_SIZE", "argument": "atMost"}
    assert "from 1 to 1000000" in error["message"]


async def test_a_page_size_that_cannot_be(board: Board) -> None:
    for first in (0, -1, 101, 2**31 - 1):
        error = await board.server.error(PAGE, first=first)
        assert error["extensions"] == {"code": "INVALID_PAGE_SIZE", "argument": "first"}
        assert error["message"] == f"first is {first}; it must be from 1 to 100."
        assert error["path"] == ["tasks"]
    assert len((await board.server.query(PAGE, first=100))["tasks"]["nodes"]) == len(FACTS)


async def test_an_event_cursor_that_follows_a_page(board: Board) -> None:
    page = (await board.server.query("{ tasks(first: 1) { eventCursor pageInfo { endCursor } } }"))["tasks"]
    empty = (await board.server.query("{ tasks(filter: {model: []}) { eventCursor nodes { id } } }"))["tasks"]
    assert empty == {"eventCursor": page["eventCursor"], "nodes": []}


def _made_of(*parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(parts))).rstrip(b"=").decode()


UUID = "01890000-0000-7000-8000-000000000000"
TIME = "2026-03-29T10:00:00+00:00"
BAD_CURSORS = {
    "empty": "",
    "garbage": "garbage",
    "no base64": "§$%&",
    "padding": "====",
    "no list": base64.b64encode(b'"p1"').decode(),
    "an empty list": _made_of(),
    "a number": "12345",
    "of another version": _made_of("p2", "CREATED_AT:DESC", TIME, UUID),
    "of another order": _made_of("p1", "CREATED_AT", TIME, UUID),
    "of another list": _made_of("p1", "MESSAGE", 7),
    "too short": _made_of("p1", "CREATED_AT:DESC", TIME),
    "too long": _made_of("p1", "CREATED_AT:DESC", TIME, UUID, 1),
    "no time": _made_of("p1", "CREATED_AT:DESC", "yesterday", UUID),
    "a time without a zone": _made_of("p1", "CREATED_AT:DESC", "2026-03-29T10:00:00", UUID),
    "a time that is none in UTC": _made_of("p1", "CREATED_AT:DESC", "0001-01-01T00:00:00+23:59", UUID),
    "a number for a time": _made_of("p1", "CREATED_AT:DESC", 7, UUID),
    "no id": _made_of("p1", "CREATED_AT:DESC", TIME, "7"),
    "null for an id": _made_of("p1", "CREATED_AT:DESC", TIME, None),
    "an object": _made_of("p1", "CREATED_AT:DESC", {}, []),
    "another alphabet": "ключ",
    "a nul": "a\0b",
    "megabytes": "A" * 500_000,
}
BAD_SUMS = ["much", "Infinity", "NaN", 1e300, 1e9, -1e12, True, None, [1]]


@pytest.mark.parametrize("case", BAD_CURSORS)
async def test_a_cursor_that_is_none(board: Board, case: str) -> None:
    error = await board.server.error(PAGE, after=BAD_CURSORS[case])
    assert error["extensions"] == {"code": "INVALID_CURSOR", "argument": "after"}
    assert len(error["message"]) < 300


@pytest.mark.parametrize("amount", BAD_SUMS, ids=str)
async def test_a_cursor_of_a_sum_that_is_none(board: Board, amount: Any) -> None:
    cursor = _made_of("p1", "COST", amount, UUID)
    error = await board.server.error(PAGE, after=cursor, orderBy={"field": "COST", "direction": "ASC"})
    assert error["extensions"] == {"code": "INVALID_CURSOR", "argument": "after"}


async def test_a_cursor_that_was_cut(board: Board) -> None:
    cursor = (await board.server.query(PAGE, first=1))["tasks"]["pageInfo"]["endCursor"]
    for length in range(1, len(cursor), 7):
        error = await board.server.error(PAGE, after=cursor[:length])
        assert error["extensions"]["code"] == "INVALID_CURSOR"


async def test_a_cursor_of_another_order_and_an_event_cursor_are_told_apart(board: Board) -> None:
    cost = {"field": "COST", "direction": "ASC"}
    cursor = (await board.server.query(PAGE, first=1))["tasks"]["pageInfo"]["endCursor"]
    error = await board.server.error(PAGE, after=cursor, orderBy=cost)
    assert error["extensions"]["code"] == "INVALID_CURSOR"
    assert "another order" in error["message"]
    event = (await board.server.query("{ tasks { eventCursor } }"))["tasks"]["eventCursor"]
    error = await board.server.error(PAGE, after=event)
    assert error["extensions"] == {"code": "INVALID_CURSOR", "argument": "after"}
    assert "event cursor" in error["message"]


async def test_a_cursor_is_good_after_its_row_has_gone(server: Server) -> None:
    """It names a place, not a row."""
    await server.write(Batch(tasks=[_task(f"t{n}", n) for n in range(4)]))
    page = (await server.query(PAGE, first=2))["tasks"]
    await server.write(Batch(tasks=[_task("t2", 2), _task("new", 2.5)], usage=[usage("t2", "1", NOW, Decimal(1))]))
    rest = (await server.query(PAGE, after=page["pageInfo"]["endCursor"]))["tasks"]["nodes"]
    assert [node["externalId"] for node in rest] == ["t1", "t0"]
