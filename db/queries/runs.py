"""Reads of runs and their stories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, any_, bindparam, case, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY

from db.handles import Handle
from db.lookups import lookup
from db.models.base import INSTANT, Row
from db.models.runs import RunRow, StoryRow, runs, stories
from db.pages import Order, PageRequest, fetch_page, page_select
from db.selections import CountRow, count_statement, shape_of, values_of
from db.statements import Statement, compile_statement, raw_statement, row_columns, uuids

CREATED_AT_DESC = Order("CREATED_AT:DESC", ("created_at", "id"), descending=True)

TOPIC = "runs"
SHAPES = 64  # page statements kept compiled: all combinations of filters and directions


@dataclass(frozen=True, slots=True)
class RunSelection:
    """Which runs; see db.selections. `heard_since` says what RUNNING and STALLED mean, and comes with `status`."""

    status: tuple[str, ...] | None = None
    heard_since: datetime | None = None
    project_id: tuple[UUID, ...] | None = None
    host_id: tuple[UUID, ...] | None = None
    started_from: datetime | None = None
    started_to: datetime | None = None


ALL_RUNS = RunSelection()


def _conditions(shape: Sequence[str]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name in shape:
        if name == "heard_since":
            continue  # part of the condition on the status
        if name == "status":
            unfinished = runs.c.status.in_([literal_column("'RUNNING'"), literal_column("'STALLED'")])
            heard = runs.c.updated_at > bindparam("heard_since", type_=INSTANT)
            now = case(
                (and_(unfinished, heard), literal_column("'RUNNING'")),
                (unfinished, literal_column("'STALLED'")),
                else_=runs.c.status,
            )
            conditions.append(now == any_(bindparam(name, type_=ARRAY(Text()))))
        elif name == "started_from":
            conditions.append(runs.c.started_at >= bindparam(name, type_=INSTANT))
        elif name == "started_to":
            conditions.append(runs.c.started_at < bindparam(name, type_=INSTANT))
        else:
            conditions.append(runs.c[name] == any_(uuids(name)))
    return conditions


@lru_cache(maxsize=SHAPES)
def _page(shape: tuple[str, ...], has_place: bool, backward: bool, is_empty: bool) -> Statement[RunRow]:
    clause = page_select(
        runs,
        RunRow,
        CREATED_AT_DESC,
        topic=TOPIC,
        conditions=_conditions(shape),
        has_place=has_place,
        backward=backward,
        is_empty=is_empty,
    )
    place = ("place_0", "place_1") if has_place else ()
    return compile_statement(clause, RunRow, *shape, *place, "limit")


async def page(handle: Handle, selection: RunSelection, request: PageRequest) -> list[RunRow]:
    """One page, the newest first, and, if there is one, the row after it; see db.pages.cut."""
    make = partial(_page, shape_of(selection), request.place is not None, request.backward)
    return await fetch_page(handle, make, *values_of(selection), *(request.place or ()), request.limit + 1)


@lru_cache(maxsize=SHAPES)
def _count(shape: tuple[str, ...]) -> Statement[CountRow]:
    return count_statement(runs, _conditions(shape), shape)


async def count(handle: Handle, selection: RunSelection, at_most: int) -> int:
    """How many runs, counted no further than `at_most`."""
    row = await handle.fetch_row(_count(shape_of(selection)), *values_of(selection), at_most)
    return 0 if row is None else row.n


BY_ID = lookup(select(*row_columns(runs, RunRow)), runs.c.id, RunRow)
STORIES_BY_ID = lookup(select(*row_columns(stories, StoryRow)), stories.c.id, StoryRow)
_STORY = ", ".join(f"s.{name}" for name in StoryRow.columns)
STORIES_BY_RUN = raw_statement(
    f"SELECT {_STORY} FROM stories s WHERE s.run_id = ANY($1::uuid[]) ORDER BY s.run_id, s.priority, s.key",  # noqa: S608
    StoryRow,
)
STORIES_BY_KEY = raw_statement(
    f"SELECT {_STORY} FROM unnest($1::uuid[], $2::text[]) AS given(run_id, key) JOIN stories s USING (run_id, key)",  # noqa: S608
    StoryRow,
)
_DEPENDED_ON = f"""
SELECT {_STORY}, d.story_id AS parent_key FROM story_dependencies d JOIN stories s ON s.id = d.depends_on_id
WHERE d.story_id = ANY($1::uuid[])"""  # noqa: S608
DEPENDED_ON = raw_statement(f"{_DEPENDED_ON} ORDER BY d.story_id, s.priority, s.key", StoryRow)
BLOCKING = raw_statement(f"{_DEPENDED_ON} AND s.status <> 'COMPLETED' ORDER BY d.story_id, s.priority, s.key", StoryRow)


class StoryCountsRow(Row):
    """How many stories a run has."""

    run_id: UUID
    story_count: int
    completed_count: int


STORY_COUNTS = raw_statement(
    "SELECT run_id, count(*), count(*) FILTER (WHERE status = 'COMPLETED') FROM stories"
    " WHERE run_id = ANY($1::uuid[]) GROUP BY run_id",
    StoryCountsRow,
)


class RunSumsRow(Row):
    """What a run's iterations came to. `computed_cost_usd` is None when no call of it has a known price."""

    run_id: UUID
    iteration_count: int
    succeeded_count: int
    failed_count: int
    computed_cost_usd: float | None


SUMS = raw_statement(
    """
SELECT k.run_id, t.iteration_count, t.succeeded_count, t.failed_count, u.computed_cost_usd
FROM unnest($1::uuid[]) AS k(run_id) CROSS JOIN LATERAL (
    SELECT count(*) AS iteration_count, count(*) FILTER (WHERE status = 'COMPLETED') AS succeeded_count,
           count(*) FILTER (WHERE status = 'FAILED') AS failed_count
    FROM tasks WHERE tasks.run_id = k.run_id
) t CROSS JOIN LATERAL (
    SELECT sum(u.computed_cost_usd)::float8 AS computed_cost_usd
    FROM tasks JOIN usage_records u ON u.task_id = tasks.id WHERE tasks.run_id = k.run_id
) u
""",
    RunSumsRow,
)
# What has begun comes before plans, however new their files are.
_LATEST = (runs.c.started_at.is_(None), runs.c.created_at.desc(), runs.c.id.desc())
LATEST = compile_statement(
    select(*row_columns(runs, RunRow)).order_by(*_LATEST).limit(literal_column("1")),
    RunRow,
)
LATEST_OF_PROJECT = compile_statement(
    select(*row_columns(runs, RunRow))
    .where(runs.c.project_id == any_(uuids("project_ids")))
    .order_by(*_LATEST)
    .limit(literal_column("1")),
    RunRow,
    "project_ids",
)


async def by_id(handle: Handle, ids: Sequence[UUID]) -> list[RunRow]:
    """The runs that exist, in no order."""
    return await BY_ID.fetch(handle, ids)


async def latest(handle: Handle, project_id: UUID | None) -> RunRow | None:
    """The run that began last, of a project or of all; the newest plan when none has begun."""
    if project_id is None:
        return await handle.fetch_row(LATEST)
    return await handle.fetch_row(LATEST_OF_PROJECT, [project_id])


async def stories_by_id(handle: Handle, ids: Sequence[UUID]) -> list[StoryRow]:
    """The stories that exist, in no order."""
    return await STORIES_BY_ID.fetch(handle, ids)


async def stories_by_run(handle: Handle, run_ids: Sequence[UUID]) -> list[StoryRow]:
    """All stories of runs, by priority, then key."""
    return await handle.fetch(STORIES_BY_RUN, list(run_ids))


async def stories_by_key(handle: Handle, keys: Sequence[tuple[UUID, str]]) -> list[StoryRow]:
    """Stories by (run, key), in no order."""
    return await handle.fetch(STORIES_BY_KEY, [run_id for run_id, _ in keys], [key for _, key in keys])


async def depended_on(handle: Handle, story_ids: Sequence[UUID], *, unfinished: bool) -> list[StoryRow]:
    """What each story depends on (`unfinished`: and is not completed), by priority: see `parent_key`."""
    return await handle.fetch(BLOCKING if unfinished else DEPENDED_ON, list(story_ids))


async def story_counts(handle: Handle, run_ids: Sequence[UUID]) -> list[StoryCountsRow]:
    """How many stories each run has; runs without any are missing."""
    return await handle.fetch(STORY_COUNTS, list(run_ids))


async def sums(handle: Handle, run_ids: Sequence[UUID]) -> list[RunSumsRow]:
    """What each run's iterations came to."""
    return await handle.fetch(SUMS, list(run_ids))
