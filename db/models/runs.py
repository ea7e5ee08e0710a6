"""Runs of a loop over stories. Their iterations are tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB

from db.models.base import Row, identity, instant, metadata, money, reference, revision, word

RUN_STATUSES = ("RUNNING", "STALLED", "COMPLETED", "FAILED")
STORY_STATUSES = ("PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "BLOCKED")
COMPLEXITIES = ("SIMPLE", "MEDIUM", "COMPLEX", "UNKNOWN")

runs = Table(
    "runs",
    metadata,
    identity(),
    revision(),
    Column("origin", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    word("status", RUN_STATUSES),
    Column("source_status", Text),
    reference("owner_id", "users"),
    reference("project_id", "projects"),
    reference("host_id", "hosts"),
    Column("current_story_key", Text),
    Column("elapsed_ms", BigInteger),
    money("reported_cost_usd", nullable=True),
    instant("started_at", nullable=True),
    instant("ended_at", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    Column("title", Text),
    Column("git_branch", Text),
    Column("metrics", JSONB, comment="what the source counted beside cost and tokens: cache, parallel"),
    UniqueConstraint("origin", "external_id"),
    Index(None, "created_at", "id"),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "status", "created_at", "id"),
)

stories = Table(
    "stories",
    metadata,
    identity(),
    reference("run_id", "runs", nullable=False, on_delete="CASCADE"),
    Column("key", Text, nullable=False),
    Column("title", Text),
    Column("description", Text),
    Column("notes", Text),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    word("status", STORY_STATUSES, default="PENDING"),
    Column("source_status", Text),
    word("complexity", COMPLEXITIES, default="UNKNOWN"),
    instant("created_at"),
    instant("updated_at"),
    UniqueConstraint("run_id", "key"),
    Index(None, "run_id", "priority", "id"),
)

story_dependencies = Table(
    "story_dependencies",
    metadata,
    reference("story_id", "stories", nullable=False, on_delete="CASCADE"),
    reference("depends_on_id", "stories", nullable=False, on_delete="CASCADE"),
    PrimaryKeyConstraint("story_id", "depends_on_id"),
    Index(None, "depends_on_id"),
)


class RunRow(Row):
    """A row of `runs`."""

    id: UUID
    revision: int
    origin: str
    external_id: str
    status: str
    source_status: str | None
    title: str | None
    git_branch: str | None
    owner_id: UUID | None
    project_id: UUID | None
    host_id: UUID | None
    current_story_key: str | None
    elapsed_ms: int | None
    reported_cost_usd: float | None
    metrics: dict[str, Any] | None
    started_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime

    def __hash__(self) -> int:
        """By its id: a record's own hash cannot take `metrics` in, and loaders are asked by row."""
        return hash(self.id)


class StoryRow(Row):
    """A row of `stories`."""

    id: UUID
    run_id: UUID
    key: str
    title: str | None
    description: str | None
    notes: str | None
    priority: int
    status: str
    source_status: str | None
    complexity: str
