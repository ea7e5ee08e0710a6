"""`createTask`, `cancelTask`, `retryTask` and the commands that they send to agents."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.models.agents import CommandRow
from domain import errors
from execution.fields import column, mutation, nested, object_type, one, operation_type
from loaders import access as access_loaders
from resolvers import control as resolvers
from schema.enums import CommandStatus
from schema.errors import IdempotencyConflict, InvalidInput, InvalidTransition, NotControllable, NotFound
from schema.node import Node, node_id
from schema.task_inputs import nothing, some
from schema.task_mutations import IDEMPOTENCY_KEY
from schema.tasks import Task

if TYPE_CHECKING:
    from schema.access import User


@object_type(
    of=CommandRow,
    scope="METRICS",
    description="Something that a person asked of an agent. Asking is not having it: `status` tells how far it is.",
)
class AgentCommand(Node):
    """A row of agent_commands."""

    id: strawberry.ID = node_id("command")
    status: CommandStatus = column(description="How far it is.")
    requested_at: datetime = column(description="When it was asked for.")
    requested_by: Annotated[User, strawberry.lazy("schema.access")] | None = one(
        access_loaders.user_by_id,
        key="requested_by_id",
        description="Who asked; null where the service's own token did.",
    )
    reason: str | None = column(description="Why, in the words of who asked. Content.", scope="READ")


@strawberry.input(description="A task for an agent that listens to commands.")
class CreateTaskInput:
    """Becomes resolvers.control.CreateTask."""

    agent_id: strawberry.ID = strawberry.field(description="Who is to work on it.")
    input: str = strawberry.field(description="What it is asked: the prompt, at most 256 KiB.")
    conversation_id: strawberry.ID | None = some("The conversation that it belongs to.")
    project_id: strawberry.ID | None = some("The repository or folder that it is about.")
    idempotency_key: str | None = some(IDEMPOTENCY_KEY)


@strawberry.input(description="A task to be stopped.")
class CancelTaskInput:
    """Becomes resolvers.control.CancelTask."""

    task_id: strawberry.ID = strawberry.field(description="The task.")
    reason: str | None = some("Why, for the agent's side and for those who read it later; at most 256 KiB.")
    idempotency_key: str | None = some(IDEMPOTENCY_KEY)


@strawberry.input(description="A task to be tried again.")
class RetryTaskInput:
    """Becomes resolvers.control.RetryTask."""

    task_id: strawberry.ID = strawberry.field(description="The task that FAILED or was CANCELLED.")
    idempotency_key: str | None = some(IDEMPOTENCY_KEY)


@object_type(of=resolvers.CreateTaskSuccess, scope="METRICS", description="It was created, and its agent was asked.")
class CreateTaskSuccess:
    """See resolvers.control."""

    task: Task = nested(lambda result: result.task, description="The new task: QUEUED until its agent begins.")


@object_type(of=resolvers.CancelTaskSuccess, scope="METRICS", description="It was cancelled, or asked to stop.")
class CancelTaskSuccess:
    """See resolvers.control."""

    task: Task = nested(
        lambda result: result.task, description="The task as it is now: it may still be RUNNING, see `command`."
    )
    command: AgentCommand | None = nested(
        lambda result: result.command,
        description="How far the stop is; null when the task was still QUEUED and is CANCELLED now.",
    )


@object_type(of=resolvers.RetryTaskSuccess, scope="METRICS", description="A new attempt was made.")
class RetryTaskSuccess:
    """See resolvers.control."""

    task: Task = nested(lambda result: result.task, description="The new attempt; its `retryOf` is the old one.")


CreateTaskResult = Annotated[
    CreateTaskSuccess | NotFound | InvalidInput | NotControllable | IdempotencyConflict,
    strawberry.union("CreateTaskResult", description="What came of `createTask`."),
]
CancelTaskResult = Annotated[
    CancelTaskSuccess | NotFound | InvalidTransition | NotControllable | IdempotencyConflict,
    strawberry.union("CancelTaskResult", description="What came of `cancelTask`."),
]
RetryTaskResult = Annotated[
    RetryTaskSuccess | NotFound | InvalidTransition | NotControllable | IdempotencyConflict,
    strawberry.union("RetryTaskResult", description="What came of `retryTask`."),
]


def create_task_arguments(
    input: Annotated[CreateTaskInput, strawberry.argument(description="The agent, and what it is asked.")],
) -> resolvers.CreateTask:
    """The argument of `createTask`."""
    return resolvers.CreateTask(
        str(input.agent_id),
        input.input,
        nothing(input.conversation_id),
        nothing(input.project_id),
        nothing(input.idempotency_key),
    )


def cancel_task_arguments(
    input: Annotated[CancelTaskInput, strawberry.argument(description="The task, and why.")],
) -> resolvers.CancelTask:
    """The argument of `cancelTask`."""
    return resolvers.CancelTask(str(input.task_id), nothing(input.reason), nothing(input.idempotency_key))


def retry_task_arguments(
    input: Annotated[RetryTaskInput, strawberry.argument(description="The task.")],
) -> resolvers.RetryTask:
    """The argument of `retryTask`."""
    return resolvers.RetryTask(str(input.task_id), nothing(input.idempotency_key))


@operation_type(name="ControlMutations", description="What people ask of agents.")
class ControlMutations:
    """Fields of Mutation."""

    create_task: CreateTaskResult = mutation(
        resolvers.create_task,
        scope="CONTROL",
        arguments=create_task_arguments,
        expected=(errors.NotFound, errors.InvalidInput, errors.NotControllable, errors.IdempotencyConflict),
        description="Give an agent a task: it is QUEUED, and the agent is asked to start. An agent that listens to"
        " nobody is NotControllable.",
    )
    cancel_task: CancelTaskResult = mutation(
        resolvers.cancel_task,
        scope="CONTROL",
        arguments=cancel_task_arguments,
        expected=(
            errors.NotFound,
            errors.InvalidTransition,
            errors.NotControllable,
            errors.IdempotencyConflict,
        ),
        description="Stop a task. A QUEUED one is CANCELLED at once. One that an agent has begun stays as it is until"
        " the agent says that it has stopped: `command` tells how far that is. Asking again while it is open gives the"
        " same command.",
    )
    retry_task: RetryTaskResult = mutation(
        resolvers.retry_task,
        scope="CONTROL",
        arguments=retry_task_arguments,
        expected=(
            errors.NotFound,
            errors.InvalidTransition,
            errors.NotControllable,
            errors.IdempotencyConflict,
        ),
        description="Try a FAILED or CANCELLED task again: a new task with the same input, agent, conversation and"
        " project. The old one stays as it is. A COMPLETED task did what was asked and is not retried.",
    )
