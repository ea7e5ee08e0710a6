"""The fields of Subscription: what can be followed, and from where."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from execution.declarations import Stand
from execution.fields import feed
from resolvers import live_agents, live_conversations, live_runs, live_tasks, live_usage
from resolvers.pages import decode_event_cursor, encode_event_cursor
from schema.agents import AgentFilter, to_selection
from schema.enums import LogLevel, LogStream
from schema.events import AgentEvent, MessageEvent, RunEvent, TaskEvent, TaskLogEvent
from schema.runs import ExecutionStatus, status_argument
from schema.scalars import EventCursor
from schema.task_inputs import RULE, LogFilter, TaskEventFilter, given, ids, nothing, some, to_facts, to_lines
from schema.usage import Summary, summary_arguments

AfterCursor = Annotated[
    EventCursor | None,
    strawberry.argument(
        description="Go on behind this cursor, of an event of this field or a page's eventCursor: what came since is"
        " told first, then what comes. Without it the stream starts now."
    ),
]


@strawberry.input(description=f"Which lines of which logs. {RULE}")
class LogLinesFilter:
    """Becomes resolvers.live_tasks.WatchLines."""

    task_id: list[strawberry.ID] | None = some("Of any of these tasks.")
    level: list[LogLevel] | None = some("Any of these levels.")
    stream: list[LogStream] | None = some("From any of these streams.")
    search: str | None = some("Lines that contain this text of at most 200 characters, in any case.")


def _after(cursor: Any) -> Any:
    return None if nothing(cursor) is None else decode_event_cursor(cursor)


def _stand(event: Any) -> Stand:
    return Stand(event.position.seq, encode_event_cursor(event.position), getattr(event, "is_live", False))


def _share(event: Any) -> Hashable | None:
    """Events of one stream are told apart by their place; marks of the stream are each for one."""
    return getattr(event, "key", None)


def events(resolve: Any, *, scope: str, arguments: Any, description: str) -> Any:
    """A field of events: shared, with a cursor."""
    return feed(resolve, scope=scope, arguments=arguments, description=description, share=_share, stand=_stand)


def task_changed_arguments(
    filter: Annotated[TaskEventFilter | None, strawberry.argument(description="Which tasks.")] = UNSET,
    after: AfterCursor = UNSET,
) -> live_tasks.WatchTasks:
    """Arguments of `taskChanged`."""
    return live_tasks.WatchTasks(to_facts(nothing(filter)), _after(after))


def task_log_arguments(
    task_id: Annotated[strawberry.ID, strawberry.argument(description="Whose log.")],
    filter: Annotated[LogFilter | None, strawberry.argument(description="Which lines.")] = UNSET,
    after: AfterCursor = UNSET,
) -> live_tasks.WatchLog:
    """Arguments of `taskLog`."""
    return live_tasks.WatchLog(str(task_id), to_lines(nothing(filter)), _after(after))


def log_lines_arguments(
    filter: Annotated[LogLinesFilter | None, strawberry.argument(description="Which lines.")] = UNSET,
    after: AfterCursor = UNSET,
) -> live_tasks.WatchLines:
    """Arguments of `logLines`."""
    chosen = nothing(filter)
    task_ids = None
    if chosen is not None and given(chosen.task_id):
        task_ids = frozenset(str(key) for key in ids("task", chosen.task_id or ()))
    return live_tasks.WatchLines(task_ids, to_lines(chosen), _after(after))


def agent_changed_arguments(
    filter: Annotated[AgentFilter | None, strawberry.argument(description="Which agents.")] = UNSET,
    after: AfterCursor = UNSET,
) -> live_agents.WatchAgents:
    """Arguments of `agentChanged`."""
    return live_agents.WatchAgents(to_selection(nothing(filter)), _after(after))


def message_added_arguments(
    conversation_id: Annotated[strawberry.ID, strawberry.argument(description="To which conversation.")],
    after: AfterCursor = UNSET,
) -> live_conversations.WatchMessages:
    """Arguments of `messageAdded`."""
    return live_conversations.WatchMessages(str(conversation_id), _after(after))


def run_changed_arguments(
    run_id: Annotated[strawberry.ID | None, strawberry.argument(description="Which run; all runs without it.")] = UNSET,
    after: AfterCursor = UNSET,
) -> live_runs.WatchRuns:
    """Arguments of `runChanged`."""
    return live_runs.WatchRuns(nothing(run_id), _after(after))


@strawberry.type
class LiveFields:
    """All fields of Subscription."""

    task_changed: AsyncGenerator[TaskEvent, None] = events(
        live_tasks.watch_tasks,
        scope="METRICS",
        arguments=task_changed_arguments,
        description="Every change of a task, each once and in order.",
    )
    task_log: AsyncGenerator[TaskLogEvent, None] = events(
        live_tasks.watch_log,
        scope="READ",
        arguments=task_log_arguments,
        description="A task's log, in pieces of up to 100 lines; completes when the task is final and its log is out.",
    )
    log_lines: AsyncGenerator[TaskLogEvent, None] = events(
        live_tasks.watch_lines,
        scope="READ",
        arguments=log_lines_arguments,
        description="The log lines of all tasks, an event for each batch that was appended to a task's log.",
    )
    agent_changed: AsyncGenerator[AgentEvent, None] = events(
        live_agents.watch_agents,
        scope="METRICS",
        arguments=agent_changed_arguments,
        description="Every change of an agent, each once and in order; a sign of life once a minute at most.",
    )
    message_added: AsyncGenerator[MessageEvent, None] = events(
        live_conversations.watch_messages,
        scope="METRICS",
        arguments=message_added_arguments,
        description="Every message that is added to a conversation, each once and in order.",
    )
    run_changed: AsyncGenerator[RunEvent, None] = events(
        live_runs.watch_runs,
        scope="METRICS",
        arguments=run_changed_arguments,
        description="Every change of a run or its stories, each once and in order.",
    )
    execution_status_changed: AsyncGenerator[ExecutionStatus, None] = feed(
        live_runs.watch_execution_status,
        scope="METRICS",
        arguments=status_argument,
        description="How a run stands now, and again when it or its stories have changed: the latest value, once a"
        " second at most, without a cursor. Silence tells nothing: isRunning ends 60 seconds after updatedAt.",
    )
    summary_changed: AsyncGenerator[Summary, None] = feed(
        live_usage.watch_summary,
        scope="METRICS",
        arguments=summary_arguments,
        description="The summary of a range now, and again when work has changed it: the latest value, once a second at"
        " most, without a cursor.",
    )
