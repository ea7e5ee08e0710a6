"""What an import did, for people and programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from domain.records import Applied

SKIPPED_SHOWN = 20

_COUNTS = (
    "new_tasks",
    "changed_tasks",
    "new_conversations",
    "new_runs",
    "changed_runs",
    "new_stories",
    "new_messages",
    "new_log_lines",
    "new_tool_calls",
    "new_calls",
    "duplicate_calls",
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that was left out, or a file that could not be read (line 0)."""

    path: str
    line: int
    reason: str


@dataclass(slots=True)
class Report:
    """What an import did."""

    files: int = 0
    unchanged_files: int = 0
    read_again_files: int = 0
    bytes: int = 0
    lines: int = 0
    repeated_rows: int = 0
    waiting: list[Skipped] = field(default_factory=list)
    unreadable: list[Skipped] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    skipped_count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    def skip(self, skipped: Skipped) -> None:
        """Count a line that was left out; the first few are kept."""
        self.skipped_count += 1
        if len(self.skipped) < SKIPPED_SHOWN:
            self.skipped.append(skipped)

    def add(self, applied: Applied) -> None:
        """Count what a transaction wrote."""
        for name in _COUNTS:
            self.written[name] += getattr(applied, name)
