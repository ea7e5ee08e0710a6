"""Batches of usage records and sums."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.handles import Handle
from db.models.base import Row
from db.models.tasks import TaskRow
from db.models.usage import UsageRecordRow, UsageTotalsRow
from db.pages import Page, PageRequest
from db.queries import usage as queries
from loaders.batch import align, pages

UNIQUE = dict.fromkeys


async def by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[UsageRecordRow | None]:
    """A usage record per id."""
    return align(keys, await queries.by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def records_by_task(database: Handle, keys: Sequence[UUID], args: PageRequest) -> list[Page[UsageRecordRow]]:
    """A page of usage records per task, oldest first."""
    rows = await queries.records_by_task(database, list(UNIQUE(keys)), args)
    return pages(database, keys, rows, args, queries.RECORD_AT, "tasks")


async def totals_of_task(database: Handle, keys: Sequence[TaskRow], args: bool) -> Sequence[Row]:
    """The sums of each task, with all below it when `args`; alone they stand in the task's own row."""
    if not args:
        return keys
    rows = await queries.totals_with_descendants(database, list(UNIQUE(task.id for task in keys)))
    found = {row["key"]: row for row in rows}
    return [found.get(task.id, task) for task in keys]


async def totals_by_conversation(database: Handle, keys: Sequence[UUID], args: None) -> list[UsageTotalsRow | None]:
    """The sums of each conversation's tasks."""
    rows = await queries.totals_by(database, "conversation_id", list(UNIQUE(keys)))
    return align(keys, rows, lambda row: row["key"])


async def totals_by_run(database: Handle, keys: Sequence[UUID], args: None) -> list[UsageTotalsRow | None]:
    """The sums of each run's tasks."""
    rows = await queries.totals_by(database, "run_id", list(UNIQUE(keys)))
    return align(keys, rows, lambda row: row["key"])
