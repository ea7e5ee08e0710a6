"""Batches of people and places."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.handles import Handle
from db.models.access import HostRow, ProjectRow, UserRow
from db.queries import access as queries
from loaders.batch import align

UNIQUE = dict.fromkeys


async def user_by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[UserRow | None]:
    """A user per id."""
    return align(keys, await queries.users_by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def host_by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[HostRow | None]:
    """A host per id."""
    return align(keys, await queries.hosts_by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def project_by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[ProjectRow | None]:
    """A project per id."""
    return align(keys, await queries.projects_by_id(database, list(UNIQUE(keys))), lambda row: row.id)
