"""Failures as clients see them: members of result unions, and extensions of GraphQL errors."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from db.errors import StatementTimeout
from domain import errors
from execution.fields import column, computed, interface_type, object_type, one
from loaders import tasks as task_loaders

if TYPE_CHECKING:
    from schema.tasks import Task


@strawberry.enum(description="Why a mutation was not carried out.")
class ErrorCode(Enum):
    """See the members' descriptions."""

    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="There is no such thing, or you may not see it.")
    INVALID_INPUT = strawberry.enum_value("INVALID_INPUT", description="The input says something that cannot be.")
    INVALID_TRANSITION = strawberry.enum_value(
        "INVALID_TRANSITION", description="The task's status does not allow the step; nothing was changed."
    )
    NOT_CONTROLLABLE = strawberry.enum_value(
        "NOT_CONTROLLABLE", description="Nobody on the agent's side listens to commands."
    )
    IDEMPOTENCY_CONFLICT = strawberry.enum_value(
        "IDEMPOTENCY_CONFLICT", description="The idempotency key was used with another request."
    )


TIMEOUT = "A statement took too long and was stopped; ask for less at a time."
CODE = "Which kind of failure it is."
MESSAGE = "What went wrong and what to do, in a sentence for people."
PATH = "The input field at fault, outermost first; null when it is none in particular."


def _path(error: errors.DomainError) -> list[str] | None:
    return list(error.path) or None


@interface_type(scope="METRICS", description="A failure that was to be expected: data, not a GraphQL error.")
class UserError:
    """What every failure says."""

    code: ErrorCode = column(description=CODE)
    message: str = column(description=MESSAGE)
    path: list[str] | None = computed(_path, needs=("path",), description=PATH)


@object_type(of=errors.NotFound, scope="METRICS", description="There is no such thing, or you may not see it.")
class NotFound(UserError):
    """See domain.errors."""


@object_type(of=errors.InvalidInput, scope="METRICS", description="The input says something that cannot be.")
class InvalidInput(UserError):
    """See domain.errors."""


@object_type(of=errors.NotControllable, scope="METRICS", description="Nobody on the agent's side listens to commands.")
class NotControllable(UserError):
    """See domain.errors."""


@object_type(
    of=errors.IdempotencyConflict,
    scope="METRICS",
    description="The idempotency key was used before with another request; use a new key for a new request.",
)
class IdempotencyConflict(UserError):
    """See domain.errors."""


@object_type(
    of=errors.InvalidTransition,
    scope="METRICS",
    description="The task's status does not allow the step. Nothing was changed.",
)
class InvalidTransition(UserError):
    """See domain.errors."""

    current_task: Annotated[Task, strawberry.lazy("schema.tasks")] | None = one(
        task_loaders.by_id,
        key="task_id",
        description="The task as it is now. Not named `task`, so that it can be selected beside a success's own.",
    )


def describe_error(error: BaseException) -> dict[str, Any] | None:
    """Message and extensions of a failure that clients may see; None for surprises, which are masked."""
    if isinstance(error, StatementTimeout):
        return {"message": TIMEOUT, "extensions": {"code": "TIMEOUT"}}
    if not isinstance(error, errors.DomainError):
        return None
    extensions: dict[str, Any] = {"code": error.code}
    if error.path:
        extensions["argument"] = error.path[0]
    return {"message": error.message, "extensions": extensions}
