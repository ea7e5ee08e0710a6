"""Conversations and messages as GraphQL types, with their filter and arguments."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import UNSET

from db.models.conversations import ConversationRow, MessageRow
from db.pages import Page, PageRequest
from db.queries.conversations import CREATED_AT_DESC, MESSAGE_SEQ, ConversationSelection
from domain.text import clean
from execution.fields import column, connection, loaded, object_type, one, root
from loaders import access as access_loaders
from loaders import conversations as loaders
from loaders import tasks as task_loaders
from loaders import usage as usage_loaders
from resolvers import conversations as resolvers
from resolvers.pages import DEFAULT_PAGE
from schema.content import content_column
from schema.enums import ContentAccess, MessageRole, Visibility
from schema.node import Node, node_id
from schema.pagination import (
    TOTAL_COUNT,
    After,
    Before,
    EdgeValue,
    First,
    Last,
    PageInfo,
    at_most_argument,
    edge_cursor,
    edge_node,
    edges,
    nodes,
    page_event_cursor,
    page_info,
)
from schema.ranges import TimeRange, to_range
from schema.scalars import EventCursor, SafeInt
from schema.task_inputs import RULE, children_arguments, given, ids, nothing, page_of, some, words

if TYPE_CHECKING:
    from schema.access import Host, Project, User
    from schema.tasks import Task, TaskConnection
    from schema.usage import UsageTotals


@strawberry.input(description=f"Which conversations. {RULE}")
class ConversationFilter:
    """Becomes resolvers.conversations.ConversationFilter."""

    owner_id: list[strawberry.ID] | None = some("Of any of these people.")
    project_id: list[strawberry.ID] | None = some("About any of these projects.")
    host_id: list[strawberry.ID] | None = some("On any of these hosts.")
    flow_id: strawberry.ID | None = some("Of this flow, such as github:owner/repo#7.")
    tag: list[str] | None = some("With any of these tags, exactly.")
    updated_at: TimeRange | None = some("Last changed in this range.")


def to_filter(chosen: ConversationFilter | None) -> resolvers.ConversationFilter:
    """The conversations that a filter names."""
    if chosen is None:
        return resolvers.ConversationFilter()
    selection = ConversationSelection(
        owner_id=ids("user", chosen.owner_id or ()) if given(chosen.owner_id) else None,
        project_id=ids("project", chosen.project_id or ()) if given(chosen.project_id) else None,
        host_id=ids("host", chosen.host_id or ()) if given(chosen.host_id) else None,
        flow_id=clean(str(chosen.flow_id)) if given(chosen.flow_id) else None,
        tag=words(chosen.tag or ()) if given(chosen.tag) else None,
    )
    return resolvers.ConversationFilter(selection, to_range(chosen.updated_at) if chosen.updated_at else None)


def messages_arguments(
    first: First = UNSET, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
) -> PageRequest:
    """Arguments of `messages`."""
    return page_of(MESSAGE_SEQ, first, after, last, before)


@object_type(of=ConversationRow, scope="METRICS", description="A conversation with agents, or a session of one.")
class Conversation(Node):
    """A row of conversations."""

    id: strawberry.ID = node_id("conversation")
    revision: SafeInt = column(
        description="+1 with every committed change: of two copies the one with the higher revision is newer."
    )
    content_access: ContentAccess = column(description="Why the title and the texts of messages may be null.")
    title: str | None = content_column("title", description="A line that says what it is about. Content.")
    owner: Annotated[User, strawberry.lazy("schema.access")] | None = one(
        access_loaders.user_by_id, key="owner_id", description="Whose conversation it is; null where nobody said."
    )
    host: Annotated[Host, strawberry.lazy("schema.access")] | None = one(
        access_loaders.host_by_id, key="host_id", description="The machine that it took place on."
    )
    project: Annotated[Project, strawberry.lazy("schema.access")] | None = one(
        access_loaders.project_by_id, key="project_id", description="The repository or folder that it is about."
    )
    visibility: Visibility = column(description="Who sees its content.")
    flow_id: strawberry.ID | None = column(
        description="What it is about elsewhere: github:owner/repo#7, jira:ABC-1, slack:channel:ts."
    )
    session_id: strawberry.ID | None = column(
        description="The source's id of the session: joins transcripts and telemetry."
    )
    tags: list[str] = column(description="Words that people or sources gave it, for filters.")
    created_at: datetime = column(description="When it began.")
    updated_at: datetime = column(description="When anything of it last changed.")
    usage: Annotated[UsageTotals, strawberry.lazy("schema.usage")] = one(
        usage_loaders.totals_by_conversation,
        key="id",
        description="Tokens and cost of the model calls of all its tasks.",
    )
    messages: Annotated[MessageConnection, strawberry.lazy("schema.conversations")] = connection(
        loaders.messages_by_conversation,
        key="id",
        arguments=messages_arguments,
        description="Its messages in order of arrival. A new one comes at the end; none ever moves.",
    )
    tasks: Annotated[TaskConnection, strawberry.lazy("schema.tasks")] = connection(
        task_loaders.by_conversation,
        key="id",
        arguments=children_arguments,
        description="The tasks that belong to it, oldest first.",
    )


@object_type(of=EdgeValue, scope="METRICS", description="A conversation in a list.")
class ConversationEdge:
    """Relay's edge."""

    cursor: str = edge_cursor()
    node: Conversation = edge_node()


@object_type(of=Page, scope="METRICS", description="A page of conversations.")
class ConversationConnection:
    """Relay's connection."""

    edges: list[ConversationEdge] = edges()
    nodes: list[Conversation] = nodes()
    page_info: PageInfo = page_info()
    total_count: int = loaded(loaders.counts, key="selection", arguments=at_most_argument, description=TOTAL_COUNT)
    event_cursor: EventCursor = page_event_cursor()


@object_type(of=MessageRow, scope="METRICS", description="One message of a conversation.")
class Message(Node):
    """A row of messages."""

    id: strawberry.ID = node_id("message")
    role: MessageRole = column(description="Who wrote it.")
    text: str | None = content_column(
        "text", description="What it says, as it was written: hostile text, show it as text only. Content."
    )
    content_access: ContentAccess = column(description="Why the text may be null.")
    at: datetime = column(description="When it was written, by the clock of the source.")
    task: Annotated[Task, strawberry.lazy("schema.tasks")] | None = one(
        task_loaders.by_id, key="task_id", description="The task that it started, or came from."
    )


@object_type(of=EdgeValue, scope="METRICS", description="A message in a list.")
class MessageEdge:
    """Relay's edge."""

    cursor: str = edge_cursor()
    node: Message = edge_node()


@object_type(of=Page, scope="METRICS", description="A page of a conversation's messages.")
class MessageConnection:
    """Relay's connection."""

    edges: list[MessageEdge] = edges()
    nodes: list[Message] = nodes()
    page_info: PageInfo = page_info()
    event_cursor: EventCursor = page_event_cursor()


def conversations_arguments(
    filter: Annotated[ConversationFilter | None, strawberry.argument(description="Which conversations.")] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> resolvers.ListConversations:
    """Arguments of `conversations`."""
    page = page_of(CREATED_AT_DESC, first, after, last, before, default=DEFAULT_PAGE)
    return resolvers.ListConversations(to_filter(nothing(filter)), page)


def conversation_argument(
    id: Annotated[strawberry.ID, strawberry.argument(description="The conversation's id.")],
) -> str:
    """The argument of `conversation`."""
    return str(id)


@strawberry.type
class ConversationQueries:
    """The fields of Query for conversations."""

    conversations: ConversationConnection = root(
        resolvers.list_conversations,
        scope="METRICS",
        arguments=conversations_arguments,
        description="Conversations by createdAt, the newest first. The order stays while messages arrive: a"
        " conversation never moves, and a new one comes in front.",
    )
    conversation: Conversation | None = root(
        resolvers.get_conversation,
        scope="METRICS",
        arguments=conversation_argument,
        description="A conversation by its id; null when there is none.",
    )
