"""Agents and the commands that people send to them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, Column, Index, Table, Text, UniqueConstraint, text

from db.models.base import Row, identity, instant, metadata, reference, revision, word

AGENT_TYPES = ("PLANNING", "EXECUTOR", "CODE_IMPLEMENTATION", "QUESTION_ASKING", "CONSULTATION", "CUSTOM")
AGENT_STATUSES = ("ONLINE", "BUSY", "IDLE", "OFFLINE", "STOPPED")
COMMAND_KINDS = ("START_TASK", "CANCEL_TASK", "RETRY_TASK", "RESTART_AGENT", "STOP_AGENT")
COMMAND_STATUSES = ("REQUESTED", "ACKNOWLEDGED", "DONE", "REFUSED", "TIMED_OUT")

agents = Table(
    "agents",
    metadata,
    identity(),
    revision(),
    reference("host_id", "hosts", on_delete="CASCADE"),
    Column("name", Text, nullable=False),
    word("type", AGENT_TYPES, default="CUSTOM"),
    word("status", AGENT_STATUSES, default="OFFLINE"),
    instant("last_seen_at", nullable=True),
    Column("is_controllable", Boolean, nullable=False, server_default=text("false")),
    instant("created_at"),
    instant("updated_at"),
    UniqueConstraint("host_id", "name", postgresql_nulls_not_distinct=True),
    Index(None, "name", "id"),
)

agent_commands = Table(
    "agent_commands",
    metadata,
    identity(),
    word("kind", COMMAND_KINDS),
    word("status", COMMAND_STATUSES, default="REQUESTED"),
    reference("agent_id", "agents", on_delete="CASCADE"),
    reference("task_id", "tasks", on_delete="CASCADE"),
    reference("requested_by_id", "users"),
    Column("reason", Text),
    instant("requested_at"),
    instant("acknowledged_at", nullable=True),
    instant("ended_at", nullable=True),
    Index(None, "task_id", "requested_at"),
    Index(None, "agent_id", "requested_at"),
    Index("ix_agent_commands_open", "requested_at", postgresql_where=text("status IN ('REQUESTED', 'ACKNOWLEDGED')")),
)


class AgentRow(Row):
    """A row of `agents`."""

    always = frozenset(("id", "name", "is_controllable"))  # by the last, tasks are judged

    id: UUID
    revision: int
    host_id: UUID | None
    name: str
    type: str
    status: str
    last_seen_at: datetime | None
    is_controllable: bool
    created_at: datetime
    updated_at: datetime


class CommandRow(Row):
    """A row of `agent_commands`."""

    id: UUID
    kind: str
    status: str
    agent_id: UUID | None
    task_id: UUID | None
    requested_by_id: UUID | None
    reason: str | None
    requested_at: datetime
    acknowledged_at: datetime | None
    ended_at: datetime | None
