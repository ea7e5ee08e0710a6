"""Commands to agents: stored, settled by what happens to their task, ended by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from db.handles import Handle
from db.models.agents import CommandRow, agent_commands
from db.models.base import Row
from db.queries.writes.given import columns, insert_new
from db.statements import raw_statement

INSERTED = ("id", "kind", "status", "agent_id", "task_id", "requested_by_id", "reason", "requested_at")
INSERT = insert_new(agent_commands, INSERTED)
COLUMNS = ", ".join(f"c.{name}" for name in CommandRow.columns)

# All writers of commands lock them in the order of their ids.
LOCK = raw_statement(
    f"SELECT {COLUMNS} FROM agent_commands c"  # noqa: S608
    " WHERE c.task_id = ANY($1::uuid[]) AND c.status IN ('REQUESTED', 'ACKNOWLEDGED') ORDER BY c.id FOR UPDATE",
    CommandRow,
)
LOCK_LATE = raw_statement(
    f"SELECT {COLUMNS} FROM agent_commands c"  # noqa: S608
    " WHERE (c.status = 'REQUESTED' AND c.requested_at <= $1::timestamptz)"
    " OR (c.status = 'ACKNOWLEDGED' AND c.acknowledged_at <= $2::timestamptz)"
    " ORDER BY c.id LIMIT $3::int FOR UPDATE SKIP LOCKED",
    CommandRow,
)
LOCK_ONE = raw_statement(
    f"SELECT {COLUMNS} FROM agent_commands c WHERE c.id = $1::uuid FOR UPDATE",  # noqa: S608
    CommandRow,
)
UPDATED = ("id", "status", "acknowledged_at", "ended_at")
UPDATE = raw_statement(
    """
UPDATE agent_commands c
SET status = given.status, acknowledged_at = given.acknowledged_at, ended_at = given.ended_at
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[])
     AS given(id, status, acknowledged_at, ended_at)
WHERE c.id = given.id
""",
    Row,
)


async def insert(transaction: Handle, row: dict[str, Any]) -> None:
    """Store a command."""
    await transaction.fetch(INSERT, *columns([[row[name] for name in INSERTED]], len(INSERTED)))


async def lock_open(transaction: Handle, task_ids: Sequence[UUID]) -> list[CommandRow]:
    """The commands about these tasks that have not ended, locked."""
    return await transaction.fetch(LOCK, list(task_ids))


async def lock_late(
    transaction: Handle, requested_before: datetime, acknowledged_before: datetime, limit: int
) -> list[CommandRow]:
    """Open commands that wait since then, locked; those that somebody else is writing are left out."""
    return await transaction.fetch(LOCK_LATE, requested_before, acknowledged_before, limit)


async def lock_one(transaction: Handle, command_id: UUID) -> CommandRow | None:
    """A command, locked; None when there is none."""
    return await transaction.fetch_row(LOCK_ONE, command_id)


async def update(transaction: Handle, rows: Sequence[dict[str, Any]]) -> None:
    """Write locked commands."""
    values = [[row[name] for name in UPDATED] for row in rows]
    await transaction.fetch(UPDATE, *columns(values, len(UPDATED)))
