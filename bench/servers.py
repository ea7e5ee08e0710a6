"""The servers that are compared: one process each, 10 connections to the same database."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import node, questions
from bench.questions import Case
from bench.stores import ROOT, Stores
from local.token import LocalToken

PEERS = Path(__file__).with_name("peers")
TICK = os.sysconf("SC_CLK_TCK")
READY_S = 60
NAMES = ("ours", "postgraphile", "mercurius", "limit", "ordinary")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a server is."""

    name: str
    title: str
    documents: Mapping[str, str]
    command: Sequence[str | Path]
    folder: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    report: Path | None = None  # where it tells at its end how its plans did

    @property
    def is_ours(self) -> bool:
        """Whether it has the service's own schema."""
        return self.documents is questions.OURS

    def body(self, question: str, case: Case) -> dict[str, Any]:
        """The request's JSON."""
        return {"query": self.documents[question], "variables": case.variables(is_ours=self.is_ours)}


def kinds(stores: Stores, database: str, names: Sequence[str]) -> list[Kind]:
    """The servers of these names, over a database."""
    made = {
        "ours": lambda: _ours(stores, database, "ours"),
        "ordinary": lambda: _ours(stores, database, "ordinary"),
        "limit": lambda: _limit(stores, database),
        "postgraphile": lambda: _peer(stores, database, "postgraphile", "PostGraphile", questions.POSTGRAPHILE),
        "mercurius": lambda: _peer(stores, database, "mercurius", "Mercurius with JIT", questions.MERCURIUS),
    }
    return [made[name]() for name in names]


def _ours(stores: Stores, database: str, name: str) -> Kind:
    folder = stores.folder / name
    environment = {
        "DATABASE_URL": stores.url(database),
        "REDIS_URL": stores.redis_url,
        "REDIS_PREFIX": f"bench-{name}",
        "FLEETGRAPH_DATA_DIR": str(folder),
        "FLEETGRAPH_EXPLORER_CDN": "1",  # no build of the explorer beside a measurement
        "BENCH_REPORT": str(folder / "report.json"),
    }
    return Kind(
        name,
        "Fleetgraph" if name == "ours" else "the same without plans",
        questions.OURS,
        [sys.executable, "-m", "bench.ours", name],
        environment=environment,
        headers={"authorization": f"Bearer {LocalToken(folder).ensure()}"},
        report=folder / "report.json",
    )


def _limit(stores: Stores, database: str) -> Kind:
    environment = {"DATABASE_URL": stores.url(database)}
    return Kind(
        "limit", "the SQL limit", questions.LIMIT, [sys.executable, "-m", "bench.limit"], environment=environment
    )


def _peer(stores: Stores, database: str, name: str, title: str, documents: Mapping[str, str]) -> Kind:
    program = node.install(PEERS).program
    environment = {
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
        "PGHOST": str(stores.sockets),
        "PGUSER": "fleetgraph",
        "PGDATABASE": database,
    }
    return Kind(name, title, documents, [program, f"{name}.mjs"], PEERS, environment)


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
        """One answer. Raises OSError while nobody listens."""
        request = urllib.request.Request(  # noqa: S310 - http of our own making
            self.url,
            json.dumps(self.kind.body(question, case)).encode(),
            {"content-type": "application/json", **self.kind.headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http of our own making
                return json.load(answer)  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{self.kind.name} answers {error.code}: {error.read().decode()[:500]}") from error

    def wait(self, case: Case) -> None:
        """Return once it answers Q1. Raises RuntimeError when it ends or takes too long."""
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self.ask("q1", case)
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
        """End it. Raises RuntimeError when its plans fell back."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def check_plans(self) -> None:
        """After `stop`: raise RuntimeError when a measured operation fell back from its plan."""
        if self.kind.report is None:
            return
        fallbacks = json.loads(self.kind.report.read_text())["fallbacks"]
        if fallbacks != {}:
            raise RuntimeError(f"{self.kind.name}: operations fell back from their plans: {fallbacks}")


@contextlib.contextmanager
def running(chosen: Sequence[Kind], folder: Path, case: Case) -> Iterator[list[Server]]:
    """All of them at once; at the end of a block that went well it is checked that no plan fell back."""
    servers: list[Server] = []
    try:
        for kind in chosen:
            servers.append(Server(kind, folder / f"{kind.name}.log"))
        for server in servers:
            server.wait(case)
        yield servers
    finally:
        for server in servers:
            server.stop()
    for server in servers:
        server.check_plans()


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
