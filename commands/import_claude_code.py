"""`fleetgraph import claude-code [DIR…]`: reads transcripts and says what it read, wrote and skipped.

The caller gives the open database, the clock and the terminal; this module owns the words.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from commands.report_json import report_json
from db.database import Database
from db.queries import imports
from ingest.claude_code.files import Transcript, default_directories, find_transcripts, in_order, transcript_at
from ingest.claude_code.format import ClaudeCode
from ingest.formats import NothingToRead
from ingest.report import Report
from ingest.run import Clock, Publish, import_files
from ingest.watch import Source

logger = logging.getLogger(__name__)
STOPPED = 130  # what a shell expects of a program that Ctrl-C has ended


async def import_claude_code(
    database: Database,
    transcripts: Sequence[Transcript],
    *,
    host: str,
    clock: Clock,
    publish: Publish,
    show_progress: bool,
    explorer: str | None = None,
    as_json: bool = False,
    output: TextIO,
    errors: TextIO,
) -> int:
    """Import the transcripts and tell of it. Returns the exit code."""
    report, started = Report(), clock()
    total = sum(file.size for file in transcripts)
    bar = _progress(output) if show_progress else None
    try:
        with bar or nullcontext():
            advance = _advance(bar, total, report)
            await import_files(
                database,
                transcripts,
                ClaudeCode(transcripts),
                host=host,
                clock=clock,
                publish=publish,
                report=report,
                advance=advance,
            )
    except asyncio.CancelledError:
        print("Stopped. What was read is kept; the same command goes on from here.", file=errors)
        return STOPPED
    except Exception as error:
        logger.debug("the import stopped", exc_info=True)
        reason = str(error) or type(error).__name__
        print(f"The import stopped: {reason}. What was read is kept; start it again to go on.", file=errors)
        return 1
    elapsed, totals = clock() - started, await imports.host_totals(database.read, host)
    if as_json:
        print(report_json(report, elapsed, host, totals), file=output)
    else:
        for line in [*report_lines(report, elapsed), *_store_lines(totals, host, report, explorer)]:
            print(line, file=output)
    return 1 if report.unreadable else 0


def watched(
    database: Database,
    folders: Sequence[Path],
    transcripts: Sequence[Transcript],
    *,
    host: str,
    clock: Clock,
    publish: Publish,
) -> Source:
    """What `--watch` goes on with after the first import of the transcripts."""
    format = ClaudeCode(transcripts)

    async def take(paths: Sequence[Path], report: Report) -> None:
        changed = in_order(file for path in paths if (file := transcript_at(path)) is not None)
        format.add(changed)
        await import_files(database, changed, format, host=host, clock=clock, publish=publish, report=report)

    return Source(ClaudeCode.name, host, folders, lambda path: path.suffix == ".jsonl", take)


def find(directories: Sequence[Path], environment: Mapping[str, str]) -> list[Transcript]:
    """The transcripts below the folders; without folders where Claude Code keeps them. Raises NothingToRead."""
    return find_transcripts(folders_of(directories, environment))


def folders_of(directories: Sequence[Path], environment: Mapping[str, str]) -> list[Path]:
    """The folders, or else where Claude Code keeps its transcripts here. Raises NothingToRead."""
    if directories:
        return list(directories)
    home = Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    places = default_directories(home, environment)
    there = [place for place in places if place.exists()]
    if not there:
        listed = " or ".join(str(place) for place in places)
        raise NothingToRead(f"no transcripts: there is no {listed}; name the folder: fleetgraph import claude-code DIR")
    return there


def _progress(output: TextIO) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=output),
        transient=True,
    )


def _advance(bar: Progress | None, total: int, report: Report) -> Callable[[int], None]:
    if bar is None:
        return lambda _bytes: None
    task = bar.add_task("Reading", total=total)

    def advance(size: int) -> None:
        new = report.written["new_tasks"]
        bar.update(task, advance=size, description=f"{report.files:,} files, {new:,} new tasks")

    return advance


def report_lines(report: Report, elapsed: timedelta) -> list[str]:
    """What was read, what was written, what was left out and why."""
    seconds = max(elapsed.total_seconds(), 0.001)
    size = report.bytes / 1e6
    written = report.written
    lines = [
        f"Read {report.lines:,} lines, {size:,.1f} MB, of {report.files:,} files"
        f" in {seconds:.1f} s ({size / seconds:.1f} MB/s); {report.unchanged_files:,} files had nothing new",
        f"Wrote {written['new_tasks']:,} tasks, {written['new_conversations']:,} conversations,"
        f" {written['new_messages']:,} messages, {written['new_log_lines']:,} log lines,"
        f" {written['new_tool_calls']:,} tool calls",
    ]
    told = written["new_calls"] + written["duplicate_calls"]
    if told:
        lines.append(f"{told:,} rows told of model calls; each call is counted once")
    if report.repeated_rows:
        lines.append(f"{report.repeated_rows:,} rows were known from another file, or from before")
    if report.read_again_files:
        lines.append(f"{report.read_again_files:,} files were replaced since the last import and read from their start")
    for waiting in report.waiting[:20]:
        lines.append(f"Waits for its rest: {waiting.path}:{waiting.line}")
    for unreadable in report.unreadable:
        lines.append(f"Could not be read: {unreadable.path}: {unreadable.reason}")
    if report.skipped_count:
        lines.append(f"Skipped {report.skipped_count:,} lines:")
        lines += [f"  {skipped.path}:{skipped.line}: {skipped.reason}" for skipped in report.skipped]
        if report.skipped_count > len(report.skipped):
            lines.append(f"  and {report.skipped_count - len(report.skipped):,} more")
    return lines


def see_them(explorer: str | None, operation: str) -> str:
    """Where to look at what was imported; `explorer` is its address, when a server runs here."""
    where = explorer or "`make run` prints its address"
    return f"See them in the explorer ({where}): Operations, {operation}"


def _store_lines(totals: imports.HostTotalsRow | None, host: str, report: Report, explorer: str | None) -> list[str]:
    if totals is None:
        return []
    lines = [
        f"In the store from {host}: {totals.task_count:,} tasks in {totals.conversation_count:,} conversations,"
        f" {totals.call_count:,} model calls, ${totals.cost_usd:,.2f}"
    ]
    if totals.unpriced_models:
        lines.append(f"No price is known for: {', '.join(totals.unpriced_models)}; their calls cost null, not 0")
    if report.written["new_tasks"]:
        lines.append(see_them(explorer, "TaskBoard"))
    return lines
