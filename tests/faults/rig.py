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

from redis.asyncio import Redis

from db import migrate
from local import postgres, valkey
from local.postgres import Cluster, Postgres, ensure_initialised
from local.process import unprivileged_account
from local.programs import find_postgres, find_valkey
from local.token import LocalToken
from local.valkey import Valkey

ROOT = Path(__file__).parents[2]


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
        deadline = time.monotonic() + 20
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

    @property
    def memory_mib(self) -> float:
        """Its resident memory."""
        assert self.child is not None
        pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Rig:
    """PostgreSQL, Valkey and `count` processes, which share one token."""

    def __init__(self, folder: Path, count: int) -> None:
        account = unprivileged_account(folder)
        self.sockets = Path(tempfile.mkdtemp(prefix="fgf-", dir="/tmp"))
        self.sockets.chmod(0o755)
        program = find_postgres(account)
        cluster = Cluster(program, folder / f"pg{program.major}", folder / "postgres.log", account, durable=False)
        ensure_initialised(cluster)
        places = self.sockets / "pg"
        places.mkdir()
        if account is not None:
            os.chown(places, account.uid, account.gid)
        self.postgres = Postgres(cluster, places)
        self.valkey = Valkey(find_valkey(), self.sockets, folder / "valkey.log")
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

    async def cut_valkey(self) -> None:
        """Every connection to Valkey is closed."""
        async with Redis.from_url(self.redis_url, protocol=2) as client:
            for kind in ("pubsub", "normal"):
                await client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")  # type: ignore[no-untyped-call]

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
async def rig(folder: Path, count: int = 2) -> AsyncIterator[Rig]:
    """A rig that runs."""
    made = Rig(folder, count)
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
