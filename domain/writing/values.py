"""How what a record says joins what is stored: None never erases, firsts stay first, lasts stay last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, overload

EARLIEST = frozenset({"created_at", "started_at"})
LATEST = frozenset({"updated_at", "ended_at", "last_seen_at"})


@overload
def instant(at: datetime) -> datetime: ...
@overload
def instant(at: None) -> None: ...
def instant(at: datetime | None) -> datetime | None:
    """Cut to milliseconds, as the tables keep it: what is read back must equal what was written."""
    if at is None or not at.microsecond % 1000:
        return at
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def merge(state: dict[str, Any], told: Mapping[str, Any], names: Iterable[str]) -> None:
    """Move `state` on to what is told now, for these columns."""
    for name in names:
        value = told[name]
        if value is None:
            continue
        held = state[name]
        if held is not None and ((name in EARLIEST and held < value) or (name in LATEST and held > value)):
            continue
        state[name] = value
