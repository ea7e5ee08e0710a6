"""A page of many parents at once is, for each parent, the page that plain SQL and sorting in Python give."""

from typing import Any

import asyncpg
import pytest

from db.models.base import Row
from db.pages import PageRequest
from tests.batching.cases import PAGES, PageCase
from tests.batching.fleet import Fleet, jumbled


def _value(case: PageCase, row: asyncpg.Record) -> tuple[Any, ...]:
    if isinstance(row, Row):
        return case.order.values(row)
    return tuple(row[name] for name in case.order.columns)


async def _all(fleet: Fleet, case: PageCase, key: Any) -> list[tuple[Any, ...]]:
    """The places of all of a parent's rows, in order."""
    rows = await fleet.rows(case.table, case.parent, key, case.where)
    return sorted((_value(case, row) for row in rows), reverse=case.order.descending)


def _expected(
    case: PageCase, places: list[tuple[Any, ...]], request: PageRequest
) -> tuple[list[tuple[Any, ...]], bool, bool]:
    """Places of the page, whether there are more behind it, and whether there are more before it."""
    place = request.place
    is_behind = [
        place is None or ((found < place) if case.order.descending != request.backward else (found > place))
        for found in places
    ]
    left = [found for found, behind in zip(places, is_behind, strict=True) if behind]
    more = len(left) > request.limit
    if request.backward:
        return left[-request.limit :], place is not None, more
    return left[: request.limit], more, place is not None


async def _check(fleet: Fleet, case: PageCase, request: PageRequest) -> None:
    asked = jumbled(fleet.keys[case.parents][:6])
    pages = await case.load(fleet.database.read, asked, case.arguments(request))
    for key, page in zip(asked, pages, strict=True):
        shown = ([_value(case, row) for row in page.rows], page.has_next, page.has_previous)
        assert shown == _expected(case, await _all(fleet, case, key), request)


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("case", PAGES, ids=str)
async def test_forward(fleet: Fleet, case: PageCase, limit: int) -> None:
    longest = await _all(fleet, case, fleet.keys[case.parents][0])
    assert len(longest) > 3
    for place in (None, longest[0], longest[len(longest) // 2], longest[-1]):
        await _check(fleet, case, PageRequest(limit, place))


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("case", PAGES, ids=str)
async def test_backward(fleet: Fleet, case: PageCase, limit: int) -> None:
    longest = await _all(fleet, case, fleet.keys[case.parents][0])
    for place in (None, longest[0], longest[len(longest) // 2], longest[-1]):
        await _check(fleet, case, PageRequest(limit, place, backward=True))


@pytest.mark.parametrize("case", PAGES, ids=str)
async def test_page_after_page_shows_every_row_once(fleet: Fleet, case: PageCase) -> None:
    key = fleet.keys[case.parents][0]
    seen: list[tuple[Any, ...]] = []
    place = None
    while True:
        (page,) = await case.load(fleet.database.read, [key], case.arguments(PageRequest(2, place)))
        seen += [_value(case, row) for row in page.rows]
        if not page.has_next:
            break
        place = seen[-1]
    assert seen == await _all(fleet, case, key)
