"""Deleting what a host brought: found, locked, deleted. What points here from elsewhere is left to foreign keys."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.handles import Handle
from db.models.base import Row
from db.statements import Statement, raw_statement


class IdRow(Row):
    """An id."""

    id: UUID


class DeletedRow(Row):
    """How many rows a statement deleted."""

    count: int


def _ids(sql: str) -> Statement[IdRow]:
    return raw_statement(sql, IdRow)


def _delete(sql: str) -> Statement[DeletedRow]:
    return raw_statement(f"WITH gone AS ({sql} RETURNING 1) SELECT count(*) FROM gone", DeletedRow)  # noqa: S608


# FOR UPDATE is the gate: whoever has written rows of the host is waited for, whoever comes later waits.
LOCK_HOST = _ids("SELECT id FROM hosts WHERE name = $1 FOR UPDATE")
LOCK_AGENTS = _ids("SELECT id FROM agents WHERE host_id = $1 ORDER BY id FOR UPDATE")
LOCK_RUNS = _ids("SELECT id FROM runs WHERE host_id = $1 ORDER BY id FOR UPDATE")
LOCK_PLAN = _ids(
    "SELECT id FROM runs WHERE origin = $1 AND external_id = $2 AND started_at IS NULL"
    " AND NOT EXISTS (SELECT FROM tasks WHERE run_id = runs.id) FOR UPDATE"
)
LOCK_CONVERSATIONS = _ids("SELECT id FROM conversations WHERE host_id = $1 ORDER BY id FOR UPDATE")
STORIES = _ids("SELECT id FROM stories WHERE run_id = ANY($1::uuid[])")
TASKS = _ids("SELECT id FROM tasks WHERE host_id = $1")
TASKS_THAT_POINT_HERE = _ids(
    """
SELECT id FROM tasks WHERE host_id IS DISTINCT FROM $1
       AND (agent_id = ANY($2::uuid[]) OR conversation_id = ANY($3::uuid[]) OR parent_task_id = ANY($4::uuid[])
            OR retry_of_id = ANY($4::uuid[]) OR run_id = ANY($5::uuid[]))
"""
)
PROJECTS = _ids(
    """
SELECT project_id FROM tasks WHERE host_id = $1 AND project_id IS NOT NULL
UNION SELECT project_id FROM conversations WHERE host_id = $1 AND project_id IS NOT NULL
UNION SELECT project_id FROM runs WHERE host_id = $1 AND project_id IS NOT NULL
UNION SELECT project_id FROM usage_records WHERE host_id = $1 AND project_id IS NOT NULL
"""
)
DELETE_LOG_LINES = _delete("DELETE FROM log_lines WHERE task_id = ANY($1::uuid[])")
DELETE_LOG_TOPICS = _delete("DELETE FROM topics WHERE name = ANY($1::text[])")
DELETE_TOOL_CALLS = _delete("DELETE FROM tool_calls WHERE task_id = ANY($1::uuid[])")
DELETE_USAGE = _delete(
    "DELETE FROM usage_records WHERE task_id = ANY($2::uuid[]) OR (host_id = $1 AND task_id IS NULL)"
)
DELETE_TASKS = _delete("DELETE FROM tasks WHERE id = ANY($1::uuid[])")
DELETE_MESSAGES = _delete("DELETE FROM messages WHERE conversation_id = ANY($1::uuid[])")
DELETE_CONVERSATIONS = _delete("DELETE FROM conversations WHERE id = ANY($1::uuid[])")
DELETE_STORIES = _delete("DELETE FROM stories WHERE id = ANY($1::uuid[])")
DELETE_RUNS = _delete("DELETE FROM runs WHERE id = ANY($1::uuid[])")
DELETE_AGENTS = _delete("DELETE FROM agents WHERE id = ANY($1::uuid[])")
DELETE_PROJECTS = _delete(
    """
DELETE FROM projects p WHERE p.id = ANY($1::uuid[])
       AND NOT EXISTS (SELECT FROM tasks WHERE project_id = p.id)
       AND NOT EXISTS (SELECT FROM conversations WHERE project_id = p.id)
       AND NOT EXISTS (SELECT FROM runs WHERE project_id = p.id)
       AND NOT EXISTS (SELECT FROM usage_records WHERE project_id = p.id)
"""
)
DELETE_HOST = _delete("DELETE FROM hosts WHERE id = $1")
DELETE_OFFSETS = _delete("DELETE FROM import_offsets WHERE host = $1")
DELETE_IMPORTED_ROWS = _delete("DELETE FROM imported_rows WHERE host = $1")


async def ids(transaction: Handle, statement: Statement[IdRow], *values: object) -> list[UUID]:
    """The ids that one of the statements above finds."""
    return [row.id for row in await transaction.fetch(statement, *values)]


async def delete(transaction: Handle, statement: Statement[DeletedRow], *values: object) -> int:
    """Run one of the deletes above. Returns how many rows it deleted itself, cascades not counted."""
    (row,) = await transaction.fetch(statement, *values)
    return row.count


def log_topics(task_ids: Sequence[UUID]) -> list[str]:
    """The topics of tasks' logs."""
    return [f"log:{id_}" for id_ in task_ids]
