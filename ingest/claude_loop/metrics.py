"""metrics.json and summary.json, in the shape of claude-loop's documentation and in that which it really writes.

Its own dashboard reads the first and so shows a real run without cost and as not running: here both are read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.text import clean
from ingest.claude_loop.times import Times

# A line of the shell's debug output among the names of agents, and other things that are no names.
_NAME = re.compile(r"[A-Za-z0-9][\w .:/@+-]{0,99}")
_MOST_DOLLARS = 10**6  # no run costs that, and the sums must stay within NUMERIC(18,9)
_MOST = 2**53  # what a JSON number holds exactly
_LONGEST_MS = 10 * 366 * 24 * 3600 * 1000  # no iteration takes ten years
_MOST_JSON = 1 << 16  # characters of what is kept of a run's metrics


@dataclass(slots=True)
class Iteration:
    """One turn of the loop, as the metrics tell it. `name` is unique within the run."""

    name: str
    number: int
    story: str | None
    title: str | None = None
    status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    model: str | None = None
    agents: tuple[str, ...] = ()


@dataclass(slots=True)
class Metrics:
    """What a run's files count."""

    session_id: str | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    elapsed_ms: int | None = None
    cost: Decimal | None = None
    iterations: list[Iteration] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)


def read_metrics(value: dict[str, Any], times: Times, began: datetime | None) -> Metrics:
    """Metrics from their JSON; `began` is when the run began, for iterations that tell no time."""
    totals = _object(value.get("totals"))
    seconds = number(value.get("elapsed_time_s"))
    metrics = Metrics(
        session_id=text(value.get("session_id")),
        started_at=times.read(value.get("started_at")) or times.read(value.get("start_time")),
        updated_at=times.read(value.get("updated_at")) or times.read(value.get("last_update")),
        elapsed_ms=count(totals.get("wall_duration_ms")) or (None if seconds is None else round(seconds * 1000)),
        cost=money(totals.get("cost_usd", value.get("total_cost"))),
        rest=kept({key: found for key, found in value.items() if key != "iterations"}),
    )
    at = metrics.started_at or began
    seen: dict[int, int] = {}
    listed = value.get("iterations")
    for index, entry in enumerate(listed if isinstance(listed, list) else [], 1):
        if isinstance(entry, dict):
            iteration = _iteration(entry, index, times, at, seen)
            at = iteration.ended_at or at
            metrics.iterations.append(iteration)
    return metrics


def read_summary(value: dict[str, Any], metrics: Metrics) -> None:
    """Fill in from summary.json what the metrics do not tell."""
    duration, cost = _object(value.get("duration")), _object(value.get("cost"))
    seconds = number(value.get("elapsed_time_s"))
    if metrics.elapsed_ms is None:
        metrics.elapsed_ms = count(duration.get("wall_ms")) or (None if seconds is None else round(seconds * 1000))
    if metrics.cost is None:
        metrics.cost = money(cost.get("total_usd", value.get("total_cost")))
    metrics.rest["summary"] = kept(value)


def _iteration(
    entry: dict[str, Any], index: int, times: Times, before: datetime | None, seen: dict[int, int]
) -> Iteration:
    told = count(entry.get("iteration"))
    place = index if told is None else told
    seen[place] = seen.get(place, 0) + 1
    took = _first(count(entry.get("duration_ms")), count(entry.get("elapsed_ms")))
    if took is not None and took > _LONGEST_MS:
        took = None
    ended = times.read(entry.get("timestamp"))
    if ended is None and before is not None:
        ended = before + timedelta(milliseconds=took or 0)
    agents = entry.get("agents_used")
    return Iteration(
        name=str(place) if seen[place] == 1 else f"{place}.{seen[place]}",
        number=place,
        story=text(entry.get("story_id")),
        title=text(entry.get("story_title")),
        status=text(entry.get("status")),
        started_at=None if ended is None or took is None else ended - timedelta(milliseconds=took),
        ended_at=ended,
        input_tokens=count(entry.get("tokens_in")) or 0,
        output_tokens=count(entry.get("tokens_out")) or 0,
        cost=money(_first(entry.get("cost_usd"), entry.get("cost"))),
        model=text(entry.get("model")),
        agents=tuple(name for name in agents if isinstance(name, str) and _NAME.fullmatch(name))
        if isinstance(agents, list)
        else (),
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """A text that says something."""
    return value.strip() or None if isinstance(value, str) else None


def number(value: object) -> float | None:
    """A finite number, also one that the shell wrote as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST:
        return value
    return None


def count(value: object) -> int | None:
    """A number of things or milliseconds."""
    found = number(value)
    return None if found is None or found < 0 else int(found)


def money(value: object) -> Decimal | None:
    """Dollars."""
    found = number(value)
    return None if found is None or not 0 <= found < _MOST_DOLLARS else Decimal(repr(found))


def kept(value: dict[str, Any]) -> dict[str, Any]:
    """What a source says beside what we read of it, as PostgreSQL and JSON can hold it; of too much only the known."""
    try:
        fit: dict[str, Any] = _fit(value)
    except RecursionError:  # nested as deeply as the parser just allows
        return {}
    if len(json.dumps(fit)) > _MOST_JSON:
        fit = {name: fit[name] for name in ("cache", "parallel") if name in fit}
    return fit if len(json.dumps(fit)) <= _MOST_JSON else {}


def _fit(value: Any) -> Any:
    if isinstance(value, dict):
        return {clean(key): _fit(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_fit(entry) for entry in value]
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if abs(value) < _MOST else None  # infinity and NaN are no JSON
    return value
