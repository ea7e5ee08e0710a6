"""People and places: users, hosts, projects."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Table, Text, UniqueConstraint

from db.models.base import Row, identity, instant, metadata

users = Table(
    "users",
    metadata,
    identity(),
    Column("subject", Text, nullable=False, comment="`sub` of a JWT, or the owner of an API key"),
    Column("name", Text, nullable=False),
    Column("email", Text),
    instant("created_at"),
    UniqueConstraint("subject"),
)

hosts = Table(
    "hosts",
    metadata,
    identity(),
    Column("name", Text, nullable=False),
    instant("last_push_at", nullable=True),
    instant("created_at"),
    UniqueConstraint("name"),
)

projects = Table(
    "projects",
    metadata,
    identity(),
    Column("key", Text, nullable=False, comment="host and folder, or the repository's address: unique"),
    Column("name", Text, nullable=False),
    Column("repository", Text),
    instant("created_at"),
    UniqueConstraint("key"),
)


class UserRow(Row):
    """A row of `users`."""

    id: UUID
    subject: str
    name: str
    email: str | None
    created_at: datetime


class HostRow(Row):
    """A row of `hosts`."""

    id: UUID
    name: str
    last_push_at: datetime | None
    created_at: datetime


class ProjectRow(Row):
    """A row of `projects`."""

    id: UUID
    key: str
    name: str
    repository: str | None
    created_at: datetime
