"""Parents in processes of their own, and what can be seen of their children from outside."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from local import StoreUrls

CHECKOUT = Path(__file__).resolve().parents[2]
HOLDER = Path(__file__).with_name("holder.py")


class Holder:
    """One process that runs embedded stores."""

    def __init__(self, folder: Path, *, python: str, import_from: Path, cache: Path | None, uid: int | None) -> None:
        self.process = subprocess.Popen(
            [python, str(import_from / "holder.py" if uid is not None else HOLDER), str(folder)]
            + ([str(cache)] if cache else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{import_from}{os.pathsep}{CHECKOUT}"},
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )

    def urls(self) -> StoreUrls:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("{"), f"the holder did not start: {line}"
        return StoreUrls(**json.loads(line))

    def end(self) -> int:
        """Close its input, which ends it in good order; the exit code."""
        self.process.communicate()
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


HolderFactory = Callable[..., Holder]


@pytest.fixture
def start_holder() -> Iterator[HolderFactory]:
    """Start a holder; whatever is still running at the end of the test is killed."""
    started: list[Holder] = []

    def start(
        folder: Path,
        *,
        python: str = sys.executable,
        import_from: Path = CHECKOUT,
        cache: Path | None = None,
        uid: int | None = None,
    ) -> Holder:
        started.append(Holder(folder, python=python, import_from=import_from, cache=cache, uid=uid))
        return started[-1]

    yield start
    for holder in started:
        holder.kill()


def processes_naming(word: str) -> list[int]:
    """Processes with this word in their command line: a sockets folder names both servers of one start."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word in (entry / "cmdline").read_text(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def sockets_of(urls: StoreUrls) -> Path:
    return Path(urls.database_url.partition("?host=")[2])


def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def connect(urls: StoreUrls) -> asyncpg.Connection:
    return await asyncpg.connect(urls.database_url.replace("+asyncpg", ""))
