"""Batches of tasks, logs and tool calls. `args` is what the field's arguments function made of its arguments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.handles import Handle
from db.models.tasks import LogLineRow, TaskContentRow, TaskRow, ToolCallContentRow, ToolCallRow
from db.pages import Page, PageRequest
from db.queries import tasks as queries
from db.queries.tasks import ALL_LINES, CREATED_AT, CREATED_AT_DESC, LogSelection, TaskCount
from loaders.batch import align, pages

UNIQUE = dict.fromkeys


@dataclass(frozen=True, slots=True)
class LogPageRequest:
    """A page of a log, of some lines only."""

    page: PageRequest
    selection: LogSelection = ALL_LINES


async def by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[TaskRow | None]:
    """A task per id."""
    return align(keys, await queries.by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def content_by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[TaskContentRow | None]:
    """A task's wide columns per id."""
    return align(keys, await queries.content_by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def children_by_task(database: Handle, keys: Sequence[UUID], args: PageRequest) -> list[Page[TaskRow]]:
    """A page of child tasks per task, oldest first."""
    rows = await queries.pages_by_parent(database, "parent_task_id", list(UNIQUE(keys)), CREATED_AT, args)
    return pages(
        database,
        keys,
        rows,
        args,
        CREATED_AT,
        queries.TOPIC,
        lambda key: TaskCount(column="parent_task_id", parent=key),
    )


async def by_conversation(database: Handle, keys: Sequence[UUID], args: PageRequest) -> list[Page[TaskRow]]:
    """A page of tasks per conversation, oldest first."""
    rows = await queries.pages_by_parent(database, "conversation_id", list(UNIQUE(keys)), CREATED_AT, args)
    return pages(
        database,
        keys,
        rows,
        args,
        CREATED_AT,
        queries.TOPIC,
        lambda key: TaskCount(column="conversation_id", parent=key),
    )


async def by_run(database: Handle, keys: Sequence[UUID], args: PageRequest) -> list[Page[TaskRow]]:
    """A page of tasks per run, oldest first."""
    rows = await queries.pages_by_parent(database, "run_id", list(UNIQUE(keys)), CREATED_AT, args)
    return pages(
        database,
        keys,
        rows,
        args,
        CREATED_AT,
        queries.TOPIC,
        lambda key: TaskCount(column="run_id", parent=key),
    )


async def current_by_run(database: Handle, keys: Sequence[UUID], args: None) -> list[TaskRow | None]:
    """The newest unfinished task per run."""
    newest = PageRequest(1)
    rows = await queries.pages_by_parent(
        database, "run_id", list(UNIQUE(keys)), CREATED_AT_DESC, newest, unfinished=True
    )
    found = pages(database, keys, rows, newest, CREATED_AT_DESC, queries.TOPIC)
    return [page.rows[0] if page.rows else None for page in found]


async def current_by_agent(database: Handle, keys: Sequence[UUID], args: PageRequest) -> list[Page[TaskRow]]:
    """A page of unfinished tasks per agent, newest first."""
    rows = await queries.pages_by_parent(
        database, "agent_id", list(UNIQUE(keys)), CREATED_AT_DESC, args, unfinished=True
    )
    return pages(
        database,
        keys,
        rows,
        args,
        CREATED_AT_DESC,
        queries.TOPIC,
        lambda key: TaskCount(column="agent_id", parent=key, unfinished=True),
    )


async def logs_by_task(database: Handle, keys: Sequence[UUID], args: LogPageRequest) -> list[Page[LogLineRow]]:
    """A page of log lines per task, in order of seq."""
    rows = await queries.logs_by_task(database, list(UNIQUE(keys)), args.selection, args.page)
    return pages(database, keys, rows, args.page, queries.LOG_SEQ, "log:")


async def tool_calls_by_task(database: Handle, keys: Sequence[UUID], args: PageRequest) -> list[Page[ToolCallRow]]:
    """A page of tool calls per task, in order of start."""
    rows = await queries.tool_calls_by_task(database, list(UNIQUE(keys)), args)
    return pages(database, keys, rows, args, queries.TOOL_STARTED_AT, queries.TOPIC)


async def tool_calls_by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[ToolCallRow | None]:
    """A tool call per id."""
    return align(keys, await queries.tool_calls_by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def tool_content_by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[ToolCallContentRow | None]:
    """A tool call's wide columns per id."""
    return align(keys, await queries.tool_content_by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def counts(database: Handle, keys: Sequence[TaskCount], args: int) -> list[int]:
    """A number of tasks per count, no further than `args`; one statement per kind of parent."""
    answers: dict[TaskCount, int] = {}
    by_column: defaultdict[tuple[str, bool], list[TaskCount]] = defaultdict(list)
    for key in UNIQUE(keys):
        if key.column is None:
            answers[key] = await queries.count(database, key.selection, args)
        else:
            by_column[key.column, key.unfinished].append(key)
    for (column, unfinished), wanted in by_column.items():
        parents = [key.parent for key in wanted if key.parent is not None]
        found = await queries.count_by_parent(database, column, parents, args, unfinished=unfinished)
        answers.update({key: found.get(key.parent, 0) for key in wanted if key.parent is not None})
    return [answers.get(key, 0) for key in keys]
