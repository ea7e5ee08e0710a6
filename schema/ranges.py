"""TimeRange and its parts."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry import UNSET

from resolvers.ranges import Calendar, Last, Range, Span
from schema.enums import CalendarUnit
from schema.scalars import SafeInt


@strawberry.input(description="From one instant to another.")
class TimeSpan:
    """Becomes resolvers.ranges.Span."""

    from_: datetime = strawberry.field(name="from", description="The first instant that is in it.")
    to: datetime = strawberry.field(description="The first instant that is no longer in it.")


@strawberry.input(description="The present day, week or month, up to now.")
class CalendarPeriod:
    """Becomes resolvers.ranges.Calendar."""

    unit: CalendarUnit = strawberry.field(description="Day, week or month.")
    timezone: str = strawberry.field(description="Whose midnight: an IANA name such as Europe/Berlin or UTC.")


@strawberry.input(
    one_of=True, description="A range of time; exactly one of its fields. The last two move with the clock."
)
class TimeRange:
    """Becomes resolvers.ranges.Range."""

    between: TimeSpan | None = strawberry.field(default=UNSET, description="Between two instants.")
    last_ms: SafeInt | None = strawberry.field(default=UNSET, description="The last so many milliseconds.")
    calendar: CalendarPeriod | None = strawberry.field(default=UNSET, description="The present day, week or month.")


def to_range(value: TimeRange) -> Range:
    """The range for the resolvers; @oneOf has made sure that there is exactly one."""
    if value.between:
        return Span(value.between.from_, value.between.to)
    if value.calendar:
        return Calendar(str(value.calendar.unit.value), value.calendar.timezone)
    return Last(int(value.last_ms or 0))
