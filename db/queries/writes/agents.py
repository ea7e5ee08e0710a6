"""Agents: found by host and name, locked, written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from db.handles import Handle
from db.models.agents import AgentRow, agents
from db.models.base import Row
from db.queries.writes.given import columns, insert_new
from db.statements import raw_statement

COLUMNS = ", ".join(f"a.{name}" for name in AgentRow.columns)
INSERTED = AgentRow.columns

BY_NAME = raw_statement(
    f"SELECT {COLUMNS} FROM unnest($1::uuid[], $2::text[]) AS given(host_id, name)"  # noqa: S608
    " JOIN agents a ON a.name = given.name AND a.host_id IS NOT DISTINCT FROM given.host_id",
    AgentRow,
)
LOCK = raw_statement(
    f"SELECT {COLUMNS} FROM agents a WHERE a.id = ANY($1::uuid[]) ORDER BY a.id FOR NO KEY UPDATE",  # noqa: S608
    AgentRow,
)
INSERT = insert_new(agents, INSERTED, skip_known=True)
UPDATED = ("id", "revision", "type", "status", "last_seen_at", "is_controllable", "updated_at")
UPDATE = raw_statement(
    """
UPDATE agents a SET revision = given.revision, type = given.type, status = given.status,
       last_seen_at = given.last_seen_at, is_controllable = given.is_controllable, updated_at = given.updated_at
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::bool[], $7::timestamptz[])
     AS given(id, revision, type, status, last_seen_at, is_controllable, updated_at)
WHERE a.id = given.id
""",
    Row,
)


async def by_name(
    transaction: Handle, names: Sequence[tuple[UUID | None, str]]
) -> dict[tuple[UUID | None, str], AgentRow]:
    """The agents that are stored, by (host id, name)."""
    return {(row.host_id, row.name): row for row in await transaction.fetch(BY_NAME, *columns(names, 2))}


async def lock(transaction: Handle, ids: Sequence[UUID]) -> list[AgentRow]:
    """Lock agents in the order of their ids, until the transaction's end."""
    return await transaction.fetch(LOCK, list(ids))


async def insert(transaction: Handle, rows: Sequence[dict[str, Any]]) -> set[UUID]:
    """Store agents whose name is free, sorted by host and name. Returns the ids of those written."""
    values = [[row[name] for name in INSERTED] for row in rows]
    return {row["id"] for row in await transaction.fetch(INSERT, *columns(values, len(INSERTED)))}


async def update(transaction: Handle, rows: Sequence[dict[str, Any]]) -> None:
    """Write locked agents."""
    values = [[row[name] for name in UPDATED] for row in rows]
    await transaction.fetch(UPDATE, *columns(values, len(UPDATED)))
