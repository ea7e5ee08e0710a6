"""How far importers have read, which rows they have taken in, and what a sub-agent's task belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.handles import Handle
from db.models.base import Row
from db.models.ingest import ImportOffsetRow
from db.statements import Statement, raw_statement

OFFSETS = raw_statement(
    "SELECT id, importer, host, path, byte_offset, line_count, head_sha256, state, updated_at"
    " FROM import_offsets WHERE importer = $1 AND host = $2 AND path = ANY($3::text[])",
    ImportOffsetRow,
)


class PathRow(Row):
    """A file's path."""

    path: str


OPEN_PATHS = raw_statement(
    "SELECT path FROM import_offsets WHERE importer = $1 AND host = $2 AND (state ->> 'open')::boolean", PathRow
)
# Sorted, for the same reason as CLAIM_ROWS.
SAVE_OFFSETS: Statement[Row] = raw_statement(
    """
INSERT INTO import_offsets AS o (importer, host, updated_at, id, path, byte_offset, line_count, head_sha256, state)
SELECT $1::text, $2::text, $3::timestamptz, f.*
FROM unnest($4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::jsonb[])
     AS f(id, path, byte_offset, line_count, head_sha256, state)
ORDER BY path
ON CONFLICT (importer, host, path) DO UPDATE SET byte_offset = excluded.byte_offset,
    line_count = excluded.line_count, head_sha256 = excluded.head_sha256, state = excluded.state,
    updated_at = excluded.updated_at
"""
)


class KeyRow(Row):
    """A key that was not there before."""

    key: UUID


# Sorted, so that two importers of the same rows wait for each other and cannot deadlock.
CLAIM_ROWS = raw_statement(
    """
INSERT INTO imported_rows (host, key) SELECT DISTINCT $1::text, key FROM unnest($2::uuid[]) AS k(key) ORDER BY key
ON CONFLICT DO NOTHING RETURNING key
""",
    KeyRow,
)


class LaunchRow(Row):
    """A sub-agent's task, if it is there, and the task that most likely launched it."""

    task_id: UUID | None
    parent_id: UUID | None


# The session's task that was at work at that time; of a sub-agent that ran before the first prompt, the first.
LAUNCHES = raw_statement(
    """
SELECT child.id AS task_id, COALESCE(child.parent_task_id, before.id, first.id) AS parent_id
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) WITH ORDINALITY
     AS asked(origin, task, session_id, at, n)
LEFT JOIN LATERAL (
    SELECT id, parent_task_id FROM tasks WHERE origin = asked.origin AND external_id = asked.task LIMIT 1
) child ON true
LEFT JOIN LATERAL (
    SELECT id FROM tasks
    WHERE session_id = asked.session_id AND origin = asked.origin
        AND NOT starts_with(external_id, asked.session_id || '/') AND created_at <= asked.at
    ORDER BY created_at DESC, id DESC LIMIT 1
) before ON true
LEFT JOIN LATERAL (
    SELECT id FROM tasks
    WHERE session_id = asked.session_id AND origin = asked.origin
        AND NOT starts_with(external_id, asked.session_id || '/')
    ORDER BY created_at, id LIMIT 1
) first ON true
ORDER BY asked.n
""",
    LaunchRow,
)


class HostTotalsRow(Row):
    """What the store holds of one host."""

    task_count: int
    conversation_count: int
    call_count: int
    cost_usd: float
    unpriced_models: list[str]


HOST_TOTALS = raw_statement(
    """
SELECT (SELECT count(*) FROM tasks t WHERE t.host_id = h.id) AS task_count,
       (SELECT count(*) FROM conversations c WHERE c.host_id = h.id) AS conversation_count,
       u.call_count, u.cost_usd, u.unpriced_models
FROM hosts h CROSS JOIN LATERAL (
    SELECT count(*) AS call_count, COALESCE(sum(cost_usd), 0)::float8 AS cost_usd,
           COALESCE(array_agg(DISTINCT model) FILTER (WHERE cost_usd IS NULL), '{}') AS unpriced_models
    FROM usage_records WHERE host_id = h.id
) u
WHERE h.name = $1
""",
    HostTotalsRow,
)


class LoopTotalsRow(Row):
    """What the store holds of one host's runs. `reported_cost_usd`: None when no run reports one."""

    run_count: int
    story_count: int
    completed_story_count: int
    task_count: int
    cost_usd: float
    reported_cost_usd: float | None


LOOP_TOTALS = raw_statement(
    """
SELECT r.run_count, s.story_count, s.completed_story_count, t.task_count, t.cost_usd, r.reported_cost_usd
FROM hosts h CROSS JOIN LATERAL (
    SELECT count(*) AS run_count, sum(reported_cost_usd)::float8 AS reported_cost_usd FROM runs WHERE host_id = h.id
) r CROSS JOIN LATERAL (
    SELECT count(*) AS story_count, count(*) FILTER (WHERE s.status = 'COMPLETED') AS completed_story_count
    FROM stories s JOIN runs ON runs.id = s.run_id WHERE runs.host_id = h.id
) s CROSS JOIN LATERAL (
    SELECT count(*) AS task_count, coalesce(sum(cost_usd), 0)::float8 AS cost_usd
    FROM tasks WHERE host_id = h.id AND run_id IS NOT NULL
) t
WHERE h.name = $1
""",
    LoopTotalsRow,
)


async def loop_totals(handle: Handle, host: str) -> LoopTotalsRow | None:
    """Runs, stories, iterations and cost of a host; None when nothing of it is in the store."""
    return await handle.fetch_row(LOOP_TOTALS, host)


async def host_totals(handle: Handle, host: str) -> HostTotalsRow | None:
    """Tasks, conversations, calls and cost of a host; None when nothing of it is in the store."""
    return await handle.fetch_row(HOST_TOTALS, host)


async def offsets(handle: Handle, importer: str, host: str, paths: Sequence[str]) -> dict[str, ImportOffsetRow]:
    """How far files were read, by path; files that were never read are missing."""
    return {row.path: row for row in await handle.fetch(OFFSETS, importer, host, list(paths))}


async def open_paths(handle: Handle, importer: str, host: str) -> list[str]:
    """Files of which time alone can change a task."""
    return [row.path for row in await handle.fetch(OPEN_PATHS, importer, host)]


@dataclass(frozen=True, slots=True)
class FileOffset:
    """How far a file was read, and what its reader goes on with."""

    id: UUID
    path: str
    byte_offset: int
    line_count: int
    head_sha256: str
    state: dict[str, Any]


async def save_offsets(handle: Handle, importer: str, host: str, files: Sequence[FileOffset], at: datetime) -> None:
    """Note how far files were read, each once, in the transaction that writes what was read."""
    await handle.fetch(
        SAVE_OFFSETS,
        importer,
        host,
        at,
        [file.id for file in files],
        [file.path for file in files],
        [file.byte_offset for file in files],
        [file.line_count for file in files],
        [file.head_sha256 for file in files],
        [file.state for file in files],
    )


async def claim_rows(handle: Handle, host: str, keys: Sequence[UUID]) -> set[UUID]:
    """Note rows as taken in; returns those that were not taken in before."""
    return {row.key for row in await handle.fetch(CLAIM_ROWS, host, list(keys))} if keys else set()


FORGET_HOST = raw_statement(
    "WITH rows AS (DELETE FROM imported_rows WHERE host = $1) DELETE FROM import_offsets WHERE host = $1", Row
)


async def forget_host(handle: Handle, host: str) -> None:
    """Forget what was read from a host, in the transaction that deletes what it wrote: it can be imported again."""
    await handle.fetch(FORGET_HOST, host)


async def find_launches(handle: Handle, asked: Sequence[tuple[str, str, str, datetime]]) -> list[LaunchRow]:
    """Sub-agents' tasks by (origin, external id, session, time), in that order.

    With each its parent: the one it has, or the session's task at that time.
    """
    return await handle.fetch(LAUNCHES, *(list(column) for column in zip(*asked, strict=True)))


class AnswerRow(Row):
    """Yes or no."""

    answer: bool


HOLDS_ONLY = raw_statement(
    """
SELECT NOT EXISTS (SELECT FROM tasks t LEFT JOIN hosts h ON h.id = t.host_id WHERE h.name IS DISTINCT FROM $1::text)
   AND NOT EXISTS (
       SELECT FROM conversations c LEFT JOIN hosts h ON h.id = c.host_id WHERE h.name IS DISTINCT FROM $1::text
   )
   AND NOT EXISTS (SELECT FROM runs r LEFT JOIN hosts h ON h.id = r.host_id WHERE h.name IS DISTINCT FROM $1::text)
   AS answer
""",
    AnswerRow,
)


async def holds_only(handle: Handle, host: str) -> bool:
    """Whether the store has no task, conversation or run but those of this host."""
    row = await handle.fetch_row(HOLDS_ONLY, host)
    return row is not None and row.answer
