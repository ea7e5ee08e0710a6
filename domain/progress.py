"""How far a run is, and whether it still goes on: rules only, no clock and no database."""

from __future__ import annotations

from datetime import datetime, timedelta

# A loop writes its metrics with every step. What has been silent for longer is not at work (as in its own dashboard).
RUNNING_FOR = timedelta(seconds=60)
UNFINISHED = ("RUNNING", "STALLED")


def is_running(status: str, updated_at: datetime, now: datetime) -> bool:
    """Whether a run has not ended and was heard of in the last 60 seconds."""
    return status in UNFINISHED and now - updated_at < RUNNING_FOR


def status_at(status: str, updated_at: datetime, now: datetime) -> str:
    """A run's status now: an unfinished run has stalled when it is silent."""
    if status not in UNFINISHED:
        return status
    return "RUNNING" if is_running(status, updated_at, now) else "STALLED"


def percent(completed: int, total: int) -> float:
    """From 0 to 100, with a decimal; 0 without stories."""
    return round(100 * completed / total, 1) if total else 0.0


def remaining_ms(elapsed_ms: int, completed: int, total: int) -> int | None:
    """What the stories that are left will take if they take as long as those before; None before the first."""
    return round(elapsed_ms / completed * (total - completed)) if completed else None


def elapsed_ms(told_ms: int | None, started_at: datetime | None, last_at: datetime) -> int:
    """How long a run has taken: what its source measured, else from its start to when it was last heard of."""
    if told_ms is not None:
        return told_ms
    return 0 if started_at is None else max(0, (last_at - started_at) // timedelta(milliseconds=1))
