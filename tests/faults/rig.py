"""Stores of one's own that may be killed and restarted, and API processes on them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from db import migrate
from local import postgres, valkey
from local.postgres import Cluster, Postgres, ensure_initialised
from local.process import unprivileged_account
from local.programs import Program, find_postgres, find_valkey
from local.token import LocalToken
from local.valkey import Valkey

ROOT = Path(__file__).parents[2]
START_S = 60.0  # a start takes 2 s; machines that do many things at once are slow
REPORT = "mutation Report($input: ReportTaskInput!) { reportTask(input: $input) { __typename } }"


class Api:
    """One API process."""

    def __init__(self, rig: Rig, data_dir: Path) -> None:
        self._rig = rig
        self.data_dir = data_dir
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._rig.token}"}

    @property
    def is_up(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def start(self) -> None:
        rig = self._rig
        words = [str(self.port), str(self.data_dir), rig.database_url, rig.redis_url, "faults"]
        command = [sys.executable, "-m", "tests.faults.serve", *words]
        with (self.data_dir / "log").open("ab") as log:
            self.child = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def wait(self) -> None:
        """Return when it serves."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).close()
                return
            assert self.is_up, (self.data_dir / "log").read_text()[-2000:]
            time.sleep(0.05)
        raise TimeoutError("the API process does not answer")

    def kill(self) -> None:
        """kill -9."""
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    async def report(self, task_id: str, result: str) -> None:
        """Change a task through this process. Raises httpx.TransportError when it dies of that."""
        payload = {"query": REPORT, "variables": {"input": {"taskId": task_id, "result": result}}}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as http:
            answer = (await http.post("/graphql", json=payload, headers=self.headers)).json()
        assert answer["data"]["reportTask"]["__typename"] == "ReportTaskSuccess", answer

    async def die_unpublished(self, task_id: str, result: str) -> None:
        """kill -9 by itself, between the commit of a change and its publishing."""
        assert self.child is not None
        (self.data_dir / "die").touch()
        try:
            with contextlib.suppress(httpx.TransportError):
                await self.report(task_id, result)
            assert await asyncio.to_thread(self.child.wait, 10) == -signal.SIGKILL
        finally:
            (self.data_dir / "die").unlink()

    async def readiness(self) -> dict[str, Any]:
        """What it answers at /ready."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as http:
            return dict((await http.get("/ready")).json())

    def unsent_bytes(self, client_port: int) -> int:
        """What the kernel holds for a client that does not take it."""
        pair = f"0100007F:{self.port:04X} 0100007F:{client_port:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines():
            if pair in line:
                return int(line.split()[4].partition(":")[0], 16)
        return 0

    @property
    def memory_mib(self) -> float:
        """Its resident memory."""
        assert self.child is not None
        pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Rig:
    """PostgreSQL, Valkey or Redis, and `count` processes, which share one token."""

    def __init__(self, folder: Path, count: int, program: Program) -> None:
        self._folder = folder
        account = unprivileged_account(folder)
        self.sockets = Path(tempfile.mkdtemp(prefix="fgf-", dir="/tmp"))
        self.sockets.chmod(0o755)
        found = find_postgres(account)
        cluster = Cluster(found, folder / f"pg{found.major}", folder / "postgres.log", account, durable=False)
        ensure_initialised(cluster)
        places = self.sockets / "pg"
        places.mkdir()
        if account is not None:
            os.chown(places, account.uid, account.gid)
        self.postgres = Postgres(cluster, places)
        self.valkey = Valkey(program, self.sockets, folder / "valkey.log")
        self.database_url = postgres.url_at(places)
        self.redis_url = valkey.url_at(self.sockets)
        self.apis = []
        for n in range(count):
            data_dir = folder / f"api{n}"
            data_dir.mkdir()
            self.apis.append(Api(self, data_dir))
        self.token = LocalToken(self.apis[0].data_dir).ensure()
        for api in self.apis[1:]:
            shutil.copy(self.apis[0].data_dir / "token", api.data_dir / "token")

    def urls(self) -> list[str]:
        """Where the living processes listen."""
        return [api.socket_url for api in self.apis if api.is_up] or [self.apis[0].socket_url]

    @contextlib.asynccontextmanager
    async def served_by(self, program: Program) -> AsyncIterator[None]:
        """Another Redis or Valkey in the place of the one that runs."""
        own, other = self.valkey, Valkey(program, self.sockets, self._folder / "another.log")
        try:
            await self._change_to(other)
            yield
        finally:
            await self._change_to(own)

    async def _change_to(self, server: Valkey) -> None:
        self.valkey.stop()
        self.valkey = server
        server.start()
        await asyncio.to_thread(server.wait)
        await self.ready()

    async def ready(self) -> None:
        """Return when every process says that nothing is missing."""
        async with asyncio.timeout(START_S):
            while {(await api.readiness())["status"] for api in self.apis} != {"ready"}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def redis_run(self) -> str:
        """What names one run of the server: a restart gives another."""
        async with Redis.from_url(self.redis_url, protocol=2) as client:
            return str((await client.info("server"))["run_id"])

    async def restart_postgres(self, away_s: float = 0.0) -> None:
        """A fast shutdown, which cuts every session, and a start."""
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.sleep(away_s)
        self.postgres.start()
        await asyncio.to_thread(self.postgres.wait)

    async def restart_valkey(self, away_s: float = 0.3) -> None:
        """kill -9, and a start after a while."""
        self.kill_valkey()
        await asyncio.sleep(away_s)
        self.valkey.start()
        await asyncio.to_thread(self.valkey.wait)

    async def cut_valkey(self) -> int:
        """Every connection to Valkey is closed. Returns how many there were."""
        async with Redis.from_url(self.redis_url, protocol=2) as client:
            cut = 0
            for kind in ("pubsub", "normal"):
                words = ("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
                cut += int(await client.execute_command(*words))  # type: ignore[no-untyped-call]
            return cut

    def kill_valkey(self) -> None:
        """kill -9."""
        child = self.valkey._child
        assert child is not None
        child.send_signal(signal.SIGKILL)
        self.valkey.stop()

    def close(self) -> None:
        for api in self.apis:
            if api.is_up:
                api.kill()
        self.valkey.stop()
        self.postgres.stop()
        shutil.rmtree(self.sockets, ignore_errors=True)


@contextlib.asynccontextmanager
async def rig(folder: Path, count: int = 2, program: Program | None = None) -> AsyncIterator[Rig]:
    """A rig that runs, on Valkey if no program is given."""
    made = Rig(folder, count, program or find_valkey())
    try:
        made.valkey.start()
        made.postgres.start()
        made.valkey.wait()
        made.postgres.wait()
        await migrate.upgrade(made.database_url)
        for api in made.apis:
            api.start()
        for api in made.apis:
            api.wait()
        yield made
    finally:
        made.close()
