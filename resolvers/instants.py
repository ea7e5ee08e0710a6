"""How instants are shown: RFC 3339 in UTC with exactly three fraction digits, so that their strings sort as they do.

Rows hold microseconds since 2000 (db.instants). Their minute and the rest of it are looked up: an eighth of the work of
a datetime and its isoformat.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from db.instants import to_datetime

MINUTE: Final = 60_000_000  # microseconds
MILLISECOND: Final = 1_000
MAX_MINUTES = 10_000  # kept, of 100 bytes each; a board shows some hundred


class _Minutes(dict[int, str]):
    """The beginnings of instants, by minutes since 2000."""

    def __missing__(self, minute: int) -> str:
        if len(self) >= MAX_MINUTES:
            self.clear()
        self[minute] = text = _shown(to_datetime(minute * MINUTE))[:17]
        return text


class _Rests(dict[int, str]):
    """The ends of instants, by milliseconds of their minute."""

    def __missing__(self, millisecond: int) -> str:
        self[millisecond] = text = f"{millisecond // 1000:02}.{millisecond % 1000:03}Z"
        return text


MINUTES: Final = _Minutes()
RESTS: Final = _Rests()


def show_instant(moment: datetime | int) -> str:
    """The instant as clients see it, of a datetime or of what a row holds."""
    if isinstance(moment, int):
        return MINUTES[moment // MINUTE] + RESTS[moment % MINUTE // MILLISECOND]
    return _shown(moment)


def _shown(moment: datetime) -> str:
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"  # without the offset
