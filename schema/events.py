"""What live fields deliver: unions of events, each with its cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from domain.ids import show_id
from execution.fields import column, computed, feed, interface_type, nested, object_type, one
from loaders import tasks as task_loaders
from resolvers import tasks
from resolvers.pages import decode_event_cursor, encode_event_cursor
from schema.scalars import EventCursor
from schema.task_inputs import LogFilter, TaskEventFilter, nothing, to_facts, to_lines

if TYPE_CHECKING:
    from schema.tasks import LogLine, Task

CURSOR = "Where the stream stands behind this event: the next subscription's `after`."
AT = "When it was committed."


def _cursor(event: Any) -> EventCursor:
    return EventCursor(encode_event_cursor(event.position))


@interface_type(scope="METRICS", description="Something that happened, with the place in its stream.")
class LiveEvent:
    """The interface of all events."""

    cursor: EventCursor = computed(_cursor, needs=("position",), description=CURSOR)
    at: datetime = column(description=AT)


def _task_id() -> Any:
    return computed(lambda event: show_id("task", event.task_id), needs=("task_id",), description="Which task.")


@object_type(of=tasks.TaskChange, scope="METRICS", description="A task was created or changed, and matches the filter.")
class TaskChanged(LiveEvent):
    """resolvers.tasks.TaskChange."""

    task_id: strawberry.ID = _task_id()
    task: Annotated[Task, strawberry.lazy("schema.tasks")] | None = one(
        task_loaders.by_id, key="task_id", description="The task as it is now, which may be newer than this event."
    )
    is_new: bool = column(
        description="Whether it was not in this stream's selection before: just created, or it has come to match."
    )


@object_type(
    of=tasks.TaskLeave,
    scope="METRICS",
    description="A task no longer matches the filter, was deleted, or is no longer yours to see: take it off the list.",
)
class TaskLeft(LiveEvent):
    """resolvers.tasks.TaskLeave."""

    task_id: strawberry.ID = _task_id()


@object_type(of=tasks.LogLines, scope="READ", description="Lines were appended to a task's log: up to 100 at once.")
class LogLinesAppended(LiveEvent):
    """resolvers.tasks.LogLines."""

    lines: list[Annotated[LogLine, strawberry.lazy("schema.tasks")]] = nested(
        lambda event: event.lines, description="The lines, in order of seq."
    )


@object_type(
    of=tasks.Checkpoint,
    scope="METRICS",
    description="Nothing happened, but the cursor has moved: comes once when replay is over, then after silence.",
)
class Checkpoint(LiveEvent):
    """resolvers.tasks.Checkpoint."""

    is_live: bool = column(description="Whether the stream has caught up with the present.")


@object_type(
    of=tasks.CursorExpired,
    scope="METRICS",
    description="The cursor is too old, or of another history: read the data again. The stream goes on from `cursor`.",
)
class CursorExpired(LiveEvent):
    """resolvers.tasks.CursorExpired."""


TaskEvent = Annotated[
    TaskChanged | TaskLeft | Checkpoint | CursorExpired,
    strawberry.union("TaskEvent", description="What `taskChanged` delivers."),
]
TaskLogEvent = Annotated[
    LogLinesAppended | Checkpoint | CursorExpired,
    strawberry.union("TaskLogEvent", description="What `taskLog` delivers."),
]
AfterCursor = Annotated[
    EventCursor | None,
    strawberry.argument(
        description="Go on behind this cursor. Not possible yet: it is refused with CURSOR_NOT_SUPPORTED; without it"
        " the stream starts now."
    ),
]


def _after(cursor: Any) -> Any:
    return None if nothing(cursor) is None else decode_event_cursor(cursor)


def task_changed_arguments(
    filter: Annotated[TaskEventFilter | None, strawberry.argument(description="Which tasks.")] = UNSET,
    after: AfterCursor = UNSET,
) -> tasks.WatchTasks:
    """Arguments of `taskChanged`."""
    return tasks.WatchTasks(to_facts(nothing(filter)), _after(after))


def task_log_arguments(
    task_id: Annotated[strawberry.ID, strawberry.argument(description="Whose log.")],
    filter: Annotated[LogFilter | None, strawberry.argument(description="Which lines.")] = UNSET,
    after: AfterCursor = UNSET,
) -> tasks.WatchLog:
    """Arguments of `taskLog`."""
    return tasks.WatchLog(str(task_id), to_lines(nothing(filter)), _after(after))


@strawberry.type
class TaskSubscription:
    """The live fields of tasks."""

    task_changed: AsyncGenerator[TaskEvent, None] = feed(
        tasks.watch_tasks,
        scope="METRICS",
        arguments=task_changed_arguments,
        description="Every change of a task from now on, each once and in order.",
    )
    task_log: AsyncGenerator[TaskLogEvent, None] = feed(
        tasks.watch_log,
        scope="READ",
        arguments=task_log_arguments,
        description="A task's log from now on, in pieces of up to 100 lines; completes when the task is final and its"
        " log is out.",
    )
