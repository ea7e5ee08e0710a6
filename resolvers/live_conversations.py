"""Following a conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pages import EventPosition
from db.queries.conversations import TOPIC
from domain.ids import parse_id
from pubsub.events import Event
from pubsub.interests import Interest
from resolvers.context import Context
from resolvers.live import Shown, Told, follow, position_of


@dataclass(frozen=True, slots=True)
class MessageAdd(Shown):
    """A message was added to the conversation."""

    position: EventPosition
    at: datetime
    message_id: UUID


@dataclass(frozen=True, slots=True)
class WatchMessages:
    """Of which conversation."""

    conversation_id: str
    after: EventPosition | None = None


def watch_messages(context: Context, watched: WatchMessages) -> AsyncIterator[Told[MessageAdd]]:
    """Messages that are added to a conversation, each once and in order; of one that is yet to come, too."""
    key = str(parse_id("conversation", watched.conversation_id))

    def show(event: Event) -> MessageAdd | None:
        if event.kind != "MessageAdded" or event.facts["conversation"] != key:
            return None
        return MessageAdd(position_of(context, event), event.at, UUID(event.facts["id"]))

    return follow(context, TOPIC, watched.after, show, Interest("conversation", frozenset((key,))))
