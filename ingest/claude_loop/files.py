"""Where claude-loop's files lie, and which of them tell of one run: the places that are imported.

Reads names of files and the few heads that decide what belongs together; writes nothing.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.formats import NothingToRead

RUN_FOLDER = re.compile(r"\d{8}_\d{6}")
STATE_FOLDER = ".claude-loop"
_PRD = re.compile(r"prd([-_.].+)?\.json")
_PASSED_OVER = {".git", "node_modules", ".venv", "__pycache__"}
# Files by name, beside PRDs: what each is.
_KINDS = {
    "metrics.json": "metrics",
    "summary.json": "summary",
    "progress.txt": "progress",
    "session-state.json": "session",
    "provider_usage.jsonl": "usage",
    "execution_log.jsonl": "executions",
    "queue.json": "queue",
}


@dataclass(slots=True)
class Place:
    """A folder of PRDs and a log, by its project."""

    prds: list[Path] = field(default_factory=list)
    progress: Path | None = None


@dataclass(slots=True)
class Loop:
    """A project's files. `runs` by their folders' names, which are times; `places` by folder.

    `name` is what the project's folder is called in the store: its path, unless the files are a copy of another's.
    """

    root: Path
    name: str = ""
    runs: dict[str, dict[str, Path]] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=lambda: defaultdict(Place))
    session: Path | None = None
    usage: list[Path] = field(default_factory=list)
    executions: list[Path] = field(default_factory=list)
    queue: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All of them."""
        lone = [path for path in (self.session, self.queue) if path is not None]
        of_places = [path for place in self.places.values() for path in (*place.prds, place.progress) if path]
        return [*(path for run in self.runs.values() for path in run.values()), *of_places, *lone, *self.logs]

    @property
    def logs(self) -> list[Path]:
        """Files of lines that belong to all runs."""
        return [*self.usage, *self.executions]


@dataclass(slots=True)
class Found:
    """What a search has found; `others` are files that are none of claude-loop's."""

    loops: list[Loop]
    others: list[Path]


def find_loops(directories: Sequence[Path]) -> Found:
    """All of claude-loop's files below the folders, by project. Raises NothingToRead."""
    loops: dict[Path, Loop] = {}
    others: list[Path] = []
    seen: set[str] = set()
    for directory in directories:
        if not directory.exists():
            raise NothingToRead(f"{directory} does not exist; name a project's folder, or its .claude-loop")
        start = Path(os.path.abspath(directory))
        for path in [start] if start.is_file() else _files_below(start):
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                if not _take(path, loops):
                    others.append(path)
    if not loops:
        places = ", ".join(str(directory) for directory in directories)
        raise NothingToRead(
            f"nothing of claude-loop in {places}: no .claude-loop/runs, no prd.json, no progress.txt;"
            " name a project's folder"
        )
    return Found([loops[root] for root in sorted(loops)], others)


def project_of(path: Path) -> Path | None:
    """The root of the project that a file belongs to by its place; None when it is none of claude-loop's."""
    loops: dict[Path, Loop] = {}
    passed_over = not _PASSED_OVER.isdisjoint(path.parts)
    return None if passed_over or not _take(path, loops) else next(iter(loops))


def projects_of(paths: Sequence[Path], directories: Sequence[Path]) -> Found:
    """The projects of some files, with all their files below the folders that are imported."""
    loops: dict[Path, Loop] = {}
    for root in {root for path in paths if (root := project_of(path)) is not None}:
        for directory in directories:
            start = root if root.is_relative_to(directory) else directory
            if not (start.exists() and (start.is_relative_to(root) or root.is_relative_to(start))):
                continue
            for file in [start] if start.is_file() else _files_below(start):
                if project_of(file) == root:
                    _take(file, loops)
    return Found([loops[root] for root in sorted(loops)], [])


def run_folders(state_folder: Path) -> list[str]:
    """The names of a project's run folders. A loop makes one when it begins, and fills it after its first iteration."""
    try:
        return [name for name in os.listdir(state_folder / "runs") if RUN_FOLDER.fullmatch(name)]
    except OSError:
        return []


def _files_below(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        for name in sorted(names):
            yield Path(folder) / name


def _take(path: Path, loops: dict[Path, Loop]) -> bool:
    """Put a file where it belongs; False when it is none of ours."""
    kind = _KINDS.get(path.name) or ("prd" if _PRD.fullmatch(path.name) else None)
    folder = path.parent
    if kind is None or (kind == "queue" and folder.name != "daemon"):
        return False
    run = RUN_FOLDER.fullmatch(folder.name)
    if kind in ("metrics", "summary") and run is None:
        return False
    state = _state_folder(folder)
    root = _root(folder) if state is None else state.parent
    if state is None and kind in ("session", "usage", "executions", "queue"):
        root = (folder.parent if folder.name in ("daemon", "logs") else folder).parent
    loop = loops.setdefault(root, Loop(root))
    if run is not None and kind in ("metrics", "summary", "prd", "progress"):
        loop.runs.setdefault(folder.name, {})[kind] = path
    elif kind == "prd":
        loop.places[folder].prds.append(path)
    elif kind == "progress":
        loop.places[folder].progress = path
    elif kind == "session":
        loop.session = path
    elif kind == "queue":
        loop.queue = path
    else:
        (loop.usage if kind == "usage" else loop.executions).append(path)
    return True


def _state_folder(folder: Path) -> Path | None:
    """The `.claude-loop` that a folder is in, or the folder above `runs/<time>` whatever its name."""
    for candidate in (folder, *folder.parents):
        if candidate.name == STATE_FOLDER:
            return candidate
    if RUN_FOLDER.fullmatch(folder.name) and folder.parent.name == "runs":
        return folder.parent.parent
    return None


def _root(folder: Path) -> Path:
    """The project of a PRD: above prds/, above archive/<name>, above scripts/ralph, else its own folder."""
    for candidate in (folder, *folder.parents[:3]):
        if candidate.name == "prds":
            return candidate.parent
    if folder.parent.name == "archive":
        folder = folder.parent.parent
    if folder.name == "ralph" and folder.parent.name == "scripts":
        return folder.parent.parent
    return folder
