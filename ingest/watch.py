"""Goes on importing while agents write: changed files by the system's notices, or by polling where there are none.

Looks at changed files only; every 30 s it looks for what no notice told of, and judges open tasks by the clock again.
It decides when files are read, never what they mean.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, awatch

from db.database import Database
from db.errors import DatabaseUnavailable, StatementTimeout
from db.outage import is_outage
from db.queries import imports
from ingest.report import Report
from ingest.run import Clock

SWEEP_S = 30.0
TICK_MS = 1_000
DEBOUNCE_MS, QUIET_MS = 200, 50
POLL_S = 0.4
MOST_BACK_OFF_S = 30.0
# File times may be coarse, and those of another machine a little behind.
TIME_MARGIN_S = 5.0
TOLD_KEPT = 1_000
# File systems whose other machines' writes inotify does not tell of.
_REMOTE = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "virtiofs",
    "vboxsf",
    "fuse.sshfs",
    "fuse.rclone",
    "afs",
    "ceph",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What is watched. `take` imports files of `folders` that have changed; others it is not given."""

    importer: str
    host: str
    folders: Sequence[Path]
    is_ours: Callable[[Path], bool]
    take: Callable[[Sequence[Path], Report], Awaitable[None]]


async def watch(
    database: Database,
    source: Source,
    *,
    since: float,
    clock: Clock,
    tell: Callable[[str], None],
    poll: bool | None = None,
    sweep_s: float = SWEEP_S,
) -> None:
    """Import what changes, until it is cancelled. `since`: the time (Unix) up to which everything is imported.

    `poll` forces polling; by default it is chosen where there are no notices.
    """
    watching = _Watch(database, source, tell)
    time = asyncio.get_running_loop().time
    sweep_at = 0.0
    async with aclosing(_changes(source, tell, poll)) as changes:
        async for changed in changes:
            watching.pending |= changed
            if time() >= sweep_at:
                sweep_at = time() + sweep_s
                began = clock().timestamp() - TIME_MARGIN_S
                watching.pending |= await asyncio.to_thread(_modified_since, source, since)
                since = began
                watching.must_judge = True
            await watching.go_on()


class _Watch:
    """What waits to be imported, and how often that has failed."""

    def __init__(self, database: Database, source: Source, tell: Callable[[str], None]) -> None:
        self.pending: set[Path] = set()
        self.must_judge = False
        self._database, self._source, self._tell = database, source, tell
        self._back_off_s = self._retry_at = 0.0
        self._told: set[str] = set()

    async def go_on(self) -> None:
        """Import what waits, unless the stores were away a moment ago."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._retry_at or not (self.pending or self.must_judge):
            return
        try:
            if self.must_judge:
                self.pending |= await self._open_files()
                self.must_judge = False
            if self.pending:
                await self._take(sorted(self.pending))
        except Exception as error:
            if not _is_away(error):
                raise
            if not self._back_off_s:
                self._tell(f"The database is away: {_reason(error)}. Changes wait and are read when it is back.")
            self._back_off_s = min(max(1.0, self._back_off_s * 2), MOST_BACK_OFF_S)
            self._retry_at = loop.time() + self._back_off_s
            return
        self.pending.clear()
        if self._back_off_s:
            self._back_off_s = 0.0
            self._tell("The database is back.")

    async def _take(self, paths: Sequence[Path]) -> None:
        """Import files; one that cannot be imported costs that file. Raises when the stores are away."""
        report = Report()
        try:
            await self._source.take(paths, report)
        except Exception as error:
            if _is_away(error):
                raise
            if len(paths) == 1:
                self._tell_once(f"Could not be imported: {paths[0]}: {_reason(error)}")
            else:
                for path in paths:
                    await self._take([path])
                return
        for unreadable in report.unreadable:
            self._tell_once(f"Could not be read: {unreadable.path}: {unreadable.reason}")
        for skipped in report.skipped:
            line = f":{skipped.line}" if skipped.line else ""
            self._tell_once(f"Skipped {skipped.path}{line}: {skipped.reason}")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            if len(self._told) >= TOLD_KEPT:
                self._told.clear()
            self._told.add(line)
            self._tell(line)

    async def _open_files(self) -> set[Path]:
        """Files of which time alone can change a task."""
        found = await imports.open_paths(self._database.read, self._source.importer, self._source.host)
        paths = (Path(path) for path in found)
        return {path for path in paths if any(path.is_relative_to(folder) for folder in self._source.folders)}


def _roots(folders: Sequence[Path]) -> tuple[dict[Path, Path], set[Path]]:
    """Folders by their absolute paths, and what is watched for them."""
    watched = {Path(os.path.abspath(folder)): folder for folder in folders}
    # A file that is replaced is another one to the system: its folder is watched.
    return watched, {path if path.is_dir() else path.parent for path in watched}


async def _changes(source: Source, tell: Callable[[str], None], poll: bool | None) -> AsyncGenerator[set[Path], None]:
    """Files that were written or are new; an empty set each second in which there are none."""
    watched, roots = _roots(source.folders)
    if poll is None and (remote := [root for root in roots if _file_system(root) in _REMOTE]):
        tell(f"{remote[0]} is on another machine: its files are looked at every {POLL_S} s instead.")
        poll = True
    if not poll:
        try:
            async for changes in awatch(
                *roots,
                watch_filter=lambda change, path: change != Change.deleted,
                debounce=DEBOUNCE_MS,
                step=QUIET_MS,
                rust_timeout=TICK_MS,
                yield_on_timeout=True,
                force_polling=False,
                ignore_permission_denied=True,
            ):
                yield await asyncio.to_thread(_files_of, source, watched, changes) if changes else set()
        except (OSError, RuntimeError) as error:
            tell(f"The system tells of no changes ({_reason(error)}): files are looked at every {POLL_S} s instead.")
    # Not the library's polling, which takes two writes within a second for one.
    seen: dict[Path, tuple[int, int]] = {}
    while True:
        yield await asyncio.to_thread(_changed_since, source, seen)
        await asyncio.sleep(POLL_S)


def _changed_since(source: Source, seen: dict[Path, tuple[int, int]]) -> set[Path]:
    """Files whose size or time is not the one that was seen; `seen` is brought up to date."""
    now = {path: (status.st_size, status.st_mtime_ns) for path, status in _stats(source)}
    changed = {path for path, signature in now.items() if seen.get(path) != signature}
    seen.clear()
    seen.update(now)
    return changed


def _files_of(source: Source, watched: dict[Path, Path], changes: set[tuple[Change, str]]) -> set[Path]:
    """The importer's files among the changes, named as the first import named them; of a new folder all."""
    found: set[Path] = set()
    for change, name in changes:
        path = Path(name)
        for root, folder in watched.items():
            if not path.is_relative_to(root):
                continue
            path = folder / path.relative_to(root)
            if source.is_ours(path):
                found.add(path)
            elif change == Change.added and path.is_dir():  # files may have come before it was watched
                found.update(file for file in _files_below(path) if source.is_ours(file))
            break
    return found


def _modified_since(source: Source, since: float) -> set[Path]:
    return {path for path, status in _stats(source) if status.st_mtime >= since}


def _stats(source: Source) -> Iterator[tuple[Path, os.stat_result]]:
    for folder in source.folders:
        for path in [folder] if folder.is_file() else _files_below(folder):
            if source.is_ours(path):
                with suppress(OSError):  # it vanished, or may not be looked at
                    yield path, path.stat()


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent) / name


def _file_system(folder: Path) -> str:
    """The kind of file system that holds a folder; empty where the system does not say."""
    kind, longest = "", -1
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="replace")
    except OSError:
        return kind
    for line in mounts.splitlines():
        fields = line.split(" ")
        place = Path(fields[1].replace("\\040", " "))
        if len(place.parts) >= longest and folder.is_relative_to(place):
            kind, longest = fields[2], len(place.parts)
    return kind


def _is_away(error: Exception) -> bool:
    return is_outage(error) or isinstance(error, DatabaseUnavailable | StatementTimeout)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
