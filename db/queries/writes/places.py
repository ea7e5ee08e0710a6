"""Hosts and projects: found by name, made when missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from db.handles import Handle
from db.models.access import ProjectRow, hosts, projects
from db.models.base import Row
from db.queries.writes.given import columns, insert_new
from db.statements import raw_statement


class NamedRow(Row):
    """An id and what it is called."""

    id: UUID
    name: str


HOSTS_BY_NAME = raw_statement("SELECT id, name FROM hosts WHERE name = ANY($1::text[])", NamedRow)
INSERT_HOSTS = insert_new(hosts, ("id", "name", "created_at"), skip_known=True)
PROJECTS_BY_KEY = raw_statement(
    "SELECT id, key, name, repository, created_at FROM projects WHERE key = ANY($1::text[])", ProjectRow
)
INSERT_PROJECTS = insert_new(projects, ("id", "key", "name", "repository", "created_at"), skip_known=True)
UPDATE_PROJECTS = raw_statement(
    """
WITH locked AS (SELECT id FROM projects WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE)
UPDATE projects p SET name = given.name, repository = coalesce(given.repository, p.repository)
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS given(id, name, repository) JOIN locked USING (id)
WHERE p.id = given.id
""",
    Row,
)


async def host_ids(transaction: Handle, names: Sequence[str]) -> dict[str, UUID]:
    """The ids of the hosts that are stored, by name."""
    return {row.name: row.id for row in await transaction.fetch(HOSTS_BY_NAME, list(names))}


async def insert_hosts(transaction: Handle, rows: Sequence[tuple[UUID, str, datetime]]) -> None:
    """Store hosts (id, name, created_at), sorted by name, where the name is free."""
    await transaction.fetch(INSERT_HOSTS, *columns(rows, 3))


async def projects_by_key(transaction: Handle, keys: Sequence[str]) -> dict[str, ProjectRow]:
    """The projects that are stored, by key."""
    return {row.key: row for row in await transaction.fetch(PROJECTS_BY_KEY, list(keys))}


async def insert_projects(transaction: Handle, rows: Sequence[tuple[UUID, str, str, str | None, datetime]]) -> None:
    """Store projects (id, key, name, repository, created_at), sorted by key, where the key is free."""
    await transaction.fetch(INSERT_PROJECTS, *columns(rows, 5))


async def update_projects(transaction: Handle, rows: Sequence[tuple[UUID, str, str | None]]) -> None:
    """Give projects another name, and a repository where one is given."""
    await transaction.fetch(UPDATE_PROJECTS, *columns(rows, 3))
