"""Tasks: one, pages, and following their changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.models.tasks import LogLineRow, TaskRow
from db.pages import EventPosition, Order, Page, PageRequest, cut
from db.queries import tasks as queries
from db.queries.tasks import ALL_TASKS, TaskCount, TaskSelection
from domain.errors import InvalidInput, NotFound
from domain.ids import parse_id, require_id
from domain.transitions import FINAL
from resolvers.context import Context


@dataclass(frozen=True, slots=True)
class ListTasks:
    """A page of tasks."""

    selection: TaskSelection
    order: Order
    page: PageRequest


async def get_task(context: Context, task_id: str) -> TaskRow | None:
    """A task by its id; None when there is none."""
    key = parse_id("task", task_id)
    rows = [] if key is None else await queries.by_id(context.reader, [key])
    return rows[0] if rows else None


async def list_tasks(context: Context, wanted: ListTasks) -> Page[TaskRow]:
    """One page of the tasks that the selection names."""
    rows = await queries.page(context.reader, wanted.selection, wanted.order, wanted.page)
    count = TaskCount(wanted.selection)
    return cut(rows, wanted.page, wanted.order, context.reader.epoch, queries.TOPIC, count)


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
    async for event in context.hub.subscribe(queries.TOPIC):
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
    level: frozenset[str] | None = None
    stream: frozenset[str] | None = None
    search: str | None = None
    after: EventPosition | None = None

    def matches(self, line: LogLineRow) -> bool:
        """Whether a line is let through."""
        return (
            (self.level is None or line.level in self.level)
            and (self.stream is None or line.stream in self.stream)
            and (self.search is None or self.search.lower() in (line.text or "").lower())
        )


LINES_PER_EVENT = 100


async def watch_log(context: Context, watched: WatchLog) -> AsyncIterator[LogLines]:
    """Lines of a task's log from now on; ends when the task is final and its log is out. Raises NotFound."""
    refuse_after(watched.after)
    key = require_id("task", watched.task_id, ("taskId",))
    topic = f"log:{key}"
    async with context.hub.watch_log(key) as notices:
        task = await get_task(context, watched.task_id)
        if task is None:
            raise NotFound(f"There is no task {watched.task_id}.", ("taskId",))
        last = await queries.log_head(context.reader, key)
        while task is not None and task.status not in FINAL:
            await notices.next()
            task = await get_task(context, watched.task_id)
            head = await queries.log_head(context.reader, key)
            while last < head:
                upto = min(head, last + LINES_PER_EVENT)
                lines = await queries.log_range(context.reader, key, last + 1, upto)
                last = upto
                shown = [line for line in lines if watched.matches(line)]
                if shown:
                    yield LogLines(EventPosition(context.reader.epoch, topic, last), shown[-1].at, shown)
