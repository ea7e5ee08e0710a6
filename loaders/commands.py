"""Batches of commands to agents."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.handles import Handle
from db.models.agents import CommandRow
from db.queries import commands as queries
from loaders.batch import align

UNIQUE = dict.fromkeys


async def by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[CommandRow | None]:
    """A command per id."""
    return align(keys, await queries.by_id(database, list(UNIQUE(keys))), lambda row: row.id)
