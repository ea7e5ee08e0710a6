"""Reads of tasks, their logs and tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    column,
    func,
    lateral,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db.handles import Handle
from db.lookups import lookup
from db.models.agents import agents
from db.models.base import INSTANT, Row
from db.models.tasks import (
    LogLineRow,
    TaskContentRow,
    TaskRow,
    ToolCallContentRow,
    ToolCallRow,
    log_lines,
    task_texts,
    tasks,
    tool_calls,
)
from db.pages import Order, PageRequest, fetch_page, page_keys, page_select, pages_select
from db.selections import shape_of, values_of
from db.statements import Statement, compile_statement, parameter_like, row_columns, uuids

CREATED_AT = Order("CREATED_AT", ("created_at", "id"))
CREATED_AT_DESC = Order("CREATED_AT:DESC", ("created_at", "id"), descending=True)
UPDATED_AT = Order("UPDATED_AT", ("updated_at", "id"))
UPDATED_AT_DESC = Order("UPDATED_AT:DESC", ("updated_at", "id"), descending=True)
COST = Order("COST", ("cost_usd", "id"))
COST_DESC = Order("COST:DESC", ("cost_usd", "id"), descending=True)
LOG_SEQ = Order("LOG", ("seq",))
TOOL_STARTED_AT = Order("STARTED_AT", ("started_at", "id"))

TOPIC = "tasks"
SHOWN: ColumnElement[str] = literal_column("'FULL'")  # the one content access that shows anything
UNFINISHED = ("QUEUED", "RUNNING", "WAITING_INPUT")
SHAPES = 512  # page statements kept compiled; each is some 20 KiB

# A plan that PostgreSQL makes once must not depend on how long the page is: a statement each for the usual lengths.
PAGE_SIZES = frozenset((10, 20, 25, 50, 100))
INDEXED = frozenset(tuple(column.name for column in index.columns) for index in tasks.indexes)


@dataclass(frozen=True, slots=True)
class TaskSelection:
    """Which tasks: fields AND, values of a field OR; None is no condition, an empty tuple selects nothing."""

    status: tuple[str, ...] | None = None
    source: tuple[str, ...] | None = None
    agent_id: tuple[UUID, ...] | None = None
    agent_type: tuple[str, ...] | None = None
    model: tuple[str, ...] | None = None
    owner_id: tuple[UUID, ...] | None = None
    host_id: tuple[UUID, ...] | None = None
    project_id: tuple[UUID, ...] | None = None
    run_id: tuple[UUID, ...] | None = None
    conversation_id: tuple[UUID, ...] | None = None
    parent_task_id: tuple[UUID, ...] | None = None
    flow_id: str | None = None
    git_branch: tuple[str, ...] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    # Two conditions and no value: so that each is a statement of its own, which the index of marked tasks serves.
    stuck: Literal[True] | None = None
    not_stuck: Literal[True] | None = None
    search: str | None = None  # a text that the title or input contains, in any case

    def shape(self) -> tuple[str, ...]:
        """The names of the conditions: one compiled statement each."""
        return shape_of(self)

    def values(self) -> tuple[Any, ...]:
        """The conditions' values, in the order of `shape`."""
        return values_of(self if self.search is None else replace(self, search=containing(self.search)))


ALL_TASKS = TaskSelection()


def containing(text: str) -> str:
    """The pattern of LIKE for texts that contain this one."""
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


@dataclass(frozen=True, slots=True)
class TaskCount:
    """What a page's totalCount counts: a selection, or the children of one parent in `column`."""

    selection: TaskSelection = ALL_TASKS
    column: str | None = None
    parent: UUID | None = None
    unfinished: bool = False


def task_conditions(shape: Sequence[str]) -> list[ColumnElement[bool]]:
    """The SQL conditions of a selection's shape; parameters are named as the selection's fields."""
    conditions: list[ColumnElement[bool]] = []
    for name in shape:
        if name == "created_from":
            conditions.append(tasks.c.created_at >= bindparam(name, type_=INSTANT))
        elif name == "created_to":
            conditions.append(tasks.c.created_at < bindparam(name, type_=INSTANT))
        elif name == "flow_id":
            conditions.append(tasks.c.flow_id == bindparam(name, type_=Text()))
        elif name in ("stuck", "not_stuck"):
            marked = tasks.c.stuck_since.is_not(None) if name == "stuck" else tasks.c.stuck_since.is_(None)
            conditions.append(and_(marked, bindparam(name, type_=Boolean())))
        elif name == "search":
            pattern = bindparam(name, type_=Text())
            found = tasks.c.id.in_(select(task_texts.c.task_id).where(task_texts.c.text.ilike(pattern)))
            conditions += [found, tasks.c.content_access == SHOWN]  # what is not shown is not found either
        elif name == "agent_type":
            of_type = select(agents.c.id).where(agents.c.type == any_(bindparam(name, type_=ARRAY(Text()))))
            conditions.append(tasks.c.agent_id.in_(of_type))
        else:
            wanted = bindparam(name, type_=ARRAY(tasks.c[name].type))
            conditions.append(tasks.c[name] == any_(wanted))
    return conditions


@lru_cache(maxsize=SHAPES)
def _page(
    shape: tuple[str, ...], order: Order, has_place: bool, backward: bool, limit: int | None, is_empty: bool
) -> Statement[TaskRow]:
    """A page; with a `limit` each condition is for one value."""
    if limit is None:
        conditions = task_conditions(shape)
    else:
        conditions = [tasks.c[name] == parameter_like(name, tasks, name) for name in shape]
    clause = page_select(
        tasks,
        TaskRow,
        order,
        topic=TOPIC,
        conditions=conditions,
        has_place=has_place,
        backward=backward,
        is_empty=is_empty,
        limit=limit,
    )
    return compile_statement(clause, TaskRow, *shape, *_place(order, has_place), *(("limit",) if limit is None else ()))


def _place(order: Order, has_place: bool) -> tuple[str, ...]:
    return tuple(f"place_{i}" for i in range(len(order.columns))) if has_place else ()


async def page(handle: Handle, selection: TaskSelection, order: Order, request: PageRequest) -> list[TaskRow]:
    """One page and, if there is one, the row after it; see db.pages.cut."""
    shape, values = selection.shape(), selection.values()
    limit = request.limit + 1
    make = partial(_page, shape, order, request.place is not None, request.backward)
    if request.limit in PAGE_SIZES and _suits_all(shape, values, order):
        one = [value[0] if isinstance(value, list) else value for value in values]
        return await fetch_page(handle, partial(make, limit), *one, *(request.place or ()))
    return await fetch_page(handle, partial(make, None), *values, *(request.place or ()), limit)


def _suits_all(shape: tuple[str, ...], values: tuple[Any, ...], order: Order) -> bool:
    """Whether one plan is the best for all values: an index has the page's rows one after the other."""
    if not shape:
        return order.columns in INDEXED
    one = len(shape) == 1 and (not isinstance(values[0], list) or len(values[0]) == 1)
    return one and (*shape, *order.columns) in INDEXED


def _unfinished(wanted: bool) -> list[ColumnElement[bool]]:
    return [tasks.c.status.in_([literal_column(f"'{status}'") for status in UNFINISHED])] if wanted else []


@lru_cache(maxsize=SHAPES)
def _children(column: str, order: Order, unfinished: bool, has_place: bool, backward: bool) -> Statement[TaskRow]:
    clause = pages_select(
        tasks,
        TaskRow,
        order,
        page_keys(TOPIC),
        conditions=_unfinished(unfinished),
        parent=column,
        has_place=has_place,
        backward=backward,
    )
    return compile_statement(clause, TaskRow, "keys", *_place(order, has_place), "limit")


async def pages_by_parent(
    handle: Handle,
    column: str,
    keys: Sequence[UUID],
    order: Order,
    request: PageRequest,
    *,
    unfinished: bool = False,
) -> list[TaskRow]:
    """A page for each parent in `column` (parent_task_id, conversation_id, agent_id, run_id)."""
    statement = _children(column, order, unfinished, request.place is not None, request.backward)
    return await handle.fetch(statement, list(keys), *(request.place or ()), request.limit + 1)


BY_ID = lookup(select(*row_columns(tasks, TaskRow)), tasks.c.id, TaskRow)
CONTENT_BY_ID = lookup(select(*row_columns(tasks, TaskContentRow)), tasks.c.id, TaskContentRow)


async def by_id(handle: Handle, ids: Sequence[UUID]) -> list[TaskRow]:
    """The tasks that exist, in no order."""
    return await BY_ID.fetch(handle, ids)


async def content_by_id(handle: Handle, ids: Sequence[UUID]) -> list[TaskContentRow]:
    """The wide columns of the tasks that exist, in no order."""
    return await CONTENT_BY_ID.fetch(handle, ids)


class CountRow(Row):
    """A number."""

    n: int


class KeyCountRow(Row):
    """A number per key."""

    key: UUID
    n: int


@lru_cache(maxsize=SHAPES)
def _count(shape: tuple[str, ...]) -> Statement[CountRow]:
    found: Select[Any] = (
        select(literal_column("1")).select_from(tasks).where(*task_conditions(shape)).limit(bindparam("at_most"))
    )
    return compile_statement(select(func.count().label("n")).select_from(found.subquery()), CountRow, *shape, "at_most")


async def count(handle: Handle, selection: TaskSelection, at_most: int) -> int:
    """How many tasks, counted no further than `at_most`."""
    row = await handle.fetch_row(_count(selection.shape()), *selection.values(), at_most)
    return 0 if row is None else row.n


@lru_cache(maxsize=16)
def _count_by_parent(parent: str, unfinished: bool) -> Statement[KeyCountRow]:
    keys = func.unnest(uuids("keys")).table_valued(column("key", Uuid()), name="k").render_derived()
    # One lateral level only: SQLAlchemy would give a subquery within it a list of keys of its own, uncorrelated.
    found = lateral(
        select(tasks.c.id).where(tasks.c[parent] == keys.c.key, *_unfinished(unfinished)).limit(bindparam("at_most"))
    ).alias("found")
    clause = (
        select(keys.c.key, func.count(found.c.id).label("n"))
        .select_from(keys.join(found, true(), isouter=True))
        .group_by(keys.c.key)
    )
    return compile_statement(clause, KeyCountRow, "keys", "at_most")


async def count_by_parent(
    handle: Handle, column: str, keys: Sequence[UUID], at_most: int, *, unfinished: bool = False
) -> dict[UUID, int]:
    """How many tasks each parent has, counted no further than `at_most`."""
    rows = await handle.fetch(_count_by_parent(column, unfinished), list(keys), at_most)
    return {row.key: row.n for row in rows}


@dataclass(frozen=True, slots=True)
class LogSelection:
    """Which lines of a log; None is no condition."""

    level: tuple[str, ...] | None = None
    stream: tuple[str, ...] | None = None
    search: str | None = None


ALL_LINES = LogSelection()


# A line's text is its task's content: of a task whose content is not shown it is null, and cannot be searched.
def _is_shown(task_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return select(literal_column("1")).where(tasks.c.id == task_id, tasks.c.content_access == SHOWN).exists()


LINE_TEXT = case((_is_shown(log_lines.c.task_id).correlate(log_lines), log_lines.c.text)).label("text")


@lru_cache(maxsize=64)
def _logs(shape: tuple[str, ...], has_place: bool, backward: bool) -> Statement[LogLineRow]:
    keys = page_keys("log:", is_shown=_is_shown)
    conditions: list[ColumnElement[bool]] = []
    for name in shape:
        if name == "search":
            needle = bindparam("search", type_=Text())
            found = func.strpos(func.lower(log_lines.c.text), func.lower(needle)) > literal_column("0")
            conditions += [found, keys.c.is_shown]
        else:
            conditions.append(log_lines.c[name] == any_(bindparam(name, type_=ARRAY(Text()))))
    clause = pages_select(
        log_lines,
        LogLineRow,
        LOG_SEQ,
        keys,
        conditions=conditions,
        parent="task_id",
        has_place=has_place,
        backward=backward,
        instead={"text": case((keys.c.is_shown, log_lines.c.text))},
    )
    return compile_statement(clause, LogLineRow, "keys", *shape, *_place(LOG_SEQ, has_place), "limit")


async def logs_by_task(
    handle: Handle, task_ids: Sequence[UUID], selection: LogSelection, request: PageRequest
) -> list[LogLineRow]:
    """A page of the log of each task."""
    statement = _logs(shape_of(selection), request.place is not None, request.backward)
    values = values_of(selection)
    return await handle.fetch(statement, list(task_ids), *values, *(request.place or ()), request.limit + 1)


LOG_RANGE = compile_statement(
    select(*[LINE_TEXT if name == "text" else log_lines.c[name] for name in LogLineRow.columns])
    .where(log_lines.c.task_id == bindparam("task_id"))
    .where(log_lines.c.seq.between(bindparam("first"), bindparam("last")))
    .order_by(log_lines.c.seq),
    LogLineRow,
    "task_id",
    "first",
    "last",
)


async def log_range(handle: Handle, task_id: UUID, first: int, last: int) -> list[LogLineRow]:
    """Lines `first` to `last` of a task's log, both included, in order."""
    return await handle.fetch(LOG_RANGE, task_id, first, last)


@lru_cache(maxsize=4)
def _tool_calls(has_place: bool, backward: bool) -> Statement[ToolCallRow]:
    clause = pages_select(
        tool_calls,
        ToolCallRow,
        TOOL_STARTED_AT,
        page_keys(TOPIC),
        parent="task_id",
        has_place=has_place,
        backward=backward,
    )
    return compile_statement(clause, ToolCallRow, "keys", *_place(TOOL_STARTED_AT, has_place), "limit")


async def tool_calls_by_task(handle: Handle, task_ids: Sequence[UUID], request: PageRequest) -> list[ToolCallRow]:
    """A page of the tool calls of each task."""
    statement = _tool_calls(request.place is not None, request.backward)
    return await handle.fetch(statement, list(task_ids), *(request.place or ()), request.limit + 1)


TOOL_CALLS_BY_ID = lookup(select(*row_columns(tool_calls, ToolCallRow)), tool_calls.c.id, ToolCallRow)
TOOL_CONTENT_BY_ID = lookup(
    select(
        tool_calls.c.id,
        *[case((tasks.c.content_access == SHOWN, tool_calls.c[name])).label(name) for name in ("input", "output")],
    ).join(tasks, tasks.c.id == tool_calls.c.task_id),
    tool_calls.c.id,
    ToolCallContentRow,
)


async def tool_calls_by_id(handle: Handle, ids: Sequence[UUID]) -> list[ToolCallRow]:
    """The tool calls that exist, in no order."""
    return await TOOL_CALLS_BY_ID.fetch(handle, ids)


async def tool_content_by_id(handle: Handle, ids: Sequence[UUID]) -> list[ToolCallContentRow]:
    """The wide columns of the tool calls that exist, in no order."""
    return await TOOL_CONTENT_BY_ID.fetch(handle, ids)
