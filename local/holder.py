"""Who works in a data folder now, and how to end it.

The number in the lock file alone proves nothing, it may be anybody's by now: a process is taken for the holder only
while the lock is held and the process has that very file open. It is told to end through a handle that was taken
before that look, so that a number given away in between cannot hit another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.errors import LocalStoreError
from local.folder import LOCK_NAME, is_held


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that works in a data folder; `url` once it serves, `is_server` from its start."""

    pid: int
    url: str | None
    is_server: bool
    started_at: datetime | None


def find_holder(folder: Path) -> Holder | None:
    """The process that holds the data folder; None when there is none.

    Raises LocalStoreError when it is held by a process that cannot be seen from here.
    """
    with _open_holder(folder) as found:
        return found[0] if found else None


def stop_server(folder: Path, seconds: float) -> Holder | None:
    """Tell the folder's server to end (SIGTERM) and wait for that; None when none runs.

    Raises LocalStoreError when it is no server, may not be told, or has not ended within `seconds`.
    """
    with _open_holder(folder) as found:
        if found is None:
            return None
        holder, handle = found
        if not holder.is_server:
            raise LocalStoreError(
                f"process {holder.pid} works on the data folder {folder} and is no server (an import, say): let it end"
            )
        try:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        except ProcessLookupError:
            return holder  # it has just ended by itself
        except PermissionError:
            raise LocalStoreError(
                f"the server (process {holder.pid}) is another user's: stop it as that user"
            ) from None
        if not select.select([handle], [], [], seconds)[0]:
            raise LocalStoreError(
                f"the server (process {holder.pid}) was told to stop and has not ended within {seconds:g} s:"
                " look at `fleetgraph logs`, or wait longer with --timeout"
            )
        return holder


def check_access(folder: Path) -> None:
    """Raise LocalStoreError when the data folder is one that we may not look into; a missing one is all right."""
    try:
        os.close(os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        raise LocalStoreError(
            f"the data folder {folder} is another user's: do this as that user, or name another in FLEETGRAPH_DATA_DIR"
        ) from None
    except OSError:
        return


@contextlib.contextmanager
def _open_holder(folder: Path) -> Iterator[tuple[Holder, int] | None]:
    """The holder with a handle of its process."""
    check_access(folder)
    if not is_held(folder):
        yield None
        return
    noted = _read_note(folder)
    pid = noted.get("pid")
    try:
        handle = os.pidfd_open(pid) if isinstance(pid, int) and pid > 0 else None
    except OSError:
        handle = None
    if handle is None or not isinstance(pid, int):
        raise _unseen(folder)
    try:
        if not _has_open(pid, folder / LOCK_NAME):
            raise _unseen(folder)
        url = noted.get("url")
        yield Holder(pid, url if isinstance(url, str) else None, "serve" in _words(pid), _started_at(pid)), handle
    finally:
        os.close(handle)


def _unseen(folder: Path) -> LocalStoreError:
    return LocalStoreError(
        f"a process that cannot be seen from here works on the data folder {folder}: it is just starting or ending,"
        " another user's, or in another container"
    )


def _read_note(folder: Path) -> dict[str, object]:
    try:
        note = json.loads((folder / LOCK_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _has_open(pid: int, path: Path) -> bool:
    """Whether the process has this file open, by device and inode; False as well when we may not look."""
    try:
        wanted = path.stat()
        files = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for file in files:
        with contextlib.suppress(OSError):  # closed since it was listed
            if os.path.samestat(file.stat(), wanted):
                return True
    return False


def _words(pid: int) -> list[str]:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _started_at(pid: int) -> datetime | None:
    """When a process was started, to a hundredth of a second."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return datetime.fromtimestamp(int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK"), UTC)
