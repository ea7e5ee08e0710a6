"""The sample fleet: transcripts and a run of our own, imported like anyone's, under a host that nobody's machine is.

Their times are fixed in the files; a copy moves all by the same span, so that an empty store does not start stale.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.database import Database
from db.queries import imports
from ingest.claude_code.files import find_transcripts
from ingest.claude_code.format import ClaudeCode
from ingest.claude_loop.files import find_loops
from ingest.claude_loop.run import import_loops
from ingest.report import Report
from ingest.run import Publish, import_files

SAMPLE_HOST = "sample"
SAMPLE_FOLDER = Path(__file__).resolve().parent.parent / "sample" / "projects"
# Old enough that every turn in it is over.
NEWEST_AGE = timedelta(hours=1)

LOOP_FOLDER = SAMPLE_FOLDER.parent / "claude-loop"
# Where the invented person's projects lie, as the transcripts say.
HOME = "/home/sam"

_LOOP_TIME = re.compile(r"(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)")
_TIMESTAMP = re.compile(r'"timestamp":"([0-9T:.Z-]+)"')


async def load_sample(database: Database, *, now: datetime, publish: Publish) -> Report:
    """Import the sample fleet as of `now`. For an empty store: a second time its rows are known and nothing changes."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="fleetgraph-sample-") as folder:
        sample_copy(Path(folder), now)
        transcripts = find_transcripts([Path(folder)])
        await import_files(
            database,
            transcripts,
            ClaudeCode(transcripts),
            host=SAMPLE_HOST,
            clock=lambda: now,
            publish=publish,
            report=report,
        )
    await _load_loops(database, report, now, publish)
    return report


async def _load_loops(database: Database, report: Report, now: datetime, publish: Publish) -> None:
    """Import the runs, once: their names are times, and those move."""
    stored = await imports.loop_totals(database.read, SAMPLE_HOST)
    if stored is not None and stored.run_count:
        return
    with tempfile.TemporaryDirectory(prefix="fleetgraph-sample-") as folder:
        loop_copy(Path(folder), now)
        found = find_loops([Path(folder)])
        for loop in found.loops:
            loop.name = f"{HOME}/{loop.root.name}"
        await import_loops(
            database, found, host=SAMPLE_HOST, zone=UTC, clock=lambda: now, publish=publish, report=report
        )


def sample_copy(target: Path, now: datetime) -> None:
    """Write the transcripts to `target`, their times moved so that the newest row is NEWEST_AGE old; ids stay."""
    texts = _transcripts()
    moved_by = _moved_by(texts, now)

    def move(match: re.Match[str]) -> str:
        return f'"timestamp":"{_show(_instant(match[1]) + moved_by)}"'

    for path, text in texts.items():
        copy = target / path.relative_to(SAMPLE_FOLDER)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(_TIMESTAMP.sub(move, text))
        # As when they were written: the import reads older files first.
        last = (max(map(_instant, _TIMESTAMP.findall(text))) + moved_by).timestamp()
        os.utime(copy, (last, last))


def loop_copy(target: Path, now: datetime) -> None:
    """Write the runs to `target`, their times and the names of their folders moved as the transcripts' are."""
    moved_by = _moved_by(_transcripts(), now)

    def move(match: re.Match[str]) -> str:
        at = datetime.fromisoformat(f"{match[1]}T{match[3]}") + moved_by
        return at.strftime(f"%Y-%m-%d{match[2]}%H:%M:%S")

    for path in sorted(LOOP_FOLDER.rglob("*")):
        if path.is_file():
            *folders, name = path.relative_to(LOOP_FOLDER).parts
            copy = target.joinpath(*(_moved_folder(folder, moved_by) for folder in folders), name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(_LOOP_TIME.sub(move, path.read_text()))


def _moved_folder(name: str, moved_by: timedelta) -> str:
    if not re.fullmatch(r"\d{8}_\d{6}", name):
        return name
    return (datetime.strptime(name, "%Y%m%d_%H%M%S").replace(tzinfo=UTC) + moved_by).strftime("%Y%m%d_%H%M%S")


def _transcripts() -> dict[Path, str]:
    return {path: path.read_text() for path in sorted(SAMPLE_FOLDER.rglob("*.jsonl"))}


def _moved_by(texts: Mapping[Path, str], now: datetime) -> timedelta:
    newest = max(_instant(found) for text in texts.values() for found in _TIMESTAMP.findall(text))
    return now - NEWEST_AGE - newest


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _show(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
