"""What live fields deliver: unions of events, each with its cursor. The fields are in subscriptions.py."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from domain.ids import show_id
from execution.fields import column, computed, interface_type, nested, object_type, one
from loaders import agents as agent_loaders
from loaders import conversations as conversation_loaders
from loaders import runs as run_loaders
from loaders import tasks as task_loaders
from resolvers import live, live_agents, live_conversations, live_runs, live_tasks
from resolvers.pages import encode_event_cursor
from schema.scalars import EventCursor

if TYPE_CHECKING:
    from schema.agents import Agent
    from schema.conversations import Message
    from schema.runs import Run
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


@object_type(
    of=live_tasks.TaskChange, scope="METRICS", description="A task was created or changed, and matches the filter."
)
class TaskChanged(LiveEvent):
    """resolvers.live_tasks.TaskChange."""

    task_id: strawberry.ID = _task_id()
    task: Annotated[Task, strawberry.lazy("schema.tasks")] | None = one(
        task_loaders.by_id, key="task_id", description="The task as it is now, which may be newer than this event."
    )
    is_new: bool = column(
        description="Whether it was not in this stream's selection before: just created, or it has come to match."
    )


@object_type(
    of=live_tasks.TaskLeave,
    scope="METRICS",
    description="A task no longer matches the filter, was deleted, or is no longer yours to see: take it off the list.",
)
class TaskLeft(LiveEvent):
    """resolvers.live_tasks.TaskLeave."""

    task_id: strawberry.ID = _task_id()


@object_type(
    of=live_tasks.LogLines,
    scope="READ",
    description="Lines were appended to a task's log: up to 100 at once of one task, a whole batch of all.",
)
class LogLinesAppended(LiveEvent):
    """resolvers.live_tasks.LogLines."""

    task_id: strawberry.ID = _task_id()
    lines: list[Annotated[LogLine, strawberry.lazy("schema.tasks")]] = nested(
        lambda event: event.lines, description="The lines, in order of seq."
    )


def _agent_id() -> Any:
    return computed(lambda event: show_id("agent", event.agent_id), needs=("agent_id",), description="Which agent.")


@object_type(
    of=live_agents.AgentChange, scope="METRICS", description="An agent is new or has changed, and matches the filter."
)
class AgentChanged(LiveEvent):
    """resolvers.live_agents.AgentChange."""

    agent_id: strawberry.ID = _agent_id()
    agent: Annotated[Agent, strawberry.lazy("schema.agents")] | None = one(
        agent_loaders.by_id, key="agent_id", description="The agent as it is now, which may be newer than this event."
    )
    is_new: bool = column(
        description="Whether it was not in this stream's selection before: just seen first, or it has come to match."
    )


@object_type(
    of=live_agents.AgentLeave,
    scope="METRICS",
    description="An agent no longer matches the filter, or was deleted: take it off the list.",
)
class AgentLeft(LiveEvent):
    """resolvers.live_agents.AgentLeave."""

    agent_id: strawberry.ID = _agent_id()


@object_type(of=live_conversations.MessageAdd, scope="METRICS", description="A message was added to the conversation.")
class MessageAdded(LiveEvent):
    """resolvers.live_conversations.MessageAdd."""

    message_id: strawberry.ID = computed(
        lambda event: show_id("message", event.message_id), needs=("message_id",), description="Which message."
    )
    message: Annotated[Message, strawberry.lazy("schema.conversations")] | None = one(
        conversation_loaders.message_by_id, key="message_id", description="The message; null when it was deleted since."
    )


def _run_id() -> Any:
    return computed(lambda event: show_id("run", event.run_id), needs=("run_id",), description="Which run.")


@object_type(
    of=live_runs.RunChange, scope="METRICS", description="A run, or one of its stories, is new or has changed."
)
class RunChanged(LiveEvent):
    """resolvers.live_runs.RunChange."""

    run_id: strawberry.ID = _run_id()
    run: Annotated[Run, strawberry.lazy("schema.runs")] | None = one(
        run_loaders.by_id, key="run_id", description="The run as it is now, which may be newer than this event."
    )


@object_type(of=live_runs.RunLeave, scope="METRICS", description="A run was deleted: take it off the list.")
class RunLeft(LiveEvent):
    """resolvers.live_runs.RunLeave."""

    run_id: strawberry.ID = _run_id()


@object_type(
    of=live.Checkpoint,
    scope="METRICS",
    description="Nothing to show, but here is the stream's place: comes once when replay is over and the stream is"
    " live, at its start if there is nothing to replay, and then after every minute without an event.",
)
class Checkpoint(LiveEvent):
    """resolvers.live.Checkpoint."""

    is_live: bool = column(description="Whether the stream has caught up with the present.")


@object_type(
    of=live.CursorExpired,
    scope="METRICS",
    description="The cursor is too old, or of another history: read the data again. The stream goes on from `cursor`.",
)
class CursorExpired(LiveEvent):
    """resolvers.live.CursorExpired."""


TaskEvent = Annotated[
    TaskChanged | TaskLeft | Checkpoint | CursorExpired,
    strawberry.union("TaskEvent", description="What `taskChanged` delivers."),
]
TaskLogEvent = Annotated[
    LogLinesAppended | Checkpoint | CursorExpired,
    strawberry.union("TaskLogEvent", description="What `taskLog` and `logLines` deliver."),
]
AgentEvent = Annotated[
    AgentChanged | AgentLeft | Checkpoint | CursorExpired,
    strawberry.union("AgentEvent", description="What `agentChanged` delivers."),
]
RunEvent = Annotated[
    RunChanged | RunLeft | Checkpoint | CursorExpired,
    strawberry.union("RunEvent", description="What `runChanged` delivers."),
]
MessageEvent = Annotated[
    MessageAdded | Checkpoint | CursorExpired,
    strawberry.union("MessageEvent", description="What `messageAdded` delivers."),
]
