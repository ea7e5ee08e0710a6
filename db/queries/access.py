"""Reads of people and places."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import any_, select

from db.handles import Handle
from db.models.access import HostRow, ProjectRow, UserRow, hosts, projects, users
from db.statements import compile_statement, row_columns, uuids

USERS_BY_ID = compile_statement(
    select(*row_columns(users, UserRow)).where(users.c.id == any_(uuids("ids"))), UserRow, "ids"
)
HOSTS_BY_ID = compile_statement(
    select(*row_columns(hosts, HostRow)).where(hosts.c.id == any_(uuids("ids"))), HostRow, "ids"
)
PROJECTS_BY_ID = compile_statement(
    select(*row_columns(projects, ProjectRow)).where(projects.c.id == any_(uuids("ids"))), ProjectRow, "ids"
)


async def users_by_id(handle: Handle, ids: Sequence[UUID]) -> list[UserRow]:
    """The users that exist, in no order."""
    return await handle.fetch(USERS_BY_ID, list(ids))


async def hosts_by_id(handle: Handle, ids: Sequence[UUID]) -> list[HostRow]:
    """The hosts that exist, in no order."""
    return await handle.fetch(HOSTS_BY_ID, list(ids))


async def projects_by_id(handle: Handle, ids: Sequence[UUID]) -> list[ProjectRow]:
    """The projects that exist, in no order."""
    return await handle.fetch(PROJECTS_BY_ID, list(ids))
