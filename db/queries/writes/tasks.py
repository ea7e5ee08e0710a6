"""Tasks and their tool calls: found by the source's name, locked, written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from db.handles import Handle
from db.models.agents import agents
from db.models.base import TOKEN_COUNTS, Row
from db.models.tasks import TaskRow, tasks
from db.queries.writes.conversations import ReferenceRow, split_references
from db.queries.writes.given import columns, given_rows, insert_new
from db.statements import compile_statement, raw_statement, row_columns, uuids

# What a record may say of a task, beside what it is called and where it comes from.
TOLD = (
    "status",
    "source_status",
    "title",
    "error_type",
    "owner_id",
    "host_id",
    "project_id",
    "agent_id",
    "conversation_id",
    "run_id",
    "story_id",
    "parent_task_id",
    "retry_of_id",
    "session_id",
    "flow_id",
    "git_branch",
    "model",
    "created_at",
    "started_at",
    "ended_at",
    "updated_at",
    "input",
    "result",
    "error_message",
)
INSERTED = ("id", "origin", "external_id", "source", *TOLD)
TOTALS = (*TOKEN_COUNTS, "call_count", "cost_usd", "unpriced_call_count")
MARKS = ("stuck_since", "stuck_reason")  # a sweeper's, not a source's
UPDATED = ("id", "revision", *TOLD, *MARKS, *TOTALS)
WIDE = ("input", "result", "error_message")

BY_NAME = raw_statement(
    "SELECT t.id, t.origin, t.external_id FROM unnest($1::text[], $2::text[]) AS given(origin, external_id)"
    " JOIN tasks t USING (origin, external_id)"
    " UNION ALL SELECT id, NULL, NULL FROM tasks WHERE id = ANY($3::uuid[])",
    ReferenceRow,
)
INSERT = insert_new(tasks, INSERTED, skip_known=True)
# FOR NO KEY UPDATE: two writers exclude each other, while rows that merely point here (children, messages, calls)
# can still be written. FOR UPDATE would make those wait, and a writer of a child could deadlock with one of its parent.
LOCK = compile_statement(
    select(*row_columns(tasks, TaskRow), *(tasks.c[name] for name in WIDE), agents.c.type.label("agent_type"))
    .select_from(tasks.outerjoin(agents, agents.c.id == tasks.c.agent_id))
    .where(tasks.c.id == uuids("ids").any_())
    .order_by(tasks.c.id)
    .with_for_update(key_share=True, of=tasks),
    TaskRow,
    "ids",
)
_given = given_rows(tasks, UPDATED)
UPDATE = compile_statement(
    update(tasks)
    .values(
        {
            "revision": _given.c.revision,
            **{name: _given.c[name] for name in (*TOLD, *MARKS)},
            **{name: tasks.c[name] + _given.c[name] for name in TOTALS},
        }
    )
    .where(tasks.c.id == _given.c.id),
    Row,
    *UPDATED,
)

WRITE_TEXTS = raw_statement(
    "INSERT INTO task_texts (task_id, text) SELECT * FROM unnest($1::uuid[], $2::text[])"
    " ON CONFLICT (task_id) DO UPDATE SET text = excluded.text",
    Row,
)


class WrittenRow(Row):
    """How many rows of each kind a statement wrote."""

    inserted: int
    updated: int


TOOL_CALL_COLUMNS = ("id", "task_id", "external_id", "name", "started_at", "ended_at", "succeeded", "input", "output")
# One statement for calls that are new and for calls of which more is known now. The tasks are locked, so nobody else
# writes them. A call whose start is not known yet starts when it ended; the stored end is start plus duration.
WRITE_TOOL_CALLS = raw_statement(
    """
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                         $7::bool[], $8::text[], $9::text[])
                  AS g(id, task_id, external_id, name, started_at, ended_at, succeeded, input, output)
), merged AS (
    SELECT c.id, coalesce(g.name, c.name) AS name, coalesce(g.started_at, c.started_at) AS started_at,
           coalesce(g.ended_at, c.started_at + c.duration_ms * interval '1 millisecond') AS ended_at,
           coalesce(g.succeeded, c.succeeded) AS succeeded, coalesce(g.input, c.input) AS input,
           coalesce(g.output, c.output) AS output
    FROM given g JOIN tool_calls c USING (task_id, external_id)
), timed AS (
    SELECT *, CASE WHEN ended_at IS NOT NULL
                   THEN greatest(round(extract(epoch FROM ended_at - started_at) * 1000), 0)::bigint END AS duration_ms
    FROM merged
), changed AS (
    UPDATE tool_calls c
    SET name = t.name, started_at = t.started_at, duration_ms = t.duration_ms, succeeded = t.succeeded,
        input = t.input, output = t.output
    FROM timed t
    WHERE c.id = t.id AND (c.name, c.started_at, c.duration_ms, c.succeeded, c.input, c.output)
          IS DISTINCT FROM (t.name, t.started_at, t.duration_ms, t.succeeded, t.input, t.output)
    RETURNING c.id
), added AS (
    INSERT INTO tool_calls (id, task_id, external_id, name, started_at, duration_ms, succeeded, input, output)
    SELECT id, task_id, external_id, coalesce(name, 'unknown'), coalesce(started_at, ended_at, $10::timestamptz),
           CASE WHEN ended_at IS NOT NULL THEN
               greatest(round(extract(epoch FROM ended_at - coalesce(started_at, ended_at)) * 1000), 0)::bigint
           END,
           succeeded, input, output
    FROM given g
    WHERE NOT EXISTS (SELECT FROM tool_calls c WHERE c.task_id = g.task_id AND c.external_id = g.external_id)
    RETURNING id
)
SELECT (SELECT count(*) FROM added), (SELECT count(*) FROM changed)
""",
    WrittenRow,
)


async def find(
    transaction: Handle, names: Sequence[tuple[str, str]], ids: Sequence[UUID]
) -> tuple[dict[tuple[str, str], UUID], set[UUID]]:
    """Which of these are stored: ids by (origin, external id), and those of `ids`."""
    rows = await transaction.fetch(BY_NAME, *columns(names, 2), list(ids))
    return split_references(rows)


async def insert(transaction: Handle, rows: Sequence[dict[str, Any]]) -> set[UUID]:
    """Store tasks whose name is free, sorted by name. Returns the ids of those written."""
    values = [[row[name] for name in INSERTED] for row in rows]
    return {row["id"] for row in await transaction.fetch(INSERT, *columns(values, len(INSERTED)))}


async def lock(transaction: Handle, ids: Sequence[UUID]) -> list[TaskRow]:
    """Lock tasks in the order of their ids; beside the row's columns, the wide ones and `agent_type`."""
    return await transaction.fetch(LOCK, list(ids))


async def write(transaction: Handle, rows: Sequence[dict[str, Any]]) -> None:
    """Write locked tasks; what `rows` hold for TOTALS is added to what is stored."""
    values = [[row[name] for name in UPDATED] for row in rows]
    await transaction.fetch(UPDATE, *columns(values, len(UPDATED)))


async def write_texts(transaction: Handle, texts: Sequence[tuple[UUID, str]]) -> None:
    """Store what locked tasks are searched by."""
    await transaction.fetch(WRITE_TEXTS, *columns(texts, 2))


async def write_tool_calls(transaction: Handle, rows: Sequence[Sequence[Any]], now: Any) -> WrittenRow:
    """Store and complete tool calls of locked tasks, each name once: values in the order of TOOL_CALL_COLUMNS."""
    row = await transaction.fetch_row(WRITE_TOOL_CALLS, *columns(rows, len(TOOL_CALL_COLUMNS)), now)
    assert row is not None  # noqa: S101 - the statement always has one row
    return row
