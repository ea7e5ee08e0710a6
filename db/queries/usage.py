"""Reads of usage: records of tasks, sums by parent, and the sums of a range of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Double, Label, bindparam, cast, column, func, literal_column, select
from sqlalchemy.sql.expression import FromClause

from db.handles import Handle
from db.lookups import lookup
from db.models.base import INSTANT, TOKEN_COUNTS, Row
from db.models.tasks import tasks
from db.models.usage import UsageRecordRow, UsageTotalsRow, usage_records
from db.pages import Order, PageRequest, page_keys, pages_select
from db.queries.tasks import TaskSelection, task_conditions
from db.statements import Statement, compile_statement, row_columns, uuids

RECORD_AT = Order("AT", ("at", "id"))
SHAPES = 256


class TaskSumsRow(Row):
    """Counts and averages of tasks."""

    task_count: int
    finished_task_count: int
    failed_task_count: int
    success_rate: float | None
    average_duration_ms: float | None
    average_cost_usd: float | None


BY_ID = lookup(select(*row_columns(usage_records, UsageRecordRow)), usage_records.c.id, UsageRecordRow)


async def by_id(handle: Handle, ids: Sequence[UUID]) -> list[UsageRecordRow]:
    """The records that exist, in no order."""
    return await BY_ID.fetch(handle, ids)


@lru_cache(maxsize=4)
def _records(has_place: bool, backward: bool) -> Statement[UsageRecordRow]:
    clause = pages_select(
        usage_records,
        UsageRecordRow,
        RECORD_AT,
        page_keys("tasks"),
        parent="task_id",
        has_place=has_place,
        backward=backward,
    )
    place = ("place_0", "place_1") if has_place else ()
    return compile_statement(clause, UsageRecordRow, "keys", *place, "limit")


async def records_by_task(handle: Handle, task_ids: Sequence[UUID], request: PageRequest) -> list[UsageRecordRow]:
    """A page of the records of each task."""
    statement = _records(request.place is not None, request.backward)
    return await handle.fetch(statement, list(task_ids), *(request.place or ()), request.limit + 1)


def _totals(source: FromClause) -> list[Label[Any]]:
    """The sums of tasks' own totals, as UsageTotalsRow wants them."""
    counts = [
        cast(func.coalesce(func.sum(source.c[name]), literal_column("0")), tasks.c.call_count.type).label(name)
        for name in (*TOKEN_COUNTS, "call_count")
    ]
    cost: Label[Any] = cast(func.coalesce(func.sum(source.c.cost_usd), literal_column("0")), Double()).label("cost_usd")
    unpriced = func.coalesce(func.sum(source.c.unpriced_call_count), literal_column("0"))
    return [*counts, cost, cast(unpriced, tasks.c.call_count.type).label("unpriced_call_count")]


@lru_cache(maxsize=4)
def _totals_by(parent: str) -> Statement[UsageTotalsRow]:
    keys = _keys()
    clause = (
        select(*_totals(tasks), keys.c.key)
        .select_from(keys.join(tasks, tasks.c[parent] == keys.c.key, isouter=True))
        .group_by(keys.c.key)
    )
    return compile_statement(clause, UsageTotalsRow, "keys")


def _keys() -> Any:
    return func.unnest(uuids("keys")).table_valued(column("key", tasks.c.id.type), name="k").render_derived()


async def totals_by(handle: Handle, parent: str, keys: Sequence[UUID]) -> list[UsageTotalsRow]:
    """The sums over the tasks of each parent (conversation_id, run_id): see `key`."""
    return await handle.fetch(_totals_by(parent), list(keys))


def _with_descendants() -> Statement[UsageTotalsRow]:
    keys = _keys()
    tree = select(keys.c.key.label("key"), keys.c.key.label("id")).cte("tree", recursive=True)
    # UNION, not UNION ALL: a circle of parents ends here.
    tree = tree.union(select(tree.c.key, tasks.c.id).join(tasks, tasks.c.parent_task_id == tree.c.id))
    clause = select(*_totals(tasks), tree.c.key).join_from(tree, tasks, tasks.c.id == tree.c.id).group_by(tree.c.key)
    return compile_statement(clause, UsageTotalsRow, "keys")


WITH_DESCENDANTS = _with_descendants()


async def totals_with_descendants(handle: Handle, task_ids: Sequence[UUID]) -> list[UsageTotalsRow]:
    """The sums over each task and all below it: see `key`."""
    return await handle.fetch(WITH_DESCENDANTS, list(task_ids))


@lru_cache(maxsize=SHAPES)
def _summary_usage(shape: tuple[str, ...]) -> Statement[UsageTotalsRow]:
    counts = [
        cast(func.coalesce(func.sum(usage_records.c[name]), literal_column("0")), tasks.c.call_count.type).label(name)
        for name in TOKEN_COUNTS
    ]
    clause = select(
        *counts,
        func.count().label("call_count"),
        cast(func.coalesce(func.sum(usage_records.c.cost_usd), literal_column("0")), Double()).label("cost_usd"),
        func.count().filter(usage_records.c.cost_usd.is_(None)).label("unpriced_call_count"),
    ).where(
        usage_records.c.at >= bindparam("start", type_=INSTANT), usage_records.c.at < bindparam("end", type_=INSTANT)
    )
    asked = [name for name in shape if name != "not_stuck"]
    if asked:
        clause = clause.where(usage_records.c.task_id.in_(select(tasks.c.id).where(*task_conditions(asked))))
    if "not_stuck" in shape:
        # Nearly all tasks are not stuck: PostgreSQL would read every one to find them, and an index has the others.
        stuck = select(tasks.c.id).where(tasks.c.stuck_since.is_not(None))
        of_task = usage_records.c.task_id.is_not(None) & usage_records.c.task_id.not_in(stuck)
        clause = clause.where(of_task, bindparam("not_stuck", type_=Boolean()))
    return compile_statement(clause, UsageTotalsRow, "start", "end", *shape)


async def summary_usage(handle: Handle, start: datetime, end: datetime, selection: TaskSelection) -> UsageTotalsRow:
    """The sums of the model calls made in [start, end), of the selected tasks if there is a selection."""
    rows = await handle.fetch(_summary_usage(selection.shape()), start, end, *selection.values())
    return rows[0]


@lru_cache(maxsize=SHAPES)
def _summary_tasks(shape: tuple[str, ...]) -> Statement[TaskSumsRow]:
    def having(*statuses: str) -> Any:
        listed: list[Any] = [literal_column(f"'{status}'") for status in statuses]
        return func.count().filter(tasks.c.status.in_(listed))

    completed, failed = having("COMPLETED"), having("FAILED")
    took = func.extract("epoch", tasks.c.ended_at - tasks.c.started_at) * literal_column("1000")
    clause = select(
        func.count().label("task_count"),
        having("COMPLETED", "FAILED", "CANCELLED").label("finished_task_count"),
        failed.label("failed_task_count"),
        cast(completed, Double()).op("/")(func.nullif(completed + failed, literal_column("0"))).label("success_rate"),
        cast(func.avg(took), Double()).label("average_duration_ms"),
        cast(func.avg(tasks.c.cost_usd), Double()).label("average_cost_usd"),
    ).where(
        tasks.c.created_at >= bindparam("start", type_=INSTANT),
        tasks.c.created_at < bindparam("end", type_=INSTANT),
        *task_conditions(shape),
    )
    return compile_statement(clause, TaskSumsRow, "start", "end", *shape)


async def summary_tasks(handle: Handle, start: datetime, end: datetime, selection: TaskSelection) -> TaskSumsRow:
    """Counts and averages of the tasks created in [start, end), of the selected ones if there is a selection."""
    rows = await handle.fetch(_summary_tasks(selection.shape()), start, end, *selection.values())
    return rows[0]
