"""Identifiers: UUIDv7 inside, a readable prefix and 32 hexadecimal digits at the edge (``task_0190…``)."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.errors import InvalidInput

PREFIXES = (
    "task",
    "agent",
    "conversation",
    "message",
    "usage",
    "tool",
    "run",
    "story",
    "user",
    "host",
    "project",
    "command",
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def new_id(at: datetime) -> UUID:
    """A UUIDv7 (RFC 9562) whose time is `at`, in milliseconds: ids sort as their rows came to be."""
    milliseconds = max((at - EPOCH) // MILLISECOND, 0)  # in integers: a float would lose one now and then
    random = int.from_bytes(os.urandom(10), "big")
    return UUID(
        int=(milliseconds << 80) | (0x7 << 76) | ((random >> 62 & 0xFFF) << 64) | (0b10 << 62) | (random & (2**62 - 1))
    )


def show_id(prefix: str, value: UUID) -> str:
    """The id as clients see it."""
    return f"{prefix}_{value.hex}"


def parse_id(prefix: str, text: str) -> UUID | None:
    """The uuid of a client's id, or None when it is not an id of that kind: nothing can have it."""
    kind, value = split_id(text)
    return value if kind == prefix else None


def split_id(text: str) -> tuple[str, UUID | None]:
    """The prefix and uuid of an id of any kind; ``("", None)`` when it is none."""
    prefix, _, digits = text.partition("_")
    if prefix not in PREFIXES or len(digits) != 32:
        return "", None
    try:
        return prefix, UUID(hex=digits)
    except ValueError:
        return "", None


def require_id(prefix: str, text: str, path: tuple[str, ...]) -> UUID:
    """The uuid of a client's id. Raises InvalidInput when it has another form."""
    value = parse_id(prefix, text)
    if value is None:
        raise InvalidInput(f"{text!r} is not the id of a {prefix}; such ids look like {prefix}_ and 32 digits", path)
    return value
