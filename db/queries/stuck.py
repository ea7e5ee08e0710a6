"""What the sweeper looks at: signs of life of tasks that have not ended, and of those that are marked as stuck."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from db.handles import Handle
from db.models.base import Row
from db.statements import raw_statement


class SignsRow(Row):
    """One task. `storm_since`: when the first of its newest lines was written, if all are the program's complaints."""

    id: UUID
    status: str
    stuck_reason: str | None
    updated_at: datetime
    last_sign_at: datetime
    storm_since: datetime | None
    agent_status: str | None
    agent_is_controllable: bool | None
    agent_seen_at: datetime | None


# $1: how many lines in a row make a storm.
SIGNS = """
SELECT t.id, t.status, t.stuck_reason, t.updated_at, greatest(t.updated_at, line.at, call.at), storm.since,
       a.status, a.is_controllable, a.last_seen_at
FROM wanted JOIN tasks t USING (id) LEFT JOIN agents a ON a.id = t.agent_id
LEFT JOIN LATERAL (
    SELECT l.at FROM log_lines l WHERE l.task_id = t.id ORDER BY l.seq DESC LIMIT 1
) line ON true
LEFT JOIN LATERAL (
    SELECT c.started_at + coalesce(c.duration_ms, 0) * interval '1 millisecond' AS at FROM tool_calls c
    WHERE c.task_id = t.id ORDER BY c.started_at DESC, c.id DESC LIMIT 1
) call ON true
LEFT JOIN LATERAL (
    SELECT min(newest.at) AS since
    FROM (SELECT l.at, l.stream, l.level FROM log_lines l WHERE l.task_id = t.id ORDER BY l.seq DESC LIMIT $1) newest
    HAVING count(*) = $1 AND bool_and(newest.stream = 'SYSTEM' AND newest.level IN ('WARN', 'ERROR'))
) storm ON true
ORDER BY t.id
"""
PAGE = raw_statement(
    "WITH wanted AS ("  # noqa: S608
    " SELECT id FROM tasks WHERE status IN ('QUEUED', 'RUNNING', 'WAITING_INPUT') AND id > $2::uuid"
    " UNION SELECT id FROM tasks WHERE stuck_since IS NOT NULL AND id > $2::uuid"
    " ORDER BY id LIMIT $3::int)" + SIGNS,
    SignsRow,
)
BY_ID = raw_statement("WITH wanted AS (SELECT unnest($2::uuid[]) AS id)" + SIGNS, SignsRow)


async def page(handle: Handle, storm: int, after: UUID, limit: int) -> list[SignsRow]:
    """The next tasks in order of id."""
    return await handle.fetch(PAGE, storm, after, limit)


async def by_id(handle: Handle, storm: int, ids: Sequence[UUID]) -> list[SignsRow]:
    """These tasks, in order of id."""
    return await handle.fetch(BY_ID, storm, list(ids))
