"""`createConversation`, `addMessage` and `linkTask`: inputs, results, declarations."""

from __future__ import annotations

from typing import Annotated

import strawberry

from domain import errors
from execution.fields import mutation, nested, object_type, operation_type
from resolvers import conversation_mutations as resolvers
from schema.conversations import Conversation, Message
from schema.enums import MessageRole
from schema.errors import IdempotencyConflict, InvalidInput, NotFound
from schema.task_inputs import nothing, some
from schema.task_mutations import IDEMPOTENCY_KEY, word_of
from schema.tasks import Task


@strawberry.input(description="A new conversation. All of it is optional.")
class CreateConversationInput:
    """Becomes resolvers.conversation_mutations.CreateConversation."""

    title: str | None = some("A line that says what it is about, at most 300 characters.")
    project_id: strawberry.ID | None = some("The project that it is about.")
    flow_id: strawberry.ID | None = some(
        "What it is about elsewhere: github:owner/repo#7, jira:ABC-1, slack:channel:ts. At most 300 characters."
    )
    tags: list[str] | None = some("At most 50 words of your own to find it by, of at most 200 characters each.")
    idempotency_key: str | None = some(IDEMPOTENCY_KEY)


@strawberry.input(description="A message for the end of a conversation.")
class AddMessageInput:
    """Becomes resolvers.conversation_mutations.AddMessage."""

    conversation_id: strawberry.ID = strawberry.field(description="The conversation.")
    role: MessageRole = strawberry.field(description="Who wrote it.")
    text: str = strawberry.field(description="What it says: not empty, at most 256 KiB.")
    task_id: strawberry.ID | None = some("The task that it belongs to.")
    idempotency_key: str | None = some(IDEMPOTENCY_KEY)


@strawberry.input(description="A task and the conversation that it is to belong to.")
class LinkTaskInput:
    """Becomes resolvers.conversation_mutations.LinkTask."""

    task_id: strawberry.ID = strawberry.field(description="The task.")
    conversation_id: strawberry.ID = strawberry.field(description="The conversation.")
    idempotency_key: str | None = some(IDEMPOTENCY_KEY)


@object_type(of=resolvers.CreateConversationSuccess, scope="METRICS", description="It was made.")
class CreateConversationSuccess:
    """See resolvers.conversation_mutations."""

    conversation: Conversation = nested(lambda result: result.conversation, description="The new conversation.")


@object_type(of=resolvers.AddMessageSuccess, scope="METRICS", description="It was added.")
class AddMessageSuccess:
    """See resolvers.conversation_mutations."""

    added_message: Message = nested(
        lambda result: result.message,
        description="The new message. Not named `message`, so that it can be selected beside an error's own.",
    )
    conversation: Conversation = nested(
        lambda result: result.conversation, description="Its conversation as it is now."
    )


@object_type(of=resolvers.LinkTaskSuccess, scope="METRICS", description="The task belongs to the conversation.")
class LinkTaskSuccess:
    """See resolvers.conversation_mutations."""

    task: Task = nested(lambda result: result.task, description="The task as it is now.")
    conversation: Conversation = nested(
        lambda result: result.conversation, description="The conversation as it is now."
    )


CreateConversationResult = Annotated[
    CreateConversationSuccess | NotFound | InvalidInput | IdempotencyConflict,
    strawberry.union("CreateConversationResult", description="What came of `createConversation`."),
]
AddMessageResult = Annotated[
    AddMessageSuccess | NotFound | InvalidInput | IdempotencyConflict,
    strawberry.union("AddMessageResult", description="What came of `addMessage`."),
]
LinkTaskResult = Annotated[
    LinkTaskSuccess | NotFound | IdempotencyConflict,
    strawberry.union("LinkTaskResult", description="What came of `linkTask`."),
]


def create_conversation_arguments(
    input: Annotated[CreateConversationInput, strawberry.argument(description="The conversation.")],
) -> resolvers.CreateConversation:
    """The argument of `createConversation`."""
    return resolvers.CreateConversation(
        nothing(input.title),
        nothing(input.project_id),
        nothing(input.flow_id),
        tuple(nothing(input.tags) or ()),
        nothing(input.idempotency_key),
    )


def add_message_arguments(
    input: Annotated[AddMessageInput, strawberry.argument(description="The conversation, and the message.")],
) -> resolvers.AddMessage:
    """The argument of `addMessage`."""
    return resolvers.AddMessage(
        str(input.conversation_id),
        word_of(input.role),
        input.text,
        nothing(input.task_id),
        nothing(input.idempotency_key),
    )


def link_task_arguments(
    input: Annotated[LinkTaskInput, strawberry.argument(description="The task and the conversation.")],
) -> resolvers.LinkTask:
    """The argument of `linkTask`."""
    return resolvers.LinkTask(str(input.task_id), str(input.conversation_id), nothing(input.idempotency_key))


@operation_type(name="ConversationMutations", description="Mutations of conversations.")
class ConversationMutations:
    """Fields of Mutation."""

    create_conversation: CreateConversationResult = mutation(
        resolvers.create_conversation,
        scope="WRITE",
        arguments=create_conversation_arguments,
        expected=(errors.NotFound, errors.InvalidInput, errors.IdempotencyConflict),
        description="Make a conversation.",
    )
    add_message: AddMessageResult = mutation(
        resolvers.add_message,
        scope="WRITE",
        arguments=add_message_arguments,
        expected=(errors.NotFound, errors.InvalidInput, errors.IdempotencyConflict),
        description="Add a message at the end of a conversation.",
    )
    link_task: LinkTaskResult = mutation(
        resolvers.link_task,
        scope="WRITE",
        arguments=link_task_arguments,
        expected=(errors.NotFound, errors.IdempotencyConflict),
        description="Have a task belong to a conversation; it leaves the one that it belonged to.",
    )
