"""Batches of conversations and messages. `args` is what the field's arguments function made of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.handles import Handle
from db.models.conversations import ConversationRow, MessageRow
from db.pages import Page, PageRequest
from db.queries import conversations as queries
from db.queries.conversations import ConversationSelection
from loaders.batch import align, pages

UNIQUE = dict.fromkeys


async def by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[ConversationRow | None]:
    """A conversation per id."""
    return align(keys, await queries.by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def message_by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[MessageRow | None]:
    """A message per id."""
    return align(keys, await queries.messages_by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def messages_by_conversation(database: Handle, keys: Sequence[UUID], args: PageRequest) -> list[Page[MessageRow]]:
    """A page of messages per conversation, in order of seq."""
    rows = await queries.messages_by_conversation(database, list(UNIQUE(keys)), args)
    return pages(database, keys, rows, args, queries.MESSAGE_SEQ, queries.TOPIC)


async def counts(database: Handle, keys: Sequence[ConversationSelection], args: int) -> list[int]:
    """A number of conversations per selection, no further than `args`; an operation has one per root field."""
    answers = {key: await queries.count(database, key, args) for key in UNIQUE(keys)}
    return [answers[key] for key in keys]
