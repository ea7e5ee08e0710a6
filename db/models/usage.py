"""Model calls: what each used and cost, which ids name it, and the other rows that told of the same call."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, Column, Index, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB

from db.models.base import Row, identity, instant, metadata, money, reference, token_counts, word

COST_SOURCES = ("REPORTED", "COMPUTED", "UNPRICED")

usage_records = Table(
    "usage_records",
    metadata,
    identity(),
    instant("at"),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    reference("task_id", "tasks"),
    reference("owner_id", "users"),
    reference("host_id", "hosts"),
    reference("project_id", "projects"),
    *token_counts(),
    money("cost_usd", nullable=True),
    money("reported_cost_usd", nullable=True),
    money("computed_cost_usd", nullable=True),
    word("cost_source", COST_SOURCES),
    Column("price_version", Text),
    Column("source", Text, nullable=False, comment="kind of origin that told of the call: CLAUDE_CODE, API, …"),
    Column("session_id", Text),
    Column("message_id", Text),
    Column("request_id", Text),
    Column("is_sidechain", Boolean, nullable=False, server_default=text("false")),
    Column("raw", JSONB, comment="speed, query_source and what else the source said of the call"),
    UniqueConstraint("message_id"),
    UniqueConstraint("request_id"),
    Index(None, "at", "id"),
    Index(None, "task_id", "at", "id"),
    Index(None, "project_id", "at"),
)

# Every name by which one call is known: `message:…`, `request:…`, `dedup:…`. One call may have several of each kind
# (a retried message keeps its id under a new request id), so uniqueness over the whole store lives here.
usage_identities = Table(
    "usage_identities",
    metadata,
    Column("key", Text, primary_key=True),
    reference("usage_record_id", "usage_records", nullable=False, on_delete="CASCADE"),
    Index(None, "usage_record_id"),
)

# The rows that told of a call and were not counted, and the one that was: what can be re-judged later.
usage_evidence = Table(
    "usage_evidence",
    metadata,
    identity(),
    reference("usage_record_id", "usage_records", nullable=False, on_delete="CASCADE"),
    Column("fingerprint", Text, nullable=False, comment="sha256 of what identifies the source's row; unique"),
    Column("source", Text, nullable=False),
    Column("location", Text, comment="file:line, or the mutation that told it"),
    instant("at"),
    Column("model", Text, nullable=False),
    Column("message_id", Text),
    Column("request_id", Text),
    Column("session_id", Text),
    Column("is_sidechain", Boolean, nullable=False, server_default=text("false")),
    *token_counts(),
    money("reported_cost_usd", nullable=True),
    reference("task_id", "tasks"),
    Column("raw", JSONB),
    UniqueConstraint("fingerprint"),
    # Rows without any id are compared with all rows of their session, not only with those that count.
    Index(None, "session_id", "model", "at"),
    Index(None, "usage_record_id"),
    Index(None, "task_id"),
)


class UsageRecordRow(Row):
    """A row of `usage_records`, money as float8."""

    id: UUID
    at: datetime
    model: str
    provider: str
    task_id: UUID | None
    owner_id: UUID | None
    host_id: UUID | None
    project_id: UUID | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    reported_cost_usd: float | None
    computed_cost_usd: float | None
    cost_source: str
    price_version: str | None


class UsageTotalsRow(Row):
    """Sums of usage: of a task, a conversation, a range."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    call_count: int
    cost_usd: float
    unpriced_call_count: int
