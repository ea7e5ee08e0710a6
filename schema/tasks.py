"""Tasks, their logs and tool calls as GraphQL types. Their arguments and filters are in schema/task_inputs.py."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.instants import milliseconds
from db.models.tasks import LogLineRow, TaskRow, ToolCallRow
from db.pages import Page
from execution.fields import column, computed, connection, judged, loaded, object_type, one
from execution.forms import Prefixed, itself
from loaders import access as access_loaders
from loaders import agents as agent_loaders
from loaders import conversations as conversation_loaders
from loaders import runs as run_loaders
from loaders import tasks as loaders
from loaders import usage as usage_loaders
from resolvers import control, live_tasks
from schema.content import content_column, shown
from schema.enums import ContentAccess, LogLevel, LogStream, StuckReason, TaskSource, TaskStatus
from schema.node import Node, node_id
from schema.pagination import (
    TOTAL_COUNT,
    EdgeValue,
    PageInfo,
    at_most_argument,
    edge_cursor,
    edge_node,
    edges,
    nodes,
    page_event_cursor,
    page_info,
)
from schema.scalars import EventCursor, SafeInt
from schema.task_inputs import children_arguments, include_children, log_arguments, tool_call_arguments
from schema.usage import usage_arguments

if TYPE_CHECKING:
    from schema.access import Host, Project, User
    from schema.agents import Agent
    from schema.conversations import Conversation
    from schema.runs import Run, Story
    from schema.usage import UsageRecordConnection, UsageTotals


def _duration_ms(row: TaskRow) -> int | None:
    start, end = row["started_at"], row["ended_at"]
    if start is None or end is None:
        return None
    return max(0, milliseconds(start, end))


@object_type(of=TaskRow, scope="METRICS", description="One attempt of an agent at a piece of work.")
class Task(Node):
    """A row of tasks."""

    id: strawberry.ID = node_id("task")
    revision: SafeInt = column(
        description="+1 with every committed change: of two copies the one with the higher revision is newer."
    )
    status: TaskStatus = column(description="How far it is.")
    source_status: str | None = column(description="The source's own word for the status, as it came.")
    source: TaskSource = column(description="What told of the task.")
    origin: str = column(description="Kind, host and project of the source; unique together with externalId.")
    external_id: str = column(description="What the source calls the task.")
    content_access: ContentAccess = column(
        description="Why title, input, result, errorMessage and the texts of logs and messages may be null."
    )
    title: str | None = content_column("title", description="A line that says what it is about. Content.")
    input: str | None = loaded(
        loaders.content_by_id,
        key="id",
        read=shown("input"),
        description="What the agent was asked: the prompt. Content.",
        scope="READ",
    )
    result: str | None = loaded(
        loaders.content_by_id,
        key="id",
        read=shown("result"),
        description="What came out of it: the agent's last words. Content.",
        scope="READ",
    )
    error_type: str | None = column(description="What kind of error ended it, as the source names it.")
    error_message: str | None = loaded(
        loaders.content_by_id,
        key="id",
        read=shown("error_message"),
        description="The error's own words. Content.",
        scope="READ",
    )
    owner: Annotated[User, strawberry.lazy("schema.access")] | None = one(
        access_loaders.user_by_id, key="owner_id", description="Whose work it is; null where nobody said."
    )
    host: Annotated[Host, strawberry.lazy("schema.access")] | None = one(
        access_loaders.host_by_id, key="host_id", description="The machine that it ran on."
    )
    project: Annotated[Project, strawberry.lazy("schema.access")] | None = one(
        access_loaders.project_by_id, key="project_id", description="The repository or folder that it is about."
    )
    agent: Annotated[Agent, strawberry.lazy("schema.agents")] | None = one(
        agent_loaders.by_id, key="agent_id", joined="agent", description="Who works on it."
    )
    conversation: Annotated[Conversation, strawberry.lazy("schema.conversations")] | None = one(
        conversation_loaders.by_id,
        key="conversation_id",
        joined="conversation",
        description="The conversation or session it belongs to.",
    )
    run: Annotated[Run, strawberry.lazy("schema.runs")] | None = one(
        run_loaders.by_id, key="run_id", description="The run that it is an iteration of."
    )
    story: Annotated[Story, strawberry.lazy("schema.runs")] | None = one(
        run_loaders.story_by_id, key="story_id", description="The story of that run that it works on."
    )
    parent_task: Annotated[Task, strawberry.lazy("schema.tasks")] | None = one(
        loaders.by_id, key="parent_task_id", description="The task that started this one, if it is a sub-agent's."
    )
    retry_of: Annotated[Task, strawberry.lazy("schema.tasks")] | None = one(
        loaders.by_id, key="retry_of_id", description="The earlier attempt that this one repeats."
    )
    session_id: strawberry.ID | None = column(
        description="The source's id of the session: joins transcripts and telemetry."
    )
    flow_id: strawberry.ID | None = column(
        description="What it is about elsewhere: github:owner/repo#7, jira:ABC-1, slack:channel:ts."
    )
    git_branch: str | None = column(description="The branch that was checked out.")
    model: str | None = column(description="The model that answered last.")
    created_at: datetime = column(description="When it was created, or asked for.")
    started_at: datetime | None = column(description="When an agent began.")
    ended_at: datetime | None = column(description="When it ended; null while it has not.")
    updated_at: datetime = column(description="When anything of it last changed.")
    duration_ms: SafeInt | None = computed(
        _duration_ms,
        needs=("started_at", "ended_at"),
        description="From startedAt to endedAt in milliseconds; null while either is missing.",
    )
    stuck_since: datetime | None = column(description="Since when it has counted as stuck; null when it does not.")
    stuck_reason: StuckReason | None = column(description="Why it counts as stuck.")
    viewer_can_cancel: bool = judged(
        control.can_cancel,
        load=agent_loaders.by_id,
        key="agent_id",
        needs=("status",),
        description="Whether `cancelTask` would do anything for you now: false without the scope CONTROL, when it is"
        " final, and when it has begun and nobody on the agent's side listens.",
    )
    viewer_can_retry: bool = judged(
        control.can_retry,
        load=agent_loaders.by_id,
        key="agent_id",
        needs=("status", "content_access"),
        description="Whether `retryTask` would do anything for you now: it must be FAILED or CANCELLED, its agent must"
        " listen, and you need the scope CONTROL.",
    )
    usage: Annotated[UsageTotals, strawberry.lazy("schema.usage")] = one(
        usage_loaders.totals_of_task,
        key=itself,
        is_held=lambda with_children: not with_children,  # the task's own sums stand in its row
        arguments=include_children,
        description="Tokens and cost of its model calls.",
    )
    children: Annotated[TaskConnection, strawberry.lazy("schema.tasks")] = connection(
        loaders.children_by_task,
        key="id",
        arguments=children_arguments,
        description="The tasks that this one started: its sub-agents' work, oldest first.",
    )
    logs: Annotated[LogLineConnection, strawberry.lazy("schema.tasks")] = connection(
        loaders.logs_by_task, key="id", arguments=log_arguments, description="Its log, in order of seq.", scope="READ"
    )
    tool_calls: Annotated[ToolCallConnection, strawberry.lazy("schema.tasks")] = connection(
        loaders.tool_calls_by_task,
        key="id",
        arguments=tool_call_arguments,
        description="Its tool calls, in order of start.",
    )
    usage_records: Annotated[UsageRecordConnection, strawberry.lazy("schema.usage")] = connection(
        usage_loaders.records_by_task,
        key="id",
        arguments=usage_arguments,
        description="Its model calls, in order of time.",
    )


@object_type(of=EdgeValue, scope="METRICS", description="A task in a list.")
class TaskEdge:
    """Relay's edge."""

    cursor: str = edge_cursor()
    node: Task = edge_node()


@object_type(of=Page, scope="METRICS", description="A page of tasks.")
class TaskConnection:
    """Relay's connection."""

    edges: list[TaskEdge] = edges()
    nodes: list[Task] = nodes()
    page_info: PageInfo = page_info()
    total_count: int = loaded(loaders.counts, key="selection", arguments=at_most_argument, description=TOTAL_COUNT)
    event_cursor: EventCursor = page_event_cursor()


@object_type(
    of=(LogLineRow, live_tasks.LogLine),
    scope="READ",
    description="One line of a task's log. No id on purpose: 20,000 lines must not become 20,000 cache entities."
    " Unique by (taskId, seq).",
)
class LogLine:
    """A row of log_lines."""

    task_id: strawberry.ID = computed(
        Prefixed("task_", "task_id"), needs=("task_id",), description="The task whose log it is in."
    )
    seq: SafeInt = column(description="1, 2, 3 … within the task, without holes.")
    at: datetime = column(description="When it was written, by the clock of the source.")
    level: LogLevel = column(description="How grave it is.")
    stream: LogStream = column(description="Where it comes from.")
    text: str | None = column(
        description="The line, as the agent wrote it: hostile text, show it as text only. Content."
    )
    truncated: bool = column(description="Whether it was cut at 64 KiB.")


@object_type(of=EdgeValue, scope="READ", description="A log line in a list.")
class LogLineEdge:
    """Relay's edge."""

    cursor: str = edge_cursor()
    node: LogLine = edge_node()


@object_type(of=Page, scope="READ", description="A page of a task's log.")
class LogLineConnection:
    """Relay's connection."""

    edges: list[LogLineEdge] = edges()
    nodes: list[LogLine] = nodes()
    page_info: PageInfo = page_info()
    event_cursor: EventCursor = page_event_cursor()


@object_type(of=ToolCallRow, scope="METRICS", description="One call of a tool by an agent.")
class ToolCall(Node):
    """A row of tool_calls."""

    id: strawberry.ID = node_id("tool")
    name: str = column(description="The tool's name: Bash, Edit, mcp__server__tool …")
    started_at: datetime = column(description="When it was called.")
    duration_ms: SafeInt | None = column(
        description="How long it took in milliseconds; null while it has not answered."
    )
    succeeded: bool | None = column(description="Whether it went well; null while it has not answered.")
    input: str | None = loaded(
        loaders.tool_content_by_id,
        key="id",
        read=lambda row: row.input,
        description="What it was called with, as JSON text. Content.",
        scope="READ",
    )
    output: str | None = loaded(
        loaders.tool_content_by_id,
        key="id",
        read=lambda row: row.output,
        description="What it answered. Content.",
        scope="READ",
    )


@object_type(of=EdgeValue, scope="METRICS", description="A tool call in a list.")
class ToolCallEdge:
    """Relay's edge."""

    cursor: str = edge_cursor()
    node: ToolCall = edge_node()


@object_type(of=Page, scope="METRICS", description="A page of a task's tool calls.")
class ToolCallConnection:
    """Relay's connection."""

    edges: list[ToolCallEdge] = edges()
    nodes: list[ToolCall] = nodes()
    page_info: PageInfo = page_info()
