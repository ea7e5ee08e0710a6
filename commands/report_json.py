"""An import's report for programs: one JSON object, whose names are those of the words that people read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from db.models.base import Row
from ingest.report import Report, Skipped


def report_json(report: Report, elapsed: timedelta, host: str, store: Row | None) -> str:
    """What was read, written and left out; `store` is what it now holds of the host. `skipped` has the first few."""
    return json.dumps(
        {
            "host": host,
            "seconds": round(elapsed.total_seconds(), 3),
            "files": report.files,
            "unchangedFiles": report.unchanged_files,
            "readAgainFiles": report.read_again_files,
            "bytes": report.bytes,
            "lines": report.lines,
            "repeatedRows": report.repeated_rows,
            "written": _camel(report.written),
            "waiting": _places(report.waiting),
            "unreadable": _places(report.unreadable),
            "skippedCount": report.skipped_count,
            "skipped": _places(report.skipped),
            "store": _camel(dict(store.items())) if store else None,
        }
    )


def _places(skipped: Sequence[Skipped]) -> list[dict[str, str | int | None]]:
    return [{"path": one.path, "line": one.line or None, "reason": one.reason} for one in skipped]


def _camel(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same by names such as newTasks."""
    named = {}
    for name, value in values.items():
        first, *rest = name.split("_")
        named[first + "".join(word.capitalize() for word in rest)] = value
    return named
