"""PostgreSQL processes that a killed parent left behind on one data folder.

A process is taken for one of them only if its program is postgres and it works in that very folder (device and inode):
the number in postmaster.pid alone proves nothing, it may be anybody's by now. The caller holds the data folder's lock.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from local.errors import LocalStoreError

# A server whose parent died has been told to stop by the kernel; it writes its buffers first.
STOPS_ALONE_S = 15.0
STOPS_AT_ONCE_S = 10.0
POLL_S = 0.05


def clear_away(data: Path) -> None:
    """Return once no server works in the folder and no stale postmaster.pid keeps the next one from starting."""
    if not data.is_dir():
        return
    for death_signal, seconds in ((None, STOPS_ALONE_S), (signal.SIGQUIT, STOPS_AT_ONCE_S), (signal.SIGKILL, 2.0)):
        if death_signal is not None:
            for pid in _processes_in(data):
                os.kill(pid, death_signal)
        if _wait_for_none(data, seconds):
            break
    else:
        left = ", ".join(str(pid) for pid in _processes_in(data))
        raise LocalStoreError(f"A PostgreSQL of an earlier start still works in {data}: stop process {left}.")
    _remove_stale_pid_file(data)


def _wait_for_none(data: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(True for _ in _processes_in(data)):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _processes_in(data: Path) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _works_in(int(entry.name), data):
            yield int(entry.name)


def _works_in(pid: int, data: Path) -> bool:
    """Whether the process is a postgres in this folder; False as well when we may not look at it."""
    try:
        program = Path(os.readlink(f"/proc/{pid}/exe")).name.removesuffix(" (deleted)")
        return program == "postgres" and os.path.samefile(f"/proc/{pid}/cwd", data)
    except OSError:
        return False


def _remove_stale_pid_file(data: Path) -> None:
    """PostgreSQL would not start while the noted number is alive, whoever has it now."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return  # no file, or nobody has the number: PostgreSQL sees that itself
    if name == "postgres" and not _may_look_at(pid):
        raise LocalStoreError(
            f"Process {pid} may be a PostgreSQL that works in {data}: stop it, or if it is another one, "
            f"remove {pid_file}."
        )
    pid_file.unlink()


def _may_look_at(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/cwd").stat()
    except PermissionError:
        return False
    except OSError:
        return True
    return True
