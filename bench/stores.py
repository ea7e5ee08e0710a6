"""The suite's own PostgreSQL and Valkey in a folder that stays between runs, and the data sets in it.

A data set is a database, made once by bench/data.sql and known by what it was made from: the next run finds it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from db import migrate
from db.database import connect_arguments
from local import DataFolder, LocalStores, StoreUrls

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).with_name("data.sql")
PREFIX = "bench_"
MAKING = "making_"


def bench_folder() -> Path:
    """Where the suite keeps what it made: FLEETGRAPH_BENCH_DIR, else `.bench` of the checkout."""
    return Path(os.environ.get("FLEETGRAPH_BENCH_DIR") or ROOT / ".bench").absolute()


def say(line: str) -> None:
    """Progress, beside the results."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def bench_stores(folder: Path | None = None) -> Iterator[Stores]:
    """Both servers as `make run` starts them, in the suite's folder. Enter it in the main thread."""
    folder = folder or bench_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with DataFolder(folder), LocalStores(folder, on_progress=say) as urls:
        yield Stores(folder, urls)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything a data set has."""

    tasks: int
    lines_per_task: int = 10
    conversations: int = 10_000
    messages: int = 200_000
    usage_records: int = 500_000
    agents: int = 20


FULL = Scale(tasks=200_000)


def _make(scale: Scale) -> str:
    """A word for everything that a data set is made from."""
    digest = hashlib.sha256(f"{scale}\0{DATA.read_text()}".encode())
    for script in sorted((migrate.FOLDER / "versions").glob("*.py")):
        digest.update(script.read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Stores:
    """The running servers."""

    folder: Path
    urls: StoreUrls

    @property
    def redis_url(self) -> str:
        """Valkey."""
        return self.urls.redis_url

    @property
    def sockets(self) -> Path:
        """The folder of PostgreSQL's socket, which is what drivers take as the host."""
        return Path(str(connect_arguments(self.urls.database_url)["host"]))

    @property
    def postmaster(self) -> int:
        """The process id of PostgreSQL's first process; its sessions are children of it."""
        (note,) = self.folder.glob("pg[0-9]*/postmaster.pid")
        return int(note.read_text().split("\n", 1)[0])

    def url(self, database: str, *, user: str = "fleetgraph") -> str:
        """The URL of a database."""
        return f"postgresql+asyncpg://{user}@/{database}?host={self.sockets}"

    async def data_set(self, scale: Scale = FULL) -> str:
        """The name of a database with that much in it; made when there is none of this make."""
        name = f"{PREFIX}{scale.tasks}_{_make(scale)}"
        server = await asyncpg.connect(**connect_arguments(self.url("fleetgraph", user="postgres")))
        try:
            found = [row["datname"] for row in await server.fetch("SELECT datname FROM pg_database")]
            if name in found:
                return name
            for old in found:
                if old.removeprefix(MAKING).startswith(f"{PREFIX}{scale.tasks}_"):  # of another make, or cut short
                    await server.execute(f"DROP DATABASE {old} WITH (FORCE)")
            making = f"{MAKING}{name}"
            await server.execute(f"CREATE DATABASE {making} TEMPLATE template0 OWNER fleetgraph")
            say(f"Making the data set of {scale.tasks:,} tasks; it is kept for the next run …")
            await migrate.upgrade(self.url(making))
            await self._fill(making, scale)
            await server.execute(f"ALTER DATABASE {making} RENAME TO {name}")
        finally:
            await server.close()
        return name

    async def _fill(self, database: str, scale: Scale) -> None:
        """Run data.sql with its indexes away: entered one by one they take five times as long."""
        # As superuser, who may leave out the check of each row's keys.
        connection = await asyncpg.connect(**connect_arguments(self.url(database, user="postgres")))
        try:
            indexes = await connection.fetch(
                "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index"
                " JOIN pg_class c ON c.oid = indrelid WHERE NOT indisunique AND c.relnamespace = 'public'::regnamespace"
            )
            settings = {
                "session_replication_role": "replica",
                "synchronous_commit": "off",
                "maintenance_work_mem": "512MB",
                **{f"bench.{name}": str(getattr(scale, name)) for name in scale.__slots__},
            }
            for name, value in settings.items():
                await connection.execute("SELECT set_config($1, $2, false)", name, value)
            for index in indexes:
                await connection.execute(f"DROP INDEX {index['name']}")
            await connection.execute(DATA.read_text())
            for index in indexes:
                await connection.execute(index["made"])
            await connection.execute("VACUUM (FREEZE, ANALYZE)")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()
