"""Conversations: one, and pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from db.models.conversations import ConversationRow
from db.pages import Page, PageRequest, cut
from db.queries import conversations as queries
from db.queries.conversations import ALL_CONVERSATIONS, CREATED_AT_DESC, ConversationSelection
from domain.ids import parse_id
from resolvers.context import Context
from resolvers.ranges import Range, resolve_range


@dataclass(frozen=True, slots=True)
class ConversationFilter:
    """A selection whose range of change may move with the clock."""

    selection: ConversationSelection = ALL_CONVERSATIONS
    updated_at: Range | None = None

    def at(self, now: datetime) -> ConversationSelection:
        """The selection as it is now. Raises InvalidInput (INVALID_RANGE)."""
        if self.updated_at is None:
            return self.selection
        span = resolve_range(self.updated_at, now, "filter")
        return replace(self.selection, updated_from=span.start, updated_to=span.end)


@dataclass(frozen=True, slots=True)
class ListConversations:
    """A page of conversations."""

    filter: ConversationFilter
    page: PageRequest


async def get_conversation(context: Context, conversation_id: str) -> ConversationRow | None:
    """A conversation by its id; None when there is none."""
    key = parse_id("conversation", conversation_id)
    rows = [] if key is None else await queries.by_id(context.reader, [key])
    return rows[0] if rows else None


async def list_conversations(context: Context, wanted: ListConversations) -> Page[ConversationRow]:
    """One page of the conversations that the filter names, the newest first."""
    selection = wanted.filter.at(context.clock())
    rows = await queries.page(context.reader, selection, wanted.page)
    return cut(rows, wanted.page, CREATED_AT_DESC, context.reader.epoch, queries.TOPIC, selection)
