"""Tasks: one, and pages. Following them live is in live_tasks.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from db.models.tasks import TaskRow
from db.pages import Order, Page, PageRequest, cut
from db.queries import tasks as queries
from db.queries.tasks import ALL_TASKS, TaskCount, TaskSelection
from domain.errors import InvalidInput
from domain.ids import parse_id
from resolvers.context import Context, Viewer
from resolvers.ranges import Range, resolve_range


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """A selection whose range of creation may move with the clock."""

    selection: TaskSelection = ALL_TASKS
    created_at: Range | None = None

    def at(self, now: datetime, viewer: Viewer) -> TaskSelection:
        """The selection as it is now, for this viewer. Raises InvalidInput (INVALID_RANGE, FORBIDDEN)."""
        if self.selection.search is not None and "READ" not in viewer.scopes:
            raise InvalidInput(
                "filter.search looks into titles and prompts: it needs the scope READ.", ("filter",), code="FORBIDDEN"
            )
        if self.created_at is None:
            return self.selection
        span = resolve_range(self.created_at, now, "filter")
        return replace(self.selection, created_from=span.start, created_to=span.end)


@dataclass(frozen=True, slots=True)
class ListTasks:
    """A page of tasks."""

    filter: TaskFilter
    order: Order
    page: PageRequest


async def get_task(context: Context, task_id: str) -> TaskRow | None:
    """A task by its id; None when there is none."""
    key = parse_id("task", task_id)
    rows = [] if key is None else await queries.by_id(context.reader, [key])
    return rows[0] if rows else None


async def list_tasks(context: Context, wanted: ListTasks) -> Page[TaskRow]:
    """One page of the tasks that the selection names."""
    selection = wanted.filter.at(context.clock(), context.viewer)
    rows = await queries.page(context.reader, selection, wanted.order, wanted.page)
    return cut(rows, wanted.page, wanted.order, context.reader.epoch, queries.TOPIC, TaskCount(selection))
