"""Conversations and their messages."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY

from db.models.base import CONTENT_ACCESS, Row, identity, instant, metadata, reference, revision, word

VISIBILITIES = ("OWNER", "PROJECT", "EVERYONE")
MESSAGE_ROLES = ("USER", "ASSISTANT", "SYSTEM", "TOOL")

conversations = Table(
    "conversations",
    metadata,
    identity(),
    revision(),
    Column("origin", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    word("content_access", CONTENT_ACCESS, default="FULL"),
    Column("title", Text),
    reference("owner_id", "users"),
    reference("host_id", "hosts"),
    reference("project_id", "projects"),
    word("visibility", VISIBILITIES, default="EVERYONE"),
    Column("flow_id", Text),
    Column("session_id", Text),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("message_seq", BigInteger, nullable=False, server_default=text("0"), comment="seq of the newest message"),
    instant("created_at"),
    instant("updated_at"),
    UniqueConstraint("origin", "external_id"),
    Index(None, "created_at", "id"),
    Index(None, "updated_at", "id"),
    Index(None, "session_id"),
    Index(None, "flow_id"),
    Index(None, "project_id", "created_at"),
    Index(None, "tags", postgresql_using="gin"),
)

messages = Table(
    "messages",
    metadata,
    identity(),
    reference("conversation_id", "conversations", nullable=False, on_delete="CASCADE"),
    Column("seq", BigInteger, nullable=False, comment="1, 2, 3 … within the conversation, in order of arrival"),
    Column("external_id", Text, comment="the source's id of the message; unique within the conversation"),
    word("role", MESSAGE_ROLES),
    word("content_access", CONTENT_ACCESS, default="FULL"),
    instant("at"),
    reference("task_id", "tasks"),
    Column("text", Text),
    UniqueConstraint("conversation_id", "seq"),
    UniqueConstraint("conversation_id", "external_id"),
    Index(None, "task_id"),
)


class ConversationRow(Row):
    """A row of `conversations`."""

    always = frozenset(("id", "created_at", "updated_at"))

    id: UUID
    revision: int
    origin: str
    external_id: str
    content_access: str
    title: str | None
    owner_id: UUID | None
    host_id: UUID | None
    project_id: UUID | None
    visibility: str
    flow_id: str | None
    session_id: str | None
    tags: list[str]
    created_at: datetime
    updated_at: datetime


class MessageRow(Row):
    """A row of `messages`, its text included: a page of messages is read for the text."""

    id: UUID
    conversation_id: UUID
    seq: int
    role: str
    content_access: str
    at: datetime
    task_id: UUID | None
    text: str | None
