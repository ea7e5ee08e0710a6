"""Scalars of our own, and how each goes to and from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from execution.forms import Rounded, Tables, Whole, written_as
from resolvers.instants import MILLISECOND, MINUTE, MINUTES, RESTS, show_instant

SafeInt = NewType("SafeInt", int)
USD = NewType("USD", float)
EventCursor = NewType("EventCursor", str)

LARGEST = 2**53 - 1
MOST_USD = 9_007_199.0  # below it, nine decimals are exact


def _instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise GraphQLError('DateTime must be a string such as "2026-11-20T12:00:00.000Z".')
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f'{value!r} is no DateTime; write it as "2026-11-20T12:00:00.000Z".') from None
    if moment.tzinfo is None:
        raise GraphQLError(f"{value!r} has no timezone; end it with Z or an offset such as +02:00.")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise GraphQLError(f"{value!r} is out of range.") from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@written_as(Tables(MINUTES, MINUTE, RESTS, MILLISECOND))
def _show_instant(value: Any) -> str:
    return show_instant(value)


@written_as(Whole(-LARGEST, LARGEST))
def _safe_int(value: Any) -> int:
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if type(number) is not int or not -LARGEST <= number <= LARGEST:
        raise GraphQLError(f"SafeInt must be an integer within ±(2^53-1), not {value!r}.")
    return number


@written_as(Rounded(-MOST_USD, MOST_USD, 9))
def _usd(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise GraphQLError(f"USD must be a number, not {value!r}.")
    amount = float(value)
    if not -MOST_USD <= amount <= MOST_USD:
        raise GraphQLError(f"USD must be within ±9,007,199, not {value!r}.")
    return round(amount, 9)


def _cursor(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphQLError("EventCursor must be a string that a subscription or eventCursor gave.")
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant: RFC 3339 in UTC with exactly three fraction digits, so that the order of the strings"
        " is the order of time. Input may have any offset. TypeScript: string.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=_show_instant,
        parse_value=_instant,
    ),
    SafeInt: strawberry.scalar(
        name="SafeInt",
        description="A JSON integer within ±(2^53-1): tokens, milliseconds, sequence numbers. TypeScript: number.",
        serialize=_safe_int,
        parse_value=_safe_int,
    ),
    USD: strawberry.scalar(
        name="USD",
        description="US dollars as a JSON number with at most nine decimals; exact below 9,007,199."
        " TypeScript: number.",
        serialize=_usd,
        parse_value=_usd,
    ),
    EventCursor: strawberry.scalar(
        name="EventCursor",
        description="A place in a stream of events, opaque, for `after` of subscriptions only. A page cursor given in"
        " its place is INVALID_CURSOR. TypeScript: string.",
        serialize=_cursor,
        parse_value=_cursor,
    ),
}
