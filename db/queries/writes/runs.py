"""Runs and their stories: found by the source's name, locked, written."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import update

from db.handles import Handle
from db.models.base import Row
from db.models.runs import runs, stories
from db.queries.writes.conversations import ReferenceRow, split_references
from db.queries.writes.given import columns, given_rows, insert_new
from db.statements import compile_statement, raw_statement

# What a record may say of a run, beside what it is called.
TOLD = (
    "status",
    "source_status",
    "title",
    "git_branch",
    "owner_id",
    "project_id",
    "host_id",
    "current_story_key",
    "elapsed_ms",
    "reported_cost_usd",
    "metrics",
    "started_at",
    "ended_at",
    "created_at",
    "updated_at",
)
INSERTED = ("id", "origin", "external_id", *TOLD)
UPDATED = ("id", "revision", *TOLD)
STORY_TOLD = (
    "title",
    "description",
    "notes",
    "priority",
    "status",
    "source_status",
    "complexity",
    "created_at",
    "updated_at",
)
STORY_INSERTED = ("id", "run_id", "key", *STORY_TOLD)
STORY_UPDATED = ("id", *STORY_TOLD)


class LockedRunRow(Row):
    """A run as the writer needs it: money exact."""

    id: UUID
    revision: int
    origin: str
    external_id: str
    reported_cost_usd: Decimal | None


class LockedStoryRow(Row):
    """A story with the ids of what it depends on."""

    id: UUID
    run_id: UUID
    key: str
    depends_on: list[UUID]


BY_NAME = raw_statement(
    "SELECT r.id, r.origin, r.external_id FROM unnest($1::text[], $2::text[]) AS given(origin, external_id)"
    " JOIN runs r USING (origin, external_id)"
    " UNION ALL SELECT id, NULL, NULL FROM runs WHERE id = ANY($3::uuid[])",
    ReferenceRow,
)
_REST = ", ".join(name for name in TOLD if name not in LockedRunRow.columns)
LOCK = raw_statement(
    f"SELECT {', '.join(LockedRunRow.columns)}, {_REST} FROM runs"  # noqa: S608
    " WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE",
    LockedRunRow,
)
INSERT = insert_new(runs, INSERTED, skip_known=True)
_given = given_rows(runs, UPDATED)
UPDATE = compile_statement(
    update(runs).values({name: _given.c[name] for name in UPDATED[1:]}).where(runs.c.id == _given.c.id), Row, *UPDATED
)
# Their run is locked, so nobody else writes them.
STORIES = raw_statement(
    "SELECT s.id, s.run_id, s.key,"  # noqa: S608
    " ARRAY(SELECT d.depends_on_id FROM story_dependencies d WHERE d.story_id = s.id) AS depends_on,"
    f" {', '.join('s.' + name for name in STORY_TOLD)} FROM stories s WHERE s.run_id = ANY($1::uuid[]) ORDER BY s.id",
    LockedStoryRow,
)
INSERT_STORIES = insert_new(stories, STORY_INSERTED)
_given_stories = given_rows(stories, STORY_UPDATED)
UPDATE_STORIES = compile_statement(
    update(stories)
    .values({name: _given_stories.c[name] for name in STORY_TOLD})
    .where(stories.c.id == _given_stories.c.id),
    Row,
    *STORY_UPDATED,
)
WRITE_DEPENDENCIES = raw_statement(
    """
WITH given AS (SELECT * FROM unnest($2::uuid[], $3::uuid[]) AS g(story_id, depends_on_id)), gone AS (
    DELETE FROM story_dependencies d WHERE d.story_id = ANY($1::uuid[])
           AND NOT EXISTS (SELECT FROM given g WHERE (g.story_id, g.depends_on_id) = (d.story_id, d.depends_on_id))
)
INSERT INTO story_dependencies (story_id, depends_on_id) SELECT story_id, depends_on_id FROM given
ON CONFLICT DO NOTHING
""",
    Row,
)


async def find(
    transaction: Handle, names: Sequence[tuple[str, str]], ids: Sequence[UUID]
) -> tuple[dict[tuple[str, str], UUID], set[UUID]]:
    """Which of these are stored: ids by (origin, external id), and those of `ids`."""
    return split_references(await transaction.fetch(BY_NAME, *columns(names, 2), list(ids)))


async def lock(transaction: Handle, ids: Sequence[UUID]) -> list[LockedRunRow]:
    """Lock runs in the order of their ids."""
    return await transaction.fetch(LOCK, list(ids))


async def insert(transaction: Handle, rows: Sequence[dict[str, Any]]) -> set[UUID]:
    """Store runs whose name is free, sorted by name. Returns the ids of those written."""
    values = [[row[name] for name in INSERTED] for row in rows]
    return {row["id"] for row in await transaction.fetch(INSERT, *columns(values, len(INSERTED)))}


async def write(transaction: Handle, rows: Sequence[dict[str, Any]]) -> None:
    """Write locked runs."""
    values = [[row[name] for name in UPDATED] for row in rows]
    await transaction.fetch(UPDATE, *columns(values, len(UPDATED)))


async def stories_of(transaction: Handle, run_ids: Sequence[UUID]) -> list[LockedStoryRow]:
    """All stories of runs."""
    return await transaction.fetch(STORIES, list(run_ids))


async def insert_stories(transaction: Handle, rows: Sequence[dict[str, Any]]) -> None:
    """Store stories of locked runs."""
    values = [[row[name] for name in STORY_INSERTED] for row in rows]
    await transaction.fetch(INSERT_STORIES, *columns(values, len(STORY_INSERTED)))


async def write_stories(transaction: Handle, rows: Sequence[dict[str, Any]]) -> None:
    """Write stories of locked runs."""
    values = [[row[name] for name in STORY_UPDATED] for row in rows]
    await transaction.fetch(UPDATE_STORIES, *columns(values, len(STORY_UPDATED)))


async def write_dependencies(
    transaction: Handle, story_ids: Sequence[UUID], pairs: Sequence[tuple[UUID, UUID]]
) -> None:
    """Make `pairs` (story, what it depends on) all that these stories depend on."""
    await transaction.fetch(WRITE_DEPENDENCIES, list(story_ids), *columns(pairs, 2))
