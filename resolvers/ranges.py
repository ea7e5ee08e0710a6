"""Ranges of time: fixed, or moving with the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import InvalidInput
from resolvers.inputs import shown

MAX_LAST_MS = 100 * 366 * 24 * 3600 * 1000  # a century: more is a mistake of units


@dataclass(frozen=True, slots=True)
class Span:
    """From `start`, which is in it, to `end`, which is not."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Last:
    """The last so many milliseconds up to now."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """The present day, week (from Monday) or month in a timezone, up to now."""

    unit: str
    timezone: str


Range = Span | Last | Calendar


def _invalid(message: str, argument: str) -> InvalidInput:
    return InvalidInput(message, (argument,), code="INVALID_RANGE")


def resolve_range(wanted: Range, now: datetime, argument: str = "range") -> Span:
    """The instants that a range means now. Raises InvalidInput (INVALID_RANGE)."""
    if isinstance(wanted, Span):
        if wanted.start >= wanted.end:
            raise _invalid("The range ends before it begins: `from` must be earlier than `to`.", argument)
        return wanted
    if isinstance(wanted, Last):
        if not 0 < wanted.milliseconds <= MAX_LAST_MS:
            raise _invalid(f"lastMs is {wanted.milliseconds}; it must be from 1 to {MAX_LAST_MS}.", argument)
        # A millisecond on: what was written in this very one is in the range.
        return Span(now - timedelta(milliseconds=wanted.milliseconds), now + timedelta(milliseconds=1))
    try:
        zone = ZoneInfo(wanted.timezone)
    except (OSError, ValueError, ZoneInfoNotFoundError):  # a folder's name; no name at all, such as ../etc; not found
        raise _invalid(
            f"{shown(wanted.timezone)} is no timezone; use a name such as Europe/Berlin or UTC.", argument
        ) from None
    # The first midnight where clocks that go back show two of them.
    start = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if wanted.unit == "WEEK":
        start -= timedelta(days=start.weekday())
    elif wanted.unit == "MONTH":
        start = start.replace(day=1)
    return Span(start.astimezone(UTC), now + timedelta(milliseconds=1))
