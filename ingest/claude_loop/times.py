"""Times as claude-loop writes them: with a timezone, with the letters of one, or without any; or a mere date.

What has no timezone is read in one that is assumed, and says so. The raw text is always kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

_STAMP = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)\]?"
    r"(?:[T ](?P<clock>\d{1,2}:\d\d(?::\d\d)?)(?:\.\d+)?(?: ?(?P<half>AM|PM)\b)?)?"
    r"(?: ?(?P<zone>Z\b|[+-]\d\d:?\d\d\b|[A-Z]{3,4}\b(?!-)))?"
)
# `date` of the shell: Fri Mar 27 07:42:26 AM UTC 2026
_SHELL_DATE = re.compile(
    r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)(?: (?P<half>AM|PM))?"
    r"(?: (?P<zone>[A-Za-z]+))? (?P<year>\d{4})"
)
_FOLDER = re.compile(r"(?P<date>\d{8})_(?P<clock>\d{6})")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_OFFSETS = {
    "Z": 0,
    "UTC": 0,
    "GMT": 0,
    "UNIVERSAL": 0,
    "CET": 1,
    "CEST": 2,
    "JST": 9,
    "EST": -5,
    "EDT": -4,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
}  # letters that mean two zones (CST, IST) are not here: those times count as having none


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time: the instant, the clock's own reading, its text, and the timezone that was assumed (None: it had one)."""

    at: datetime
    local: datetime
    raw: str
    assumed: str | None
    is_date: bool = False

    def remark(self) -> str:
        """The raw text and how it was read, for people."""
        how = "" if self.assumed is None else f" (no timezone given: read as {self.assumed})"
        return self.raw + how


class Times:
    """Reads times; those without a timezone in `zone`, None is this machine's own."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone

    def find(self, text: str) -> Stamp | None:
        """The first time in a text."""
        match = _STAMP.search(text)
        if match is None:
            return self._shell_date(text)
        raw = match[0].replace("]", "")
        clock = match["clock"]
        return self._stamp(match["date"], clock, match["half"], match["zone"], raw)

    def read(self, value: object) -> datetime | None:
        """The instant that a JSON value names; None when it names none. Numbers are seconds since 1970."""
        if isinstance(value, str):
            found = self.find(value)
            return None if found is None else found.at
        if isinstance(value, int | float) and not isinstance(value, bool) and 946_684_800 <= value <= 4_102_444_800:
            return datetime.fromtimestamp(value, UTC)
        return None

    def folder(self, name: str) -> Stamp | None:
        """The time in a folder's name: 20260113_200000, or 2026-03-04-feature."""
        match = _FOLDER.search(name)
        if match is None:
            return self.find(name) if _STAMP.match(name) else None
        date, clock = match["date"], match["clock"]
        return self._stamp(
            f"{date[:4]}-{date[4:6]}-{date[6:]}", f"{clock[:2]}:{clock[2:4]}:{clock[4:]}", None, None, match[0]
        )

    def _shell_date(self, text: str) -> Stamp | None:
        match = _SHELL_DATE.search(text)
        if match is None or match["month"] not in _MONTHS:
            return None
        date = f"{match['year']}-{_MONTHS.index(match['month']) + 1:02}-{int(match['day']):02}"
        return self._stamp(date, match["clock"], match["half"], match["zone"], match[0])

    def _stamp(self, date: str, clock: str | None, half: str | None, zone: str | None, raw: str) -> Stamp | None:
        if not "2000" <= date[:4] < "2100":
            return None  # no time of a loop: a mistake, or a number that looks like one
        try:
            local = datetime.fromisoformat(f"{date}T{(clock or '00:00').zfill(5)}")
        except ValueError:
            return None  # the 30th of February
        if half == "PM" and local.hour < 12:
            local += timedelta(hours=12)
        elif half == "AM" and local.hour == 12:
            local -= timedelta(hours=12)
        known = _zone(zone)
        if known is None:
            aware = local.astimezone() if self._zone is None else local.replace(tzinfo=self._zone)
            name = aware.tzname() or str(aware.tzinfo) if self._zone is None else str(self._zone)
            return Stamp(aware.astimezone(UTC), local, raw, name, clock is None)
        return Stamp(local.replace(tzinfo=known).astimezone(UTC), local, raw, None, clock is None)


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text[0] in "+-":
        digits = text[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return timezone(-offset if text[0] == "-" else offset)
    hours = _OFFSETS.get(text.upper())
    return None if hours is None else timezone(timedelta(hours=hours))
