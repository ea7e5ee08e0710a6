"""LocalStores: both embedded servers as one context, and where a second process finds them.

It decides order and clean-up; how each server is started is in postgres.py and valkey.py.
"""

import contextlib
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from local import postgres, programs, valkey
from local.errors import LocalStoreError
from local.folder import is_held
from local.postgres import READY_S, Cluster, Postgres, ensure_initialised
from local.process import POLL_S, Account, can_reach, unprivileged_account
from local.valkey import Valkey

SOCKETS_PREFIX = "fleetgraph-"
# A socket's path has at most 107 bytes; "/fleetgraph-xxxxxxxx/.s.PGSQL.5432.lock" takes 40 of them.
LONGEST_SOCKETS_PARENT = 60
NOTE_NAME = "stores.json"


@dataclass(frozen=True, slots=True)
class StoreUrls:
    """Where the servers answer; empty for one that was not asked for."""

    database_url: str
    redis_url: str


class LocalStores:
    """PostgreSQL and Valkey as children of this process, for as long as the context lasts.

    The caller holds the DataFolder. Enter it in the main thread: the servers die with the thread that started them.
    `durable=False` is for tests only: faster, and lost by a power cut.
    """

    def __init__(
        self,
        folder: Path,
        *,
        postgres: bool = True,
        valkey: bool = True,
        durable: bool = True,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._postgres = postgres
        self._valkey = valkey
        self._durable = durable
        self._say = on_progress or (lambda _: None)
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> StoreUrls:
        """Start what was asked for and return once it answers; LocalStoreError leaves nothing running."""
        if not sys.platform.startswith("linux"):
            raise LocalStoreError(
                "The embedded stores need Linux: set DATABASE_URL and REDIS_URL to servers of your own."
            )
        with contextlib.ExitStack() as undo:
            urls = self._start(undo)
            self._cleanup = undo.pop_all()
        return urls

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both in good order and remove their sockets."""
        self._cleanup.close()

    def _start(self, undo: contextlib.ExitStack) -> StoreUrls:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_left_sockets(self._folder)
            account = unprivileged_account(*sorted(self._folder.glob("pg[0-9]*")), self._folder)
            sockets = _make_sockets(account)
            undo.callback(shutil.rmtree, sockets, ignore_errors=True)
            urls = StoreUrls(
                postgres.url_at(sockets) if self._postgres else "", valkey.url_at(sockets) if self._valkey else ""
            )
            _write_note(self._folder, sockets, urls)  # first, so that a start that is killed leaves nothing unknown
            servers: list[Valkey | Postgres] = []
            if self._valkey:
                servers.append(self._start_valkey(sockets, undo))
            if self._postgres:
                servers.append(self._start_postgres(account, sockets, undo))
            for server in servers:
                server.wait()
        except OSError as error:
            raise LocalStoreError(f"The embedded stores cannot start in {self._folder}: {error}") from error
        return urls

    def _start_valkey(self, sockets: Path, undo: contextlib.ExitStack) -> Valkey:
        server = Valkey(programs.find_valkey(), sockets, self._folder / "valkey.log")
        undo.callback(server.stop)
        server.start()
        return server

    def _start_postgres(self, account: Account | None, sockets: Path, undo: contextlib.ExitStack) -> Postgres:
        program = programs.find_postgres(account)
        data = self._folder / f"pg{program.major}"
        cluster = Cluster(program, data, self._folder / "postgres.log", account, self._durable)
        if not data.exists():
            self._say(f"Making a new database in {data} …")
        ensure_initialised(cluster)
        self._say(f"Starting {program.name} …")
        server = Postgres(cluster, sockets)
        undo.callback(server.stop)
        server.start()
        return server


def running_stores(folder: Path) -> StoreUrls | None:
    """The servers of the process that holds this data folder now, once they are up; None when none does.

    Raises LocalStoreError when they do not come up.
    """
    deadline = time.monotonic() + READY_S
    while is_held(folder):
        note = _read_note(folder)
        if note and _listen(note):
            return StoreUrls(note["database_url"], note["redis_url"])
        if time.monotonic() > deadline:
            raise LocalStoreError(f"Fleetgraph is still starting on the data folder {folder}: try again in a moment.")
        time.sleep(POLL_S)
    return None


def _listen(note: dict[str, str]) -> bool:
    sockets = Path(note["sockets"])
    return (not note["database_url"] or (sockets / f".s.PGSQL.{postgres.PORT}").exists()) and (
        not note["redis_url"] or (sockets / valkey.SOCKET_NAME).exists()
    )


def _make_sockets(account: Account | None) -> Path:
    """A private folder with a short name that the servers' account can reach."""
    parents = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - mkdtemp makes it private
    for parent in parents:
        if len(os.fsencode(parent)) <= LONGEST_SOCKETS_PARENT and parent.is_dir() and can_reach(parent, account):
            sockets = Path(tempfile.mkdtemp(prefix=SOCKETS_PREFIX, dir=parent))
            if account is not None:
                os.chown(sockets, account.uid, account.gid)
            return sockets
    raise LocalStoreError("No temporary folder can hold the servers' sockets: set TMPDIR to a short path open to all.")


def _write_note(folder: Path, sockets: Path, urls: StoreUrls) -> None:
    path = folder / NOTE_NAME
    path.touch(mode=0o600)
    path.write_text(json.dumps({**asdict(urls), "sockets": str(sockets)}))


def _read_note(folder: Path) -> dict[str, str]:
    try:
        note = json.loads((folder / NOTE_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _remove_left_sockets(folder: Path) -> None:
    """Remove the sockets of a start that was killed, if the noted folder is really one of ours."""
    noted = Path(_read_note(folder).get("sockets", "/"))
    if not noted.name.startswith(SOCKETS_PREFIX):
        return
    with contextlib.suppress(FileNotFoundError):
        status = noted.lstat()
        if stat.S_ISDIR(status.st_mode) and (os.geteuid() == 0 or status.st_uid == os.geteuid()):
            shutil.rmtree(noted, ignore_errors=True)
