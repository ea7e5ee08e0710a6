"""The console script in processes of its own, each with its own data folder and port, as a person runs it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

PROGRAM = Path(sys.executable).with_name("fleetgraph")
READY = "stop      Ctrl-C"
START_S = 60.0  # a first start takes about 3 s; machines that build many things at once are slow


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the person's own, and no build of the explorer."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder.parent),
        "FLEETGRAPH_DATA_DIR": str(folder),
        "FLEETGRAPH_EXPLORER_CDN": "1",
        **more,
    }


def fleetgraph(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [PROGRAM, *words], env=environment(folder, **more), capture_output=True, text=True, timeout=START_S, check=False
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(holds: Callable[[], bool], seconds: float = START_S) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@dataclass
class Served:
    """A `fleetgraph serve`."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def token(self) -> str:
        return (self.folder / "token").read_text().strip()

    def post(self, document: str, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.post(f"{self.url}/graphql", json={"query": document}, headers=headers, timeout=30)

    def task_count(self) -> int:
        answer: dict[str, Any] = self.post("{ tasks { totalCount } }").json()
        return int(answer["data"]["tasks"]["totalCount"])

    def says(self, words: str) -> bool:
        """Wait until it has said so; False when it ended before."""
        return wait_until(lambda: words in self.output or self.process.poll() is not None) and words in self.output

    def end(self, how: signal.Signals) -> int:
        """Send the signal to this process only; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(START_S)

    def descendants(self) -> set[int]:
        """Its children, and theirs."""
        parents = dict(_parents())
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {self.process.pid}


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue


def are_gone(pids: set[int]) -> bool:
    """Wait until none of the processes is left."""
    return wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 15)


Serve = Callable[..., Served]


def serving(started: list[Served], folder: Path, more: Mapping[str, str]) -> Served:
    port, log = free_port(), folder.parent / f"output-{len(started)}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "serve"],
            env=environment(folder, PORT=str(port), **more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder.parent,
        )
    started.append(Served(process, folder, port, log))
    return started[-1]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers on `tmp_path / "data"`, by default without the sample fleet; those left at the end are killed."""
    started: list[Served] = []

    def start(*, until: str = READY, **more: str) -> Served:
        served = serving(started, tmp_path / "data", {"FLEETGRAPH_SAMPLE": "0", **more})
        assert served.says(until), served.output
        return served

    yield start
    _kill(started)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One first start with the sample fleet, for tests that change nothing that another one looks at."""
    started: list[Served] = []
    # What must not be told is not told at DEBUG either.
    served = serving(started, tmp_path_factory.mktemp("fleet") / "data", {"LOG_LEVEL": "DEBUG"})
    assert served.says(READY), served.output
    yield served
    _kill(started)


def _kill(started: list[Served]) -> None:
    for served in started:
        if served.process.poll() is None:
            left = served.descendants()
            served.process.kill()
            served.process.wait()
            assert are_gone(left)


def lines_of(text: str) -> list[str]:
    """Lines, without what tells of progress."""
    return [line for line in text.splitlines() if not line.startswith(("Making a new", "Starting "))]


def mode_of(path: Path) -> int:
    return os.stat(path).st_mode & 0o777
