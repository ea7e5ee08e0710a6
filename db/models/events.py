"""The event log: heads of topics, their events, the database's epoch; and the lease rows of background jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, PrimaryKeyConstraint, SmallInteger, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from db.models.base import Row, instant, metadata

# The head of a topic. Writers take its row lock in the last statement of their transaction, so that seq order is
# commit order, without holes. `log:{task}` is a topic whose events are the task's log lines themselves.
topics = Table(
    "topics",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("min_seq", BigInteger, nullable=False, server_default=text("0"), comment="all up to here is pruned"),
)

events = Table(
    "events",
    metadata,
    Column("topic", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    instant("at"),
    PrimaryKeyConstraint("topic", "seq"),
)

# One row: the identity of this history of events. A restored database gets a new one (db.database notices).
epoch = Table(
    "epoch",
    metadata,
    Column("singleton", SmallInteger, CheckConstraint("singleton = 1", name="singleton"), primary_key=True),
    Column("id", Uuid(), nullable=False),
    Column("fingerprint", Text, nullable=False, comment="cluster, timeline and database that the epoch was made in"),
    instant("created_at"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    instant("expires_at"),
)


class EventRow(Row):
    """A row of `events`."""

    topic: str
    seq: int
    kind: str
    facts: dict[str, Any]
    at: datetime


class TopicRow(Row):
    """The head of a topic; `is_closed`: it is the log of a task that has ended or is gone."""

    name: str
    seq: int
    min_seq: int
    is_closed: bool


class EpochRow(Row):
    """The row of `epoch`."""

    id: UUID
    fingerprint: str
