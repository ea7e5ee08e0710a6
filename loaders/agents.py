"""Batches of agents."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.handles import Handle
from db.models.agents import AgentRow
from db.queries import agents as queries
from db.queries.agents import AgentSelection
from loaders.batch import align

UNIQUE = dict.fromkeys


async def by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[AgentRow | None]:
    """An agent per id."""
    return align(keys, await queries.by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def counts(database: Handle, keys: Sequence[AgentSelection], args: int) -> list[int]:
    """A number of agents per selection, no further than `args`; an operation has one selection per root field."""
    answers = {key: await queries.count(database, key, args) for key in UNIQUE(keys)}
    return [answers[key] for key in keys]
