"""Servers that run: their processes, answers, CPU and memory, and whether their plans held."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.kinds import Kind
from bench.questions import Case

TICK = os.sysconf("SC_CLK_TCK")
READY_S = 60


class Server:
    """One that runs."""

    def __init__(self, kind: Kind, log: Path) -> None:
        self.kind = kind
        self.log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/graphql"
        if kind.report is not None:
            kind.report.unlink(missing_ok=True)
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                kind.command,
                cwd=kind.folder,
                env={"PATH": os.environ["PATH"], "PORT": str(self.port), **kind.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the suite, which then ends its servers
                preexec_fn=_die_with_parent,
            )

    def ask(self, question: str, case: Case) -> dict[str, Any]:
        """The answer to a question. Raises OSError while nobody listens."""
        return self.post(self.kind.body(question, case))

    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request. Raises OSError while nobody listens."""
        return json.loads(self.fetch(body))  # type: ignore[no-any-return]

    def fetch(self, body: dict[str, Any]) -> bytes:
        """The answer's own bytes. Raises OSError while nobody listens."""
        request = urllib.request.Request(  # noqa: S310 - http of our own making
            self.url,
            json.dumps(body).encode(),
            {"content-type": "application/json", **self.kind.headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http of our own making
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{self.kind.name} answers {error.code}: {error.read().decode()[:500]}") from error

    def wait(self) -> None:
        """Return once it answers. Raises RuntimeError when it ends or takes too long."""
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self.ask("q1", Case(task=UUID(int=0)))
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    said = self.log.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{self.kind.name} does not run: {said}") from None
                time.sleep(0.05)
            else:
                return

    @property
    def cpu_s(self) -> float:
        """CPU time of the process so far, all its threads."""
        return cpu_s(self.child.pid)

    @property
    def memory_mib(self) -> float:
        """Its resident memory now."""
        return memory_mib(self.child.pid)

    def stop(self) -> None:
        """End it."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def check_plans(kind: Kind) -> None:
    """Raise RuntimeError when a server that has ended fell back from a plan, or did not tell."""
    if kind.report is None or kind.name == "ordinary":
        return
    fallbacks = json.loads(kind.report.read_text())["fallbacks"] if kind.report.exists() else "it did not tell"
    if fallbacks != {}:
        raise RuntimeError(f"{kind.title}: operations fell back from their plans: {fallbacks}")


@contextlib.contextmanager
def running(chosen: Sequence[Kind], folder: Path) -> Iterator[list[Server]]:
    """All of them at once; at the end of a block that went well it is checked that no plan fell back."""
    servers: list[Server] = []
    try:
        for kind in chosen:
            servers.append(Server(kind, folder / f"{kind.name}.log"))
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.stop()
    for server in servers:
        check_plans(server.kind)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def cpu_s(pid: int, *, with_children: bool = False) -> float:
    """CPU seconds of a process so far; `with_children`: and of its living and reaped children."""
    own = _times(pid, count=4 if with_children else 2)
    if not with_children:
        return own
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = own
    for child in listed:
        with contextlib.suppress(OSError):  # it has ended
            total += _times(int(child), count=2)
    return total


def _times(pid: int, *, count: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11 : 11 + count]) / TICK


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
