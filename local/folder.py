"""The data folder: makes it, and sees to it that one process at a time works in it.

The lock is an flock, so the kernel gives it back whatever ends the process. It starts nothing.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from local.errors import AlreadyRunning, LocalStoreError, reason

LOCK_NAME = "lock"
# `is_held` takes the lock for a moment; a start that falls into that moment tries again.
LOCK_TRIES = 6
LOCK_PAUSE_S = 0.05


class DataFolder:
    """A data folder that is ours for as long as the context lasts; `work`: the command, when it is not a server."""

    def __init__(self, path: Path, work: str | None = None) -> None:
        self.path = path.absolute()
        self._work = work
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Make the folder (0700) if it is missing and lock it; AlreadyRunning when another process holds it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalStoreError(
                f"The data folder {self.path} cannot be used ({reason(error)}): "
                "give it to the user who runs Fleetgraph, or name another in FLEETGRAPH_DATA_DIR."
            ) from error
        for tries_left in reversed(range(LOCK_TRIES)):
            if _try_lock(lock, fcntl.LOCK_EX):
                break
            if tries_left == 0:
                message = _already_running(self.path, lock)
                os.close(lock)
                raise message
            time.sleep(LOCK_PAUSE_S)
        self._lock = lock
        self._write({"pid": os.getpid(), **({"work": self._work} if self._work else {})})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder back; what is in it stays."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def announce(self, url: str) -> None:
        """Note where this process answers, so that a second start can say so."""
        self._write({"pid": os.getpid(), "url": url})

    def _write(self, content: dict[str, int | str]) -> None:
        assert self._lock is not None, "announce() belongs inside the context"  # noqa: S101 - a mistake of ours only
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps(content).encode(), 0)


def is_held(path: Path) -> bool:
    """Whether some process works in this data folder now."""
    try:
        lock = os.open(path / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try_lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def announced_url(path: Path) -> str | None:
    """Where the process that works in this data folder answers; None when there is none, or it is not up yet."""
    if not is_held(path):
        return None
    try:
        url = json.loads((path / LOCK_NAME).read_text()).get("url")
    except (OSError, ValueError):
        return None
    return url if isinstance(url, str) else None


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _already_running(path: Path, lock: int) -> AlreadyRunning:
    try:
        holder = json.loads(os.pread(lock, 4096, 0))
    except ValueError:
        holder = {}
    url, pid, work = holder.get("url"), holder.get("pid"), holder.get("work")
    where = f" at {url}" if url else ""
    who = f" (process {pid})" if pid else ""
    message = (
        f"Fleetgraph is already running{where}{who} on the data folder {path}. "
        "Stop it first, or give this one its own PORT and FLEETGRAPH_DATA_DIR."
    )
    if work:
        message = (
            f"`{work}`{who} has the stores in the data folder {path} to itself until it ends. "
            f"Wait for its end, or stop it (Ctrl-C, or kill {pid}): what it has written stays. "
            "Start the server first: then imports work beside it, with --watch too."
        )
    return AlreadyRunning(message, url=url, pid=pid)
