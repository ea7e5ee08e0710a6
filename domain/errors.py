"""What can go wrong by the rules.

DomainError
├── NotFound              no such thing, or nothing that this viewer may see
├── InvalidInput          the request says something that cannot be; `code` may be finer (INVALID_CURSOR …)
├── InvalidTransition     the task's status does not allow the step; carries the task's id
├── NotControllable       nobody on the agent's side listens
└── IdempotencyConflict   the idempotency key was used with another request

Mutations answer these as members of their result unions; queries as GraphQL errors with `extensions.code`.
"""

from __future__ import annotations

from uuid import UUID


class DomainError(Exception):
    """An expected failure. `path` names the argument or input field, outermost first."""

    code = "INVALID_INPUT"

    def __init__(self, message: str, path: tuple[str, ...] = (), *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        if code is not None:
            self.code = code


class NotFound(DomainError):
    """No such thing."""

    code = "NOT_FOUND"


class InvalidInput(DomainError):
    """The request says something that cannot be."""


class InvalidTransition(DomainError):
    """The status does not allow the step; nothing was changed."""

    code = "INVALID_TRANSITION"

    def __init__(self, message: str, path: tuple[str, ...] = (), *, task_id: UUID | None = None) -> None:
        super().__init__(message, path)
        self.task_id = task_id


class NotControllable(DomainError):
    """Nobody on the agent's side listens."""

    code = "NOT_CONTROLLABLE"


class IdempotencyConflict(DomainError):
    """The idempotency key was used with another request."""

    code = "IDEMPOTENCY_CONFLICT"
