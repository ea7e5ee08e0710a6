"""Foreground children that never outlive us, and the account they run as.

A child is in a session of its own, so Ctrl-C in the terminal reaches the parent only, and the kernel signals it when
the parent dies in whatever way (PR_SET_PDEATHSIG). Nothing here knows PostgreSQL or Valkey.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalStoreError

PR_SET_PDEATHSIG = 1
POLL_S = 0.02
# Nothing of the person's environment reaches the servers: PGPORT, LD_LIBRARY_PATH and the like would change them.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Account:
    """A user id and group id that a child runs as."""

    uid: int
    gid: int


def unprivileged_account(*folders: Path) -> Account | None:
    """For root: the owner of the first of `folders` that an ordinary user owns, else postgres, else nobody.

    None for an ordinary user, whose children run as that user.
    """
    if os.geteuid() != 0:
        return None
    for folder in folders:
        if folder.exists() and (status := folder.stat()).st_uid != 0:
            return Account(status.st_uid, status.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    return Account(65534, 65534)


def can_reach(path: Path, account: Account | None) -> bool:
    """Whether the account may walk down to `path` and read it, by the mode bits of every folder on the way."""
    if account is None:
        return True
    for step in (path, *path.parents):
        status = step.stat()
        needed = 0o5 if step == path else 0o1
        shift = 6 if status.st_uid == account.uid else 3 if status.st_gid == account.gid else 0
        if (status.st_mode >> shift) & needed != needed:
            return False
    return True


def _dies_with_parent(death_signal: int) -> Callable[[], None]:
    """What the child does between fork and exec; it comes after the change of user, which would clear the setting."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before the setting stood
            os._exit(1)

    return prepare


@contextmanager
def _signals_later() -> Iterator[None]:
    """Have SIGINT and SIGTERM wait for the end of the block.

    Python calls hooks when it forks, logging's among them, and drops what is raised in one: a stop would be lost there.
    """
    heard: list[int] = []
    stops = (signal.SIGINT, signal.SIGTERM)
    handlers = {stop: handler for stop in stops if callable(handler := signal.getsignal(stop))}
    for stop in handlers:
        signal.signal(stop, lambda number, _frame: heard.append(number))
    try:
        yield
    finally:
        for stop, handler in handlers.items():
            signal.signal(stop, handler)
    for number in heard:
        signal.raise_signal(number)


def start_child(
    command: Sequence[str | Path],
    *,
    output: int,
    death_signal: signal.Signals,
    account: Account | None = None,
    keep_fds: Sequence[int] = (),
    source: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a child that ends with us. Call it in the main thread: the signal follows the thread that forked."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("local stores are started in the main thread: their children die with the starting thread")
    child = None
    try:
        with _signals_later():
            child = subprocess.Popen(
                [str(word) for word in command],
                stdin=source,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=ENVIRONMENT,
                start_new_session=True,
                pass_fds=keep_fds,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_dies_with_parent(death_signal),
            )
    except BaseException:
        if child is not None:
            child.kill()
            child.wait()
        raise
    return child


def stop_child(child: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal and wait its seconds, until the child has ended; SIGKILL is the last step of all."""
    for step, seconds in (*steps, (signal.SIGKILL, 10.0)):
        if child.poll() is not None:
            return
        child.send_signal(step)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def open_log(path: Path) -> int:
    """A file descriptor of an emptied log, readable by its owner only; logs are kept for one run."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)


def last_lines(text: str, count: int = 3) -> str:
    """The end of a program's output as one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:]) or "it said nothing"


def wait_until_ready(
    name: str, child: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path, seconds: float
) -> None:
    """Return once `answers` says yes; LocalStoreError with the end of the log when the child dies or time is up."""
    deadline = time.monotonic() + seconds
    while not answers():
        code = child.poll()
        if code is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
            continue
        what = f"did not answer within {seconds:.0f} s" if code is None else f"ended with code {code}"
        said = last_lines(log.read_text(errors="replace"))
        raise LocalStoreError(f"{name} {what}: {said}. Its whole log: {log}")
