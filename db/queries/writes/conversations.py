"""Conversations and their messages: found by the source's name, locked, written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from db.handles import Handle
from db.models.base import Row
from db.models.conversations import ConversationRow, messages
from db.queries.writes.given import columns, insert_new
from db.statements import raw_statement


class ReferenceRow(Row):
    """A row by the source's name for it, or by its id."""

    id: UUID
    origin: str | None  # None in a row that was asked for by its id
    external_id: str | None


class MessageIdRow(Row):
    """A message by the source's name for it."""

    conversation_id: UUID
    external_id: str
    id: UUID


COLUMNS = ", ".join(f"c.{name}" for name in ConversationRow.columns)

BY_NAME = raw_statement(
    "SELECT c.id, c.origin, c.external_id FROM unnest($1::text[], $2::text[]) AS given(origin, external_id)"
    " JOIN conversations c USING (origin, external_id)"
    " UNION ALL SELECT id, NULL, NULL FROM conversations WHERE id = ANY($3::uuid[])",
    ReferenceRow,
)
LOCK = raw_statement(
    f"SELECT {COLUMNS}, c.message_seq FROM conversations c WHERE c.id = ANY($1::uuid[])"  # noqa: S608
    " ORDER BY c.id FOR NO KEY UPDATE",
    ConversationRow,
)
# PostgreSQL has no arrays of arrays of different lengths: tags travel as JSON.
_TAGS = "ARRAY(SELECT jsonb_array_elements_text(given.tags::jsonb))"
INSERTED = (
    "id",
    "origin",
    "external_id",
    "title",
    "owner_id",
    "host_id",
    "project_id",
    "flow_id",
    "session_id",
    "tags",
    "created_at",
    "updated_at",
)
INSERT = raw_statement(
    f"""
INSERT INTO conversations ({", ".join(INSERTED)})
SELECT id, origin, external_id, title, owner_id, host_id, project_id, flow_id, session_id, {_TAGS}, created_at,
       updated_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::text[],
            $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[])
     AS given({", ".join(INSERTED)})
ON CONFLICT DO NOTHING RETURNING id
""",  # noqa: S608
    Row,
)
UPDATED = (
    "id",
    "revision",
    "title",
    "owner_id",
    "host_id",
    "project_id",
    "flow_id",
    "session_id",
    "tags",
    "message_seq",
    "created_at",
    "updated_at",
)
UPDATE = raw_statement(
    f"""
UPDATE conversations c
SET revision = given.revision, title = given.title, owner_id = given.owner_id, host_id = given.host_id,
    project_id = given.project_id, flow_id = given.flow_id, session_id = given.session_id, tags = {_TAGS},
    message_seq = given.message_seq, created_at = given.created_at, updated_at = given.updated_at
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[],
            $9::text[], $10::bigint[], $11::timestamptz[], $12::timestamptz[])
     AS given({", ".join(UPDATED)})
WHERE c.id = given.id
""",  # noqa: S608
    Row,
)
KNOWN_MESSAGES = raw_statement(
    "SELECT m.conversation_id, m.external_id, m.id"
    " FROM unnest($1::uuid[], $2::text[]) AS given(conversation_id, external_id)"
    " JOIN messages m USING (conversation_id, external_id)",
    MessageIdRow,
)
MESSAGE_COLUMNS = ("id", "conversation_id", "seq", "external_id", "role", "content_access", "at", "task_id", "text")
INSERT_MESSAGES = insert_new(messages, MESSAGE_COLUMNS)


async def find(
    transaction: Handle, names: Sequence[tuple[str, str]], ids: Sequence[UUID]
) -> tuple[dict[tuple[str, str], UUID], set[UUID]]:
    """Which of these are stored: ids by (origin, external id), and those of `ids`."""
    rows = await transaction.fetch(BY_NAME, *columns(names, 2), list(ids))
    return split_references(rows)


async def lock(transaction: Handle, ids: Sequence[UUID]) -> list[ConversationRow]:
    """Lock conversations in the order of their ids; beside the row's columns, `message_seq`."""
    return await transaction.fetch(LOCK, list(ids))


async def insert(transaction: Handle, rows: Sequence[dict[str, Any]]) -> set[UUID]:
    """Store conversations whose name is free, sorted by name. Returns the ids of those written."""
    return {row["id"] for row in await transaction.fetch(INSERT, *_arrays(rows, INSERTED))}


async def update(transaction: Handle, rows: Sequence[dict[str, Any]]) -> None:
    """Write locked conversations."""
    await transaction.fetch(UPDATE, *_arrays(rows, UPDATED))


async def known_messages(transaction: Handle, names: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], UUID]:
    """The messages that are stored, by (conversation id, external id)."""
    rows = await transaction.fetch(KNOWN_MESSAGES, *columns(names, 2))
    return {(row.conversation_id, row.external_id): row.id for row in rows}


async def insert_messages(transaction: Handle, rows: Sequence[Sequence[Any]]) -> None:
    """Store messages: values in the order of MESSAGE_COLUMNS. The conversations are locked."""
    await transaction.fetch(INSERT_MESSAGES, *columns(rows, len(MESSAGE_COLUMNS)))


def split_references(rows: Sequence[ReferenceRow]) -> tuple[dict[tuple[str, str], UUID], set[UUID]]:
    """Ids by the names that were asked for, and the ids that were."""
    by_name = {
        (row.origin, row.external_id): row.id for row in rows if row.origin is not None and row.external_id is not None
    }
    return by_name, {row.id for row in rows if row.origin is None}


def _arrays(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> list[list[Any]]:
    values = [[orjson.dumps(row[name]).decode() if name == "tags" else row[name] for name in names] for row in rows]
    return columns(values, len(names))
