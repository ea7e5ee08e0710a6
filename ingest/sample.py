"""The sample fleet: transcripts of our own, imported like anyone's, under a host name that nobody's machine has.

Their times are fixed in the files; a copy moves all by the same span, so that an empty store does not start stale.
"""

from __future__ import annotations

import os
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.database import Database
from ingest.claude_code.files import find_transcripts
from ingest.claude_code.format import ClaudeCode
from ingest.run import Publish, Report, import_files

SAMPLE_HOST = "sample"
SAMPLE_FOLDER = Path(__file__).resolve().parent.parent / "sample" / "projects"
# Old enough that every turn in it is over.
NEWEST_AGE = timedelta(hours=1)

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
    return report


def sample_copy(target: Path, now: datetime) -> None:
    """Write the transcripts to `target`, their times moved so that the newest row is NEWEST_AGE old; ids stay."""
    texts = {path: path.read_text() for path in sorted(SAMPLE_FOLDER.rglob("*.jsonl"))}
    newest = max(_instant(found) for text in texts.values() for found in _TIMESTAMP.findall(text))
    moved_by = now - NEWEST_AGE - newest

    def move(match: re.Match[str]) -> str:
        return f'"timestamp":"{_show(_instant(match[1]) + moved_by)}"'

    for path, text in texts.items():
        copy = target / path.relative_to(SAMPLE_FOLDER)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(_TIMESTAMP.sub(move, text))
        # As when they were written: the import reads older files first.
        last = (max(map(_instant, _TIMESTAMP.findall(text))) + moved_by).timestamp()
        os.utime(copy, (last, last))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _show(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
