"""Transcripts are hostile text: whatever a row says, the import goes on, and what is sound in the file is stored."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.database import Database, WriteTransaction
from ingest.claude_code.files import find_transcripts
from ingest.claude_code.format import ClaudeCode
from ingest.report import Report
from ingest.run import import_files
from ingest.sample import SAMPLE_FOLDER
from tests.storage.build import START

ROWS: list[dict[str, Any]] = [
    json.loads(line) for path in sorted(SAMPLE_FOLDER.rglob("*.jsonl")) for line in path.read_text().splitlines()
]
HOSTILE: list[Any] = [
    None,
    True,
    -1,
    0,
    2**63,
    10**30,
    1e308,
    0.5,
    "",
    "\x00",
    "\ud800",
    "x" * 5_000,
    "\U0001f600" * 3_000,
    "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00.000Z",
    "2026-02-30T00:00:00Z",
    "not-a-date",
    [],
    [None],
    ["text", {"type": "text"}],
    {},
    {"type": "tool_use"},
    {"type": "tool_result", "content": [{"type": "text", "text": 5}]},
    [[[[]]]],
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything in a row."""
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += places(child, (*path, key))
    return found


def put(row: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The row with another value at a path."""
    changed = copy.deepcopy(row)
    parent: Any = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return changed


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """A row of the sample fleet with hostile values at up to three places."""
    row: dict[str, Any] = draw(st.sampled_from(ROWS))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(row) or [("type",)]))
        row = put(row, path, draw(st.sampled_from(HOSTILE)))
    return row


async def run(database: Database, folder: Path) -> Report:
    async def publish(_transaction: WriteTransaction) -> None:
        return None

    transcripts, report = find_transcripts([folder]), Report()
    await import_files(
        database, transcripts, ClaudeCode(transcripts), host="h", clock=lambda: START, publish=publish, report=report
    )
    return report


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)  # escapes lone surrogates, as a program would
    (folder / "11111111-2222-4333-8444-555555555555.jsonl").write_text(text)


async def test_spoiled_rows_stop_nothing(database: Database, tmp_path: Path) -> None:
    batches: list[list[dict[str, Any]]] = []

    # The same examples each time: a new find belongs to whoever looks for one, not to the next change.
    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(spoiled(), min_size=5, max_size=5))
    def collect(rows: list[dict[str, Any]]) -> None:
        batches.append(rows)

    collect()
    sound = ROWS[:10]
    for n, rows in enumerate(batches):
        write(tmp_path / str(n) / "project", [*rows, *sound])
    report = await run(database, tmp_path)
    assert not report.unreadable
    assert report.lines == sum(len(rows) + len(sound) for rows in batches)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
async def test_a_value_at_every_place_of_a_row(database: Database, tmp_path: Path, value: Any) -> None:
    """One row of each kind, the value put at each of its places in turn."""
    kinds = {row["type"]: row for row in ROWS}
    rows = [put(row, path, value) for row in kinds.values() for path in places(row)]
    write(tmp_path / "project", rows)
    report = await run(database, tmp_path)
    assert not report.unreadable
    assert report.lines == len(rows)


async def test_a_broken_copy_read_first_leaves_the_sound_one_whole(database: Database, tmp_path: Path) -> None:
    """The copy's prompt makes no task, yet its row is known: what follows in the other file must find a task."""
    prompt = {
        "type": "user",
        "uuid": "aaaaaaaa-0000-4000-8000-000000000001",
        "sessionId": "s",
        "timestamp": "2026-05-01T12:00:00.000Z",
        "message": {"role": "user", "content": "Please begin"},
    }
    said = {
        "type": "system",
        "subtype": "informational",
        "uuid": "aaaaaaaa-0000-4000-8000-000000000002",
        "sessionId": "s",
        "timestamp": "2026-05-01T12:00:01.000Z",
        "content": "Noted",
    }
    write(tmp_path / "a", [{**prompt, "isMeta": True}])
    write(tmp_path / "b", [prompt, said, {**said, "type": "not-known-yet", "uuid": "aaaaaaaa-0000-4000-8000-3"}])
    report = await run(database, tmp_path)
    assert not report.unreadable
    assert report.written["new_tasks"] == 1
    assert report.written["new_log_lines"] >= 1
