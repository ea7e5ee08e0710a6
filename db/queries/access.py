"""Reads of people and places."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from db.handles import Handle
from db.lookups import lookup
from db.models.access import HostRow, ProjectRow, UserRow, hosts, projects, users
from db.statements import row_columns

USERS_BY_ID = lookup(select(*row_columns(users, UserRow)), users.c.id, UserRow)
HOSTS_BY_ID = lookup(select(*row_columns(hosts, HostRow)), hosts.c.id, HostRow)
PROJECTS_BY_ID = lookup(select(*row_columns(projects, ProjectRow)), projects.c.id, ProjectRow)


async def users_by_id(handle: Handle, ids: Sequence[UUID]) -> list[UserRow]:
    """The users that exist, in no order."""
    return await USERS_BY_ID.fetch(handle, ids)


async def hosts_by_id(handle: Handle, ids: Sequence[UUID]) -> list[HostRow]:
    """The hosts that exist, in no order."""
    return await HOSTS_BY_ID.fetch(handle, ids)


async def projects_by_id(handle: Handle, ids: Sequence[UUID]) -> list[ProjectRow]:
    """The projects that exist, in no order."""
    return await PROJECTS_BY_ID.fetch(handle, ids)
