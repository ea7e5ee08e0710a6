"""Reads of conversations and their messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from uuid import UUID

from sqlalchemy import ColumnElement, Text, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from db.handles import Handle
from db.lookups import lookup
from db.models.base import INSTANT
from db.models.conversations import ConversationRow, MessageRow, conversations, messages
from db.pages import Order, PageRequest, fetch_page, page_keys, page_select, pages_select
from db.selections import CountRow, count_statement, shape_of, values_of
from db.statements import Statement, compile_statement, row_columns, uuids

CREATED_AT_DESC = Order("CREATED_AT:DESC", ("created_at", "id"), descending=True)
MESSAGE_SEQ = Order("MESSAGE", ("seq",))

TOPIC = "conversations"
SHAPES = 256  # page statements kept compiled: all combinations of filters, with and without a place


@dataclass(frozen=True, slots=True)
class ConversationSelection:
    """Which conversations; see db.selections."""

    owner_id: tuple[UUID, ...] | None = None
    project_id: tuple[UUID, ...] | None = None
    host_id: tuple[UUID, ...] | None = None
    flow_id: str | None = None
    tag: tuple[str, ...] | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None


ALL_CONVERSATIONS = ConversationSelection()


def _condition(name: str) -> ColumnElement[bool]:
    if name == "updated_from":
        return conversations.c.updated_at >= bindparam(name, type_=INSTANT)
    if name == "updated_to":
        return conversations.c.updated_at < bindparam(name, type_=INSTANT)
    if name == "flow_id":
        return conversations.c.flow_id == bindparam(name, type_=Text())
    if name == "tag":
        return conversations.c.tags.bool_op("&&")(bindparam(name, type_=ARRAY(Text())))
    return conversations.c[name] == any_(uuids(name))


@lru_cache(maxsize=SHAPES)
def _page(shape: tuple[str, ...], has_place: bool, backward: bool, is_empty: bool) -> Statement[ConversationRow]:
    clause = page_select(
        conversations,
        ConversationRow,
        CREATED_AT_DESC,
        topic=TOPIC,
        conditions=[_condition(name) for name in shape],
        has_place=has_place,
        backward=backward,
        is_empty=is_empty,
    )
    place = ("place_0", "place_1") if has_place else ()
    return compile_statement(clause, ConversationRow, *shape, *place, "limit")


async def page(handle: Handle, selection: ConversationSelection, request: PageRequest) -> list[ConversationRow]:
    """One page, the newest first, and, if there is one, the row after it; see db.pages.cut."""
    make = partial(_page, shape_of(selection), request.place is not None, request.backward)
    return await fetch_page(handle, make, *values_of(selection), *(request.place or ()), request.limit + 1)


@lru_cache(maxsize=SHAPES)
def _count(shape: tuple[str, ...]) -> Statement[CountRow]:
    return count_statement(conversations, [_condition(name) for name in shape], shape)


async def count(handle: Handle, selection: ConversationSelection, at_most: int) -> int:
    """How many conversations, counted no further than `at_most`."""
    row = await handle.fetch_row(_count(shape_of(selection)), *values_of(selection), at_most)
    return 0 if row is None else row.n


@lru_cache(maxsize=4)
def _messages(has_place: bool, backward: bool) -> Statement[MessageRow]:
    clause = pages_select(
        messages,
        MessageRow,
        MESSAGE_SEQ,
        page_keys(TOPIC),
        parent="conversation_id",
        has_place=has_place,
        backward=backward,
    )
    return compile_statement(clause, MessageRow, "keys", *(("place_0",) if has_place else ()), "limit")


async def messages_by_conversation(
    handle: Handle, conversation_ids: Sequence[UUID], request: PageRequest
) -> list[MessageRow]:
    """A page of the messages of each conversation, in order of seq."""
    statement = _messages(request.place is not None, request.backward)
    return await handle.fetch(statement, list(conversation_ids), *(request.place or ()), request.limit + 1)


BY_ID = lookup(select(*row_columns(conversations, ConversationRow)), conversations.c.id, ConversationRow)
MESSAGES_BY_ID = lookup(select(*row_columns(messages, MessageRow)), messages.c.id, MessageRow)


async def by_id(handle: Handle, ids: Sequence[UUID]) -> list[ConversationRow]:
    """The conversations that exist, in no order."""
    return await BY_ID.fetch(handle, ids)


async def messages_by_id(handle: Handle, ids: Sequence[UUID]) -> list[MessageRow]:
    """The messages that exist, in no order."""
    return await MESSAGES_BY_ID.fetch(handle, ids)
