"""Instants as PostgreSQL counts them: microseconds since 2000. Rows of the read pool hold them so, not as datetimes.

Making a datetime takes asyncpg 0.5 µs and showing it another 1.2; of the many that are only shown none is made. A row's
attribute is a datetime all the same (db.models.base); what is at the column's place in the row may be either.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_datetime(value: Any) -> Any:
    """The datetime of what a row holds; None stays None."""
    return EPOCH + timedelta(microseconds=value) if value.__class__ is int else value


def milliseconds(start: Any, end: Any) -> int:
    """How long it is from one instant of a row to another of the same row, as the row has them."""
    passed: Any = end - start
    return int(passed // 1000) if passed.__class__ is int else round(passed.total_seconds() * 1000)


def to_stored(value: Any) -> Any:
    """What PostgreSQL counts for a datetime; anything else stays as it is."""
    return (value - EPOCH) // MICROSECOND if value.__class__ is datetime else value


async def keep_instants(connection: Any) -> None:
    """Let a connection give and take instants as they are counted: on the wire they are such integers anyway."""
    await connection.set_builtin_type_codec("timestamptz", schema="pg_catalog", codec_name="int8", format="binary")
