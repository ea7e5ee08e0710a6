"""Conversations that are made here, their messages, and the tasks that belong to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.handles import Handle
from db.models.conversations import ConversationRow, MessageRow
from db.models.tasks import TaskRow
from db.queries import access as access_queries
from db.queries import conversations as queries
from domain.errors import InvalidInput
from domain.ids import new_id, show_id
from domain.records import Batch, ConversationRecord, MessageRecord, Ref, TaskRecord
from domain.writer import apply
from resolvers.context import Context
from resolvers.idempotency import once
from resolvers.inputs import MAX_FLOW_ID, content, known_id, not_found, optional_word, tags, title
from resolvers.task_mutations import TASK_ID, find_task

ORIGIN = "api"  # externalId is our own uuid, so no host is needed to tell two apart
CONVERSATION_ID = ("conversationId",)


@dataclass(frozen=True, slots=True)
class CreateConversation:
    """A new conversation."""

    title: str | None = None
    project_id: str | None = None
    flow_id: str | None = None
    tags: tuple[str, ...] = ()
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class CreateConversationSuccess:
    """The conversation that was made."""

    conversation: ConversationRow


@dataclass(frozen=True, slots=True)
class AddMessage:
    """A message for the end of a conversation."""

    conversation_id: str
    role: str
    text: str
    task_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class AddMessageSuccess:
    """The message, and its conversation."""

    message: MessageRow
    conversation: ConversationRow


@dataclass(frozen=True, slots=True)
class LinkTask:
    """A task and the conversation that it is to belong to."""

    task_id: str
    conversation_id: str
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class LinkTaskSuccess:
    """Both, as they are now."""

    task: TaskRow
    conversation: ConversationRow


async def find_conversation(handle: Handle, key: UUID) -> ConversationRow:
    """A conversation that must be there. Raises NotFound."""
    rows = await queries.by_id(handle, [key])
    if not rows:
        raise not_found("conversation", show_id("conversation", key), CONVERSATION_ID)
    return rows[0]


def _as_record(row: ConversationRow, now: datetime) -> ConversationRecord:
    """A conversation that gains or loses something."""
    return ConversationRecord(row.origin, row.external_id, row.created_at, now)


async def create_conversation(context: Context, wanted: CreateConversation) -> CreateConversationSuccess:
    """Make a conversation. Raises NotFound (project), InvalidInput."""
    now = context.clock()
    external_id = new_id(now).hex
    record = ConversationRecord(
        ORIGIN,
        external_id,
        now,
        now,
        title=title(wanted.title),
        owner_id=context.viewer.user_id,
        flow_id=optional_word(wanted.flow_id, ("flowId",), MAX_FLOW_ID),
        tags=tags(wanted.tags),
    )
    project_id = None if wanted.project_id is None else known_id("project", wanted.project_id, ("projectId",))

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        if project_id is not None:
            projects = await access_queries.projects_by_id(transaction, [project_id])
            if not projects:
                raise not_found("project", show_id("project", project_id), ("projectId",))
            record.project_key = projects[0].key
        applied = await apply(transaction, Batch(conversations=[record]), now=now, strict=True)
        return {"conversation": applied.conversation_ids[ORIGIN, external_id].hex}

    written = await once(context, "createConversation", wanted, work)
    return CreateConversationSuccess(await find_conversation(context.reader, UUID(written["conversation"])))


async def add_message(context: Context, wanted: AddMessage) -> AddMessageSuccess:
    """Add a message at the end of a conversation. Raises NotFound, InvalidInput."""
    key = known_id("conversation", wanted.conversation_id, CONVERSATION_ID)
    task_id = None if wanted.task_id is None else known_id("task", wanted.task_id, TASK_ID)
    text = content(wanted.text, ("text",))
    if not text.strip():
        raise InvalidInput("text is empty; a message must say something.", ("text",))
    now = context.clock()
    task = None if task_id is None else Ref(id=task_id)
    message = MessageRecord(Ref(id=key), wanted.role, now, text, task=task)

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        await find_conversation(transaction, key)
        if task_id is not None:
            await find_task(transaction, task_id)
        applied = await apply(transaction, Batch(messages=[message]), now=now, strict=True)
        return {"conversation": key.hex, "message": applied.message_ids[0].hex}

    written = await once(context, "addMessage", wanted, work)
    conversation = await find_conversation(context.reader, UUID(written["conversation"]))
    message_id = UUID(written["message"])
    rows = await queries.messages_by_id(context.reader, [message_id])
    if not rows:
        raise not_found("message", show_id("message", message_id), ())
    return AddMessageSuccess(rows[0], conversation)


async def link_task(context: Context, wanted: LinkTask) -> LinkTaskSuccess:
    """Have a task belong to a conversation, and to no other from then on. Raises NotFound."""
    task_key = known_id("task", wanted.task_id, TASK_ID)
    key = known_id("conversation", wanted.conversation_id, CONVERSATION_ID)
    now = context.clock()

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        task = await find_task(transaction, task_key)
        conversation = await find_conversation(transaction, key)
        if task.conversation_id != key:
            record = TaskRecord(task.origin, task.external_id, task.source, task.created_at, now)
            record.conversation = Ref(id=key)
            left = [] if task.conversation_id is None else await queries.by_id(transaction, [task.conversation_id])
            touched = [_as_record(row, now) for row in (conversation, *left)]
            await apply(transaction, Batch(conversations=touched, tasks=[record]), now=now, strict=True)
        return {"task": task_key.hex, "conversation": key.hex}

    written = await once(context, "linkTask", wanted, work)
    task = await find_task(context.reader, UUID(written["task"]))
    return LinkTaskSuccess(task, await find_conversation(context.reader, UUID(written["conversation"])))
