"""Tasks: one, pages, and following their changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from db.models.tasks import LogLineRow, TaskRow
from db.pages import EventPosition, Order, Page, PageRequest, cut
from db.queries import events
from db.queries import tasks as queries
from db.queries.tasks import ALL_LINES, ALL_TASKS, LogSelection, TaskCount, TaskSelection
from domain.errors import InvalidInput, NotFound
from domain.ids import parse_id
from domain.transitions import FINAL
from resolvers.context import Context
from resolvers.ranges import Range, resolve_range


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """A selection whose range of creation may move with the clock."""

    selection: TaskSelection = ALL_TASKS
    created_at: Range | None = None

    def at(self, now: datetime) -> TaskSelection:
        """The selection as it is now. Raises InvalidInput (INVALID_RANGE)."""
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
    selection = wanted.filter.at(context.clock())
    rows = await queries.page(context.reader, selection, wanted.order, wanted.page)
    return cut(rows, wanted.page, wanted.order, context.reader.epoch, queries.TOPIC, TaskCount(selection))


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task changed, and is in the watched selection; `is_new` when it was not before."""

    position: EventPosition
    at: datetime
    task_id: UUID
    is_new: bool


@dataclass(frozen=True, slots=True)
class TaskLeave:
    """A task is no longer in the watched selection, or was deleted."""

    position: EventPosition
    at: datetime
    task_id: UUID


@dataclass(frozen=True, slots=True)
class WatchTasks:
    """What a stream of changes lets through: names of facts to allowed values, as text."""

    facts: tuple[tuple[str, frozenset[str]], ...] = ()
    after: EventPosition | None = None

    def matches(self, facts: dict[str, Any] | None) -> bool:
        """Whether a task with these facts is in the selection; None is a task that is not there."""
        return facts is not None and all(facts.get(name) in allowed for name, allowed in self.facts)


def refuse_after(after: EventPosition | None) -> None:
    """Replay comes with a later version; until then an `after` is refused rather than ignored."""
    if after is not None:
        raise InvalidInput(
            "Following from a cursor is not possible yet. Leave out `after`: the stream starts now; read the page again"
            " after a reconnect.",
            ("after",),
            code="CURSOR_NOT_SUPPORTED",
        )


async def watch_tasks(context: Context, watched: WatchTasks) -> AsyncIterator[TaskChange | TaskLeave]:
    """Changes of tasks from now on, each once and in order."""
    refuse_after(watched.after)
    async with context.hub.subscribe(queries.TOPIC) as changes:
        async for event in changes:
            position = EventPosition(context.reader.epoch, event.topic, event.seq)
            before, after = event.facts["before"], event.facts["after"]
            task_id = UUID(event.facts["id"])
            if watched.matches(after):
                yield TaskChange(position, event.at, task_id, is_new=not watched.matches(before))
            elif watched.matches(before):
                yield TaskLeave(position, event.at, task_id)


@dataclass(frozen=True, slots=True)
class LogLines:
    """Lines that were appended to a task's log."""

    position: EventPosition
    at: datetime
    lines: list[LogLineRow]


@dataclass(frozen=True, slots=True)
class WatchLog:
    """Whose log, and which lines of it."""

    task_id: str
    selection: LogSelection = ALL_LINES
    after: EventPosition | None = None

    def matches(self, line: LogLineRow) -> bool:
        """Whether a line is let through: the same rule as a page of the log has in SQL."""
        wanted = self.selection
        return (
            (wanted.level is None or line.level in wanted.level)
            and (wanted.stream is None or line.stream in wanted.stream)
            and (wanted.search is None or wanted.search.lower() in (line.text or "").lower())
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The stream has come to `position` without an event to show."""

    position: EventPosition
    at: datetime
    is_live: bool


@dataclass(frozen=True, slots=True)
class CursorExpired:
    """What came behind the given cursor is no longer there; the stream goes on from `position`."""

    position: EventPosition
    at: datetime


LINES_PER_EVENT = 100


async def watch_log(context: Context, watched: WatchLog) -> AsyncIterator[LogLines]:
    """Lines of a task's log from now on; ends when the task is final and its log is out. Raises NotFound."""
    refuse_after(watched.after)
    key = parse_id("task", watched.task_id)
    async with context.hub.subscribe_log(key or UUID(int=0)) as notices:
        last = notices.seq
        task = await get_task(context, watched.task_id)
        if key is None or task is None:
            raise NotFound(f"There is no task {watched.task_id}.", ("taskId",))
        while True:
            is_final = task is None or task.status in FINAL  # read before the lines: none can come after
            head = await events.head(context.reader, f"log:{key}")
            while last < head:
                first, last = last + 1, min(head, last + LINES_PER_EVENT)
                appended = await queries.log_range(context.reader, key, first, last)
                lines = [line for line in appended if watched.matches(line)]
                if lines:
                    position = EventPosition(context.reader.epoch, f"log:{key}", last)
                    yield LogLines(position, lines[-1].at, lines)
            if is_final:
                return
            await anext(notices)  # lines were appended, or the task has changed
            task = await get_task(context, watched.task_id)
