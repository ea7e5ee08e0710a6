"""Reads of commands to agents."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import any_, select

from db.handles import Handle
from db.models.agents import CommandRow, agent_commands
from db.statements import compile_statement, row_columns, uuids

BY_ID = compile_statement(
    select(*row_columns(agent_commands, CommandRow)).where(agent_commands.c.id == any_(uuids("ids"))),
    CommandRow,
    "ids",
)


async def by_id(handle: Handle, ids: Sequence[UUID]) -> list[CommandRow]:
    """The commands that exist, in no order."""
    return await handle.fetch(BY_ID, list(ids))
