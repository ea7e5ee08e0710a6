"""Where Claude Code's transcripts lie, and what a file's place says of it: a session, or a sub-agent of one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.claude_code.rows import parse_line
from ingest.formats import NotARow, NothingToRead

# Enough to tell a transcript: real ones have a row in their first line.
LINES_LOOKED_AT = 20
LINE_LOOKED_AT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Transcript:
    """One file. `session` is what its place says, for rows that do not say it themselves."""

    path: Path
    size: int
    modified_at: float
    session: str
    agent_id: str | None


def default_directories(home: Path, environment: Mapping[str, str]) -> list[Path]:
    """Where Claude Code writes: $CLAUDE_CONFIG_DIR (a comma list) when it is set, else its two usual places."""
    configured = [part.strip() for part in environment.get("CLAUDE_CONFIG_DIR", "").split(",") if part.strip()]
    roots = [Path(part).expanduser() for part in configured] or [home / ".claude", home / ".config" / "claude"]
    return [root if root.name == "projects" else root / "projects" for root in roots]


def find_transcripts(directories: Sequence[Path]) -> list[Transcript]:
    """All transcripts below the folders, sessions before sub-agents, oldest first; each file once.

    A path may also be one file. Raises NothingToRead when a path does not exist, or nothing there is a transcript.
    """
    found: dict[str, Transcript] = {}
    for directory in directories:
        if not directory.exists():
            raise NothingToRead(f"{directory} does not exist; name the folder that holds the transcripts (*.jsonl)")
        files = [directory] if directory.is_file() else list(_files_below(directory))
        for path in files:
            transcript = transcript_at(path)
            if transcript is not None:
                found.setdefault(os.path.realpath(path), transcript)
    if not found:
        places = ", ".join(str(directory) for directory in directories) or "the usual places"
        raise NothingToRead(f"no transcript (*.jsonl) in {places}; name the folder that holds them")
    if not any(_may_hold_rows(file.path) for file in found.values()):
        some = next(iter(found.values())).path
        raise NothingToRead(
            f"{some} is no transcript of Claude Code: it holds no row of one"
            if len(found) == 1
            else f"none of the {len(found)} files is a transcript of Claude Code, {some} for one"
        )
    return in_order(found.values())


def in_order(transcripts: Iterable[Transcript]) -> list[Transcript]:
    """Sessions before sub-agents, oldest first."""
    return sorted(transcripts, key=lambda file: (file.agent_id is not None, file.modified_at, str(file.path)))


def _files_below(directory: Path) -> Iterator[Path]:
    """Files of a folder; a folder that may not be read is passed over, its files cannot be named."""
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".jsonl"):
                yield Path(folder) / name


def transcript_at(path: Path) -> Transcript | None:
    """A file as a transcript; None when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None  # it vanished between listing and looking
    agent_id = path.stem.removeprefix("agent-") if path.stem.startswith("agent-") else None
    session = path.stem
    if agent_id is not None and path.parent.name == "subagents":
        session = path.parent.parent.name
    return Transcript(path, status.st_size, status.st_mtime, session, agent_id)


def _may_hold_rows(path: Path) -> bool:
    """Whether one of the first lines is a row or the start of one; an empty or closed file is told of later."""
    try:
        with path.open("rb") as file:
            lines = [file.readline(LINE_LOOKED_AT_BYTES) for _ in range(LINES_LOOKED_AT)]
    except OSError:
        return True
    return not any(lines) or any(_may_be_row(line) for line in lines)


def _may_be_row(line: bytes) -> bool:
    line = line.removeprefix(b"\xef\xbb\xbf")
    if not line.endswith(b"\n"):
        return line.startswith(b"{")
    try:
        parse_line(line)
    except NotARow:
        return False
    return True
