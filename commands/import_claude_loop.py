"""`fleetgraph import claude-loop DIR…`: reads runs, stories and logs, and says what it read, wrote and skipped.

The caller gives the open database, the clock and the terminal; this module owns the words.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from commands.import_claude_code import see_them
from commands.report_json import report_json
from db.database import Database
from db.queries import imports
from ingest.claude_loop.files import Found, project_of, projects_of
from ingest.claude_loop.run import import_loops
from ingest.formats import NothingToRead
from ingest.report import Report
from ingest.run import Clock, Publish
from ingest.watch import Source

logger = logging.getLogger(__name__)
STOPPED = 130  # what a shell expects of a program that Ctrl-C has ended
SHOWN = 20


async def import_claude_loop(
    database: Database,
    found: Found,
    *,
    host: str,
    zone: tzinfo | None,
    clock: Clock,
    publish: Publish,
    explorer: str | None = None,
    as_json: bool = False,
    output: TextIO,
    errors: TextIO,
) -> int:
    """Import the projects and tell of it. Returns the exit code."""
    report, started = Report(), clock()
    try:
        await import_loops(database, found, host=host, zone=zone, clock=clock, publish=publish, report=report)
    except asyncio.CancelledError:
        print("Stopped. What was read is kept; the same command goes on from here.", file=errors)
        return STOPPED
    except Exception as error:
        logger.debug("the import stopped", exc_info=True)
        reason = str(error) or type(error).__name__
        print(f"The import stopped: {reason}. What was read is kept; start it again to go on.", file=errors)
        return 1
    elapsed, totals = clock() - started, await imports.loop_totals(database.read, host)
    if as_json:
        print(report_json(report, elapsed, host, totals), file=output)
    else:
        for line in [*report_lines(report, elapsed), *_store_lines(totals, host, explorer)]:
            print(line, file=output)
    return 1 if report.unreadable else 0


def watched_loops(
    database: Database,
    folders: Sequence[Path],
    *,
    host: str,
    zone: tzinfo | None,
    clock: Clock,
    publish: Publish,
) -> Source:
    """What `--watch` goes on with after the first import of the projects below the folders."""
    absolute = [Path(os.path.abspath(folder)) for folder in folders]

    async def take(paths: Sequence[Path], report: Report) -> None:
        found = await asyncio.to_thread(projects_of, paths, absolute)
        await import_loops(database, found, host=host, zone=zone, clock=clock, publish=publish, report=report)

    return Source("claude-loop", host, absolute, lambda path: project_of(path) is not None, take)


def timezone(name: str | None) -> tzinfo | None:
    """A timezone by its name; None is this machine's. Raises NothingToRead with what to say instead."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not found; or no name at all, such as ../etc
        raise NothingToRead(f"{name!r} is no timezone; use a name such as Europe/Berlin or UTC") from None


def report_lines(report: Report, elapsed: timedelta) -> list[str]:
    """What was read, what was written, what was left out and why."""
    written = report.written
    lines = [
        f"Read {report.files - report.unchanged_files:,} of {report.files:,} files in"
        f" {max(elapsed.total_seconds(), 0.001):.1f} s; {report.unchanged_files:,} have not changed",
        f"Wrote {written['new_runs']:,} runs, {written['new_stories']:,} stories, {written['new_tasks']:,} tasks,"
        f" {written['new_log_lines']:,} log lines, {written['new_tool_calls']:,} tool calls,"
        f" {written['new_calls']:,} model calls; {written['changed_runs']:,} runs and"
        f" {written['changed_tasks']:,} tasks moved on",
    ]
    if report.kinds["other files"]:
        lines.append(f"Passed over {report.kinds['other files']:,} files that are none of claude-loop's")
    for waiting in report.waiting[:SHOWN]:
        line = f":{waiting.line}" if waiting.line else ""
        lines.append(f"Waits for its rest: {waiting.path}{line}")
    for unreadable in report.unreadable:
        lines.append(f"Could not be read: {unreadable.path}: {unreadable.reason}")
    if report.skipped_count:
        lines.append(f"Skipped {report.skipped_count:,} files or lines:")
        for skipped in report.skipped:
            line = f":{skipped.line}" if skipped.line else ""
            lines.append(f"  {skipped.path}{line}: {skipped.reason}")
        if report.skipped_count > len(report.skipped):
            lines.append(f"  and {report.skipped_count - len(report.skipped):,} more")
    return lines


def _store_lines(totals: imports.LoopTotalsRow | None, host: str, explorer: str | None) -> list[str]:
    if totals is None:
        return []
    reported = "" if totals.reported_cost_usd is None else f"; ${totals.reported_cost_usd:,.2f} by the runs' own sums"
    lines = [
        f"In the store from {host}: {totals.run_count:,} runs with {totals.story_count:,} stories"
        f" ({totals.completed_story_count:,} completed), {totals.task_count:,} iterations,"
        f" ${totals.cost_usd:,.2f} by their model calls{reported}"
    ]
    if totals.run_count:
        lines.append(see_them(explorer, "RunBoard"))
    return lines
