"""Reads of commands to agents."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from db.handles import Handle
from db.lookups import lookup
from db.models.agents import CommandRow, agent_commands
from db.statements import row_columns

BY_ID = lookup(select(*row_columns(agent_commands, CommandRow)), agent_commands.c.id, CommandRow)


async def by_id(handle: Handle, ids: Sequence[UUID]) -> list[CommandRow]:
    """The commands that exist, in no order."""
    return await BY_ID.fetch(handle, ids)
