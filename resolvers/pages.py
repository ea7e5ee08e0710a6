"""Page arguments and cursors: checked here, so that every page says the same about the same mistake.

A page cursor is base64url of ``["p1", order, values …]``; an event cursor of ``["e1", epoch, topic, seq]``. Both are
opaque to clients and versioned; one given in the place of the other is told so.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from db.models.base import Row
from db.pages import EventPosition, Order, PageRequest
from domain.errors import InvalidInput

DEFAULT_PAGE = 50
DEFAULT_NESTED_PAGE = 10
MAX_PAGE = 100  # rows that one screen can show, and one transaction can read without being felt by others
MAX_LOG_PAGE = 1_000  # a log is read in longer pieces, and a line is a tenth of a task
MAX_COUNT = 1_000_000  # index entries that a count may read: about 100 ms
NOT_OURS = "it was not made by this server, or was cut"
PAGE_CURSORS = "Take one from pageInfo or an edge of the same field."
EVENT_CURSORS = "Take the cursor of an event of the same field, or the eventCursor of a page of what it follows."
MAX_CURSOR = 4_096  # characters; ours have under 120, or hold an agent's name: 2,700 bytes by the index over it

LARGEST_SUM = 10**9  # of NUMERIC(18,9)

PAGE_MARK = "p1"
EVENT_MARK = "e1"


def _instant(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("no timezone")
    return moment.astimezone(UTC)


def _money(value: object) -> Decimal:
    amount = Decimal(repr(value) if isinstance(value, float) else str(value)).quantize(Decimal("1.000000000"))
    if not -LARGEST_SUM < amount < LARGEST_SUM:
        raise ValueError("no sum that PostgreSQL takes")
    return amount


def _number(value: object) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError("no integer")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError("no text that PostgreSQL takes")
    return value


READERS: dict[str, Callable[[Any], Any]] = {
    "created_at": _instant,
    "updated_at": _instant,
    "started_at": _instant,
    "at": _instant,
    "cost_usd": _money,
    "id": UUID,
    "seq": _number,
    "name": _text,
    "priority": _number,
}


def _encode(payload: list[Any]) -> str:
    # asyncpg's UUID is a subclass of uuid.UUID, which orjson hands to `default`.
    return base64.urlsafe_b64encode(orjson.dumps(payload, default=str)).rstrip(b"=").decode()


def _decode(text: str, argument: str, advice: str) -> list[Any]:
    try:
        if len(text) > MAX_CURSOR:
            raise ValueError("too long")
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        payload = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(payload, list) or not payload or not isinstance(payload[0], str):
            raise ValueError("no cursor of ours")
    except (ValueError, binascii.Error, UnicodeEncodeError):
        raise invalid_cursor(argument, NOT_OURS, advice) from None
    return payload


def invalid_cursor(argument: str, why: str, advice: str) -> InvalidInput:
    """The error of a cursor that cannot be used; `advice` says where those come from that can."""
    return InvalidInput(
        f"The cursor in {argument!r} cannot be used: {why}. {advice}", (argument,), code="INVALID_CURSOR"
    )


def encode_cursor(order: Order, row: Row) -> str:
    """The cursor of a row in its page's order."""
    return _encode([PAGE_MARK, order.name, *order.values(row)])


def decode_cursor(order: Order, text: str, argument: str) -> tuple[Any, ...]:
    """The place that a cursor names. Raises InvalidInput (INVALID_CURSOR)."""
    mark, *rest = _decode(text, argument, PAGE_CURSORS)
    if mark == EVENT_MARK:
        raise invalid_cursor(argument, "it is an event cursor, which only subscriptions take", PAGE_CURSORS)
    if mark != PAGE_MARK or not rest or rest[0] != order.name or len(rest) != len(order.columns) + 1:
        raise invalid_cursor(argument, "it belongs to another list, or to another order of this one", PAGE_CURSORS)
    try:
        return tuple(READERS[name](value) for name, value in zip(order.columns, rest[1:], strict=True))
    except (ValueError, TypeError, AttributeError, OverflowError, InvalidOperation):
        raise invalid_cursor(argument, NOT_OURS, PAGE_CURSORS) from None


def encode_event_cursor(position: EventPosition) -> str:
    """The event cursor of a place in a topic."""
    seq = base64.urlsafe_b64encode(b"%d]" % position.seq).rstrip(b"=").decode()
    return _cursors_of(position.epoch, position.topic) + seq


@lru_cache(maxsize=10_000)
def _cursors_of(epoch: UUID, topic: str) -> str:
    """How all event cursors of a topic begin; filled up with spaces, for base64 takes three bytes at a time."""
    text = orjson.dumps([EVENT_MARK, epoch.hex, topic])[:-1] + b","
    return base64.urlsafe_b64encode(text + b" " * (-len(text) % 3)).decode()


def decode_event_cursor(text: str, argument: str = "after") -> EventPosition:
    """The place in a topic that an event cursor names. Raises InvalidInput (INVALID_CURSOR)."""
    mark, *rest = _decode(text, argument, EVENT_CURSORS)
    if mark == PAGE_MARK:
        raise invalid_cursor(argument, "it is the cursor of a page", EVENT_CURSORS)
    try:
        epoch, topic, seq = rest
        if mark != EVENT_MARK:
            raise ValueError(mark)
        return EventPosition(UUID(hex=epoch), _text(topic), _number(seq))
    except (ValueError, TypeError, AttributeError):
        raise invalid_cursor(argument, NOT_OURS, EVENT_CURSORS) from None


def page_request(
    order: Order,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    *,
    default: int = DEFAULT_NESTED_PAGE,
    largest: int = MAX_PAGE,
) -> PageRequest:
    """The page that the arguments ask for. Raises InvalidInput (INVALID_PAGE_SIZE, INVALID_CURSOR)."""
    backward = last is not None or (before is not None and first is None)
    if (first is not None or after is not None) and (last is not None or before is not None):
        raise InvalidInput(
            "Give first (with after) or last (with before), not both.", ("first",), code="INVALID_PAGE_SIZE"
        )
    argument, size = ("last", last) if backward else ("first", first)
    if size is not None and not 1 <= size <= largest:
        raise InvalidInput(
            f"{argument} is {size}; it must be from 1 to {largest}.", (argument,), code="INVALID_PAGE_SIZE"
        )
    cursor, cursor_argument = (before, "before") if backward else (after, "after")
    place = None if cursor is None else decode_cursor(order, cursor, cursor_argument)
    return PageRequest(size or default, place, backward)


def checked_at_most(at_most: int) -> int:
    """The limit of a count. Raises InvalidInput (INVALID_PAGE_SIZE)."""
    if not 1 <= at_most <= MAX_COUNT:
        raise InvalidInput(
            f"atMost is {at_most}; it must be from 1 to {MAX_COUNT}.", ("atMost",), code="INVALID_PAGE_SIZE"
        )
    return at_most
