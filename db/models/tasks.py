"""Tasks with their totals, log lines and tool calls."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    event,
    text,
)

from db.models.agents import AgentRow, agents
from db.models.base import (
    CONTENT_ACCESS,
    TASK_STATUSES,
    Join,
    Row,
    count,
    identity,
    instant,
    metadata,
    money,
    reference,
    revision,
    token_counts,
    word,
)
from db.models.conversations import ConversationRow, conversations

TASK_SOURCES = ("CLAUDE_CODE", "CLAUDE_LOOP", "ENGINE", "OTLP", "WEBHOOK", "API", "OTHER")
STUCK_REASONS = ("NO_OUTPUT", "WAITING_INPUT", "RETRY_STORM", "AGENT_OFFLINE")
LOG_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
LOG_STREAMS = ("STDOUT", "STDERR", "THINKING", "TOOL_CALL", "TOOL_RESULT", "SYSTEM")

tasks = Table(
    "tasks",
    metadata,
    identity(),
    revision(),
    word("status", TASK_STATUSES),
    Column("source_status", Text),
    word("source", TASK_SOURCES),
    Column("origin", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    word("content_access", CONTENT_ACCESS, default="FULL"),
    Column("title", Text),
    Column("error_type", Text),
    reference("owner_id", "users"),
    reference("host_id", "hosts"),
    reference("project_id", "projects"),
    reference("agent_id", "agents"),
    reference("conversation_id", "conversations"),
    reference("run_id", "runs"),
    reference("story_id", "stories"),
    reference("parent_task_id", "tasks"),
    reference("retry_of_id", "tasks"),
    Column("session_id", Text),
    Column("flow_id", Text),
    Column("git_branch", Text),
    Column("model", Text),
    instant("created_at"),
    instant("started_at", nullable=True),
    instant("ended_at", nullable=True),
    instant("updated_at"),
    instant("stuck_since", nullable=True),
    word("stuck_reason", STUCK_REASONS, nullable=True),
    *token_counts(),
    count("call_count"),
    money("cost_usd"),
    count("unpriced_call_count"),
    # The wide columns: read only when asked for (see TaskContentRow).
    Column("input", Text),
    Column("result", Text),
    Column("error_message", Text),
    UniqueConstraint("origin", "external_id"),
    Index(None, "created_at", "id"),
    Index(None, "cost_usd", "id"),
    Index(None, "updated_at", "id"),
    Index(None, "status", "created_at", "id"),
    Index(None, "agent_id", "created_at", "id"),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "conversation_id", "created_at", "id"),
    Index(None, "parent_task_id", "created_at", "id"),
    Index(None, "run_id", "created_at", "id"),
    Index(None, "host_id", "created_at", "id"),
    Index(None, "owner_id", "created_at", "id"),
    Index(None, "flow_id", "created_at", "id"),
    Index(None, "git_branch", "created_at", "id"),
    Index(None, "model", "created_at", "id"),
    Index(None, "source", "created_at", "id"),
    Index(None, "session_id"),
    Index(None, "story_id"),
    Index(None, "retry_of_id"),
    Index("ix_tasks_stuck", "created_at", "id", postgresql_where=text("stuck_since IS NOT NULL")),
)

# What `TaskFilter.search` looks into: the title and the beginning of the input, by an index of trigrams. In a table of
# its own, because every update of a task would enter all of them anew: marking 20,000 tasks of 150 words took 52 s.
# It is content: it goes where the task goes, and has to be removed where the task's text is.
task_texts = Table(
    "task_texts",
    metadata,
    Column("task_id", Uuid(), ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("text", Text, nullable=False),
    Index(None, "text", postgresql_using="gin", postgresql_ops={"text": "gin_trgm_ops"}),
)
# What the index is made with, also where tables are made from the models.
event.listen(metadata, "before_create", DDL("CREATE EXTENSION IF NOT EXISTS pg_trgm"))  # type: ignore[no-untyped-call]

# Unique by (task, seq), the order of its log; no key to tasks, so that appending takes no lock there and the table
# can be partitioned by range of task later. A task's rows go with it through domain's delete.
log_lines = Table(
    "log_lines",
    metadata,
    Column("task_id", tasks.c.id.type, nullable=False),
    Column("seq", BigInteger, nullable=False),
    instant("at"),
    word("level", LOG_LEVELS),
    word("stream", LOG_STREAMS),
    Column("text", Text),
    Column("truncated", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("task_id", "seq"),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    identity(),
    reference("task_id", "tasks", nullable=False, on_delete="CASCADE"),
    Column("external_id", Text, nullable=False, comment="the source's id of the call; unique within the task"),
    Column("name", Text, nullable=False),
    instant("started_at"),
    Column("duration_ms", BigInteger),
    Column("succeeded", Boolean),
    Column("input", Text),
    Column("output", Text),
    UniqueConstraint("task_id", "external_id"),
    Index(None, "task_id", "started_at", "id"),
)


class TaskRow(Row):
    """A row of `tasks` without its wide columns."""

    always = frozenset(("id", "created_at", "updated_at", "cost_usd"))  # the columns of all orders
    joins = MappingProxyType(
        {
            "agent": Join("agent_id", agents, AgentRow),
            "conversation": Join("conversation_id", conversations, ConversationRow),
        }
    )

    id: UUID
    revision: int
    status: str
    source_status: str | None
    source: str
    origin: str
    external_id: str
    content_access: str
    title: str | None
    error_type: str | None
    owner_id: UUID | None
    host_id: UUID | None
    project_id: UUID | None
    agent_id: UUID | None
    conversation_id: UUID | None
    run_id: UUID | None
    story_id: UUID | None
    parent_task_id: UUID | None
    retry_of_id: UUID | None
    session_id: str | None
    flow_id: str | None
    git_branch: str | None
    model: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    stuck_since: datetime | None
    stuck_reason: str | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    call_count: int
    cost_usd: float
    unpriced_call_count: int

    def __hash__(self) -> int:
        """By the id: rows are keys of batches, and a hash over all columns is ten times as much work."""
        return hash(self.id)


class TaskContentRow(Row):
    """The wide columns of `tasks`, and whether they are shown."""

    id: UUID
    content_access: str
    input: str | None
    result: str | None
    error_message: str | None


class LogLineRow(Row):
    """A row of `log_lines`."""

    always = frozenset(("seq",))

    task_id: UUID
    seq: int
    at: datetime
    level: str
    stream: str
    text: str | None
    truncated: bool


class ToolCallRow(Row):
    """A row of `tool_calls`, without the wide input and output."""

    id: UUID
    task_id: UUID
    name: str
    started_at: datetime
    duration_ms: int | None
    succeeded: bool | None


class ToolCallContentRow(Row):
    """The wide columns of `tool_calls`."""

    id: UUID
    input: str | None
    output: str | None
