"""Following tasks: their changes, the log of one, and the logs of all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.models.tasks import TaskRow
from db.pages import EventPosition
from db.queries import events
from db.queries import tasks as queries
from db.queries.tasks import ALL_LINES, LogSelection
from domain.errors import NotFound
from domain.ids import parse_id
from domain.transitions import FINAL
from pubsub.events import Event
from pubsub.events import LogLine as SentLine
from pubsub.interests import Interest
from pubsub.lines import Line
from pubsub.streams import LogStream, Span
from pubsub.topics import LOGS, log_topic
from resolvers.context import Context
from resolvers.live import Mark, Shown, Told, follow, marks_first, patiently, place_of, position_of, told

# By these a filter leaves out most; any other will do where it has none of them.
SELECTIVE = ("parent", "conversation", "run", "flow", "agent")

LogLine = SentLine  # one that came with its event: schema shows it like a row


@dataclass(frozen=True, slots=True)
class TaskChange(Shown):
    """A task changed, and is in the watched selection; `is_new` when it was not before."""

    position: EventPosition
    at: datetime
    task_id: UUID
    is_new: bool


@dataclass(frozen=True, slots=True)
class TaskLeave(Shown):
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
        if not self.facts or facts is None:  # the most usual filter is none, and every follower asks for every event
            return facts is not None
        return all(facts.get(name) in allowed for name, allowed in self.facts)

    @property
    def interest(self) -> Interest | None:
        """What an event must have to be let through, or to tell of a task that is no longer."""
        if not self.facts:
            return None
        values = dict(self.facts)
        name = next((name for name in SELECTIVE if name in values), self.facts[0][0])
        return Interest(name, values[name])


def watch_tasks(context: Context, watched: WatchTasks) -> AsyncIterator[Told[TaskChange | TaskLeave]]:
    """Changes of tasks, each once and in order."""

    def show(event: Event) -> TaskChange | TaskLeave | None:
        before, after = event.facts["before"], event.facts["after"]
        if watched.matches(after):
            is_new = not watched.matches(before)
            return TaskChange(position_of(context, event), event.at, UUID(event.facts["id"]), is_new)
        if watched.matches(before):
            return TaskLeave(position_of(context, event), event.at, UUID(event.facts["id"]))
        return None

    return follow(context, queries.TOPIC, watched.after, show, watched.interest)


@dataclass(frozen=True, slots=True)
class LogLines:
    """Lines that were appended to a task's log."""

    position: EventPosition
    at: datetime | int
    task_id: UUID
    lines: Sequence[Line]

    @property
    def key(self) -> Hashable:
        """What tells it from every other: two of the same place may begin at different lines."""
        return self.position.seq, self.lines[0].seq


def line_matches(wanted: LogSelection, line: Line) -> bool:
    """Whether a line is let through: the same rule as a page of the log has in SQL."""
    return (
        (wanted.level is None or line.level in wanted.level)
        and (wanted.stream is None or line.stream in wanted.stream)
        and (wanted.search is None or wanted.search.lower() in (line.text or "").lower())
    )


async def _lines(context: Context, task: str, span: Span, wanted: LogSelection) -> Sequence[Line]:
    """Those lines of a span that are wanted; they came with their event, or are read once for all who follow."""

    async def read() -> Sequence[Line]:
        return await patiently(lambda: queries.log_range(context.reader, UUID(task), span.first, span.last))

    appended = await context.hub.lines.get(task, span.first, span.last, read)
    return appended if wanted == ALL_LINES else [line for line in appended if line_matches(wanted, line)]


@dataclass(frozen=True, slots=True)
class WatchLog:
    """Whose log, and which lines of it."""

    task_id: str
    selection: LogSelection = ALL_LINES
    after: EventPosition | None = None


async def watch_log(context: Context, watched: WatchLog) -> AsyncIterator[LogLines | Mark]:
    """Lines of a task's log; ends when the task is final and its log is out. Raises NotFound."""
    key = parse_id("task", watched.task_id) or UUID(int=0)
    if await _find(context, key) is None:
        raise NotFound(f"There is no task {watched.task_id}.", ("taskId",))
    task, topic = str(key), log_topic(key)
    async with context.hub.subscribe_log(key, place_of(context, topic, watched.after)) as stream:
        async for mark in marks_first(context, stream, topic, watched.after):
            yield mark
        await _end_with_its_task(context, stream, key)
        async for item in stream:
            if not isinstance(item, Span):
                yield told(context, topic, item)
            elif item.last < item.first:
                await _end_with_its_task(context, stream, key)
            elif lines := await _lines(context, task, item, watched.selection):
                stream.touch()
                position = EventPosition(context.reader.epoch, topic, item.last)
                yield LogLines(position, lines[-1].at, key, lines)


async def _find(context: Context, key: UUID) -> TaskRow | None:
    rows = await patiently(lambda: queries.by_id(context.reader, [key]))
    return rows[0] if rows else None


async def _end_with_its_task(context: Context, stream: LogStream, key: UUID) -> None:
    """Let the stream end when the task is final; that is read before the head: no line can come after."""
    task = await _find(context, key)
    if task is None or task.status in FINAL:
        topic = log_topic(key)
        stream.end_at((await patiently(lambda: events.heads(context.reader, [topic])))[topic].seq)


@dataclass(frozen=True, slots=True)
class WatchLines:
    """Which lines of which tasks; None is all tasks."""

    task_ids: frozenset[str] | None = None
    selection: LogSelection = ALL_LINES
    after: EventPosition | None = None


async def watch_lines(context: Context, watched: WatchLines) -> AsyncIterator[LogLines | Mark]:
    """Lines of all logs, one event per appended batch. Lines never change: filtering them by content is lasting."""
    topic = LOGS
    interest = None if watched.task_ids is None else Interest("task", watched.task_ids)
    async with context.hub.subscribe(topic, place_of(context, topic, watched.after), interest) as stream:
        async for mark in marks_first(context, stream, topic, watched.after):
            yield mark
        async for item in stream:
            if not isinstance(item, Event):
                yield told(context, topic, item)
            elif watched.task_ids is None or item.facts["task"] in watched.task_ids:
                task, span = item.facts["task"], Span(item.facts["first"], item.facts["last"])
                if lines := await _lines(context, task, span, watched.selection):
                    stream.touch()
                    yield LogLines(position_of(context, item), item.at, UUID(task), lines)
