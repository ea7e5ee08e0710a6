"""The embedded PostgreSQL: makes its data folder once, starts the server on it, stops it in good order.

It listens on one socket in a private folder and on no port. The one role and database it makes are `fleetgraph`; the
server's own superuser `postgres` is left for people. Tables are not its business.
"""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from local import orphans, process
from local.errors import LocalStoreError
from local.process import Account
from local.programs import Program

# Recovery after a crash replays at most max_wal_size (1 GB) of log.
READY_S = 120.0
INIT_S = 180.0
PORT = 5432  # only a part of the socket's name
SETTINGS = {
    "port": str(PORT),
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "cluster_name": "fleetgraph",
    # One log per run: no line per checkpoint, and no statement text, which may hold a person's words.
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
}
# For tests: what a power cut would destroy is thrown away anyway. A worker of autovacuum is the superuser's: one that
# is at work in a scratch database would keep it from being dropped.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
# Single-user mode reads one statement per line. CREATEDB lets the suite make scratch databases.
MAKE_DATABASE = "CREATE ROLE fleetgraph LOGIN CREATEDB;\nCREATE DATABASE fleetgraph OWNER fleetgraph;\n"
# Startup message, protocol 3.0: length, version, parameters.
_PARAMETERS = b"user\0fleetgraph\0database\0fleetgraph\0\0"
HELLO = struct.pack("!II", 8 + len(_PARAMETERS), 196608) + _PARAMETERS
GOODBYE = b"X\0\0\0\4"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a server needs to know: program, data folder, log, the account it runs as."""

    program: Program
    data: Path
    log: Path
    account: Account | None
    durable: bool


def url_at(sockets: Path) -> str:
    """The URL SQLAlchemy takes of the server with its socket there; asyncpg takes it without `+asyncpg`."""
    return f"postgresql+asyncpg://fleetgraph@/fleetgraph?host={sockets}"


class Postgres:
    """One running PostgreSQL server."""

    def __init__(self, cluster: Cluster, sockets: Path) -> None:
        self._cluster = cluster
        self._sockets = sockets
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server without waiting for it; a server that a killed parent left is waited for first."""
        cluster = self._cluster
        orphans.clear_away(cluster.data)
        settings = {**SETTINGS, **({} if cluster.durable else NOT_DURABLE), "unix_socket_directories": self._sockets}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        output = process.open_log(cluster.log)
        try:
            with _data_argument(cluster.data, cluster.account) as (argument, fds):
                self._child = process.start_child(
                    [cluster.program.path, "-D", argument, *words],
                    output=output,
                    death_signal=signal.SIGINT,  # fast shutdown: a clean data folder even after kill -9 of the parent
                    account=cluster.account,
                    keep_fds=fds,
                )
        finally:
            os.close(output)

    def wait(self) -> None:
        """Return once it accepts a session on the database."""
        assert self._child is not None  # noqa: S101 - start() came first
        process.wait_until_ready("PostgreSQL", self._child, self._answers, self._cluster.log, READY_S)

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything is written; then harder if that takes too long."""
        if self._child is not None:
            process.stop_child(self._child, [(signal.SIGINT, 30.0), (signal.SIGQUIT, 6.0)])

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5.0)
            try:
                connection.connect(str(self._sockets / f".s.PGSQL.{PORT}"))
                connection.sendall(HELLO)
                if connection.recv(1) != b"R":  # E: it is still starting
                    return False
                connection.sendall(GOODBYE)
            except OSError:
                return False
        return True


def ensure_initialised(cluster: Cluster) -> bool:
    """Make the data folder with its role and database if it does not exist; whether it was made now.

    It is made under another name and renamed when complete, so one that was cut short is simply made again.
    """
    data = cluster.data
    if data.exists():
        _check_owner(data)
        return False
    making = data.with_name(f"{data.name}.new")
    orphans.clear_away(making)
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    if cluster.account is not None:
        os.chown(making, cluster.account.uid, cluster.account.gid)
    superuser, quick = "--username=postgres", () if cluster.durable else ("--no-sync",)
    with _data_argument(making, cluster.account) as (argument, fds):
        initdb = cluster.program.path.with_name("initdb")
        access = ("--auth-local=trust", "--auth-host=reject")
        locale = _locale(cluster.program.major)
        _run(cluster, [initdb, "-D", argument, superuser, *access, *locale, *quick], "", fds)
        single = (cluster.program.path, "--single", "-D", argument, "-c", "exit_on_error=on")
        unsafe = () if cluster.durable else ("-F",)
        _run(cluster, [*single, *unsafe, "postgres"], MAKE_DATABASE, fds)
    making.rename(data)
    if cluster.durable:
        _sync_folder(data.parent)
    return True


def _locale(major: int) -> tuple[str, ...]:
    if major >= 17:  # its own C.UTF-8: the same order of words whatever the system's library says
        return ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    return ("--encoding=UTF8", "--locale=C.UTF-8")


@contextlib.contextmanager
def _data_argument(data: Path, account: Account | None) -> Iterator[tuple[str, Sequence[int]]]:
    """What to write after -D, and the file descriptors that must stay open for it.

    For another account than ours the folder is handed over as an open descriptor: folders above it may be closed.
    """
    if account is None:
        yield str(data), ()
        return
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


def _run(cluster: Cluster, command: Sequence[str | Path], text: str, fds: Sequence[int]) -> None:
    """Run one step of making the data folder; LocalStoreError with the end of its output when it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as source:
        source.write(text.encode())
        source.seek(0)
        child = process.start_child(
            command,
            output=output.fileno(),
            death_signal=signal.SIGTERM,
            account=cluster.account,
            keep_fds=fds,
            source=source.fileno(),
        )
        try:
            code = child.wait(INIT_S)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            process.stop_child(child, [(signal.SIGTERM, 5.0)])
        output.seek(0)
        said = process.last_lines(output.read().decode(errors="replace"))
    if code != 0:
        raise LocalStoreError(f"The database could not be made in {cluster.data.parent}: {said}")


def _check_owner(data: Path) -> None:
    owner = data.stat().st_uid
    if os.geteuid() not in (0, owner):
        raise LocalStoreError(
            f"{data} belongs to another user (uid {owner}): run Fleetgraph as the user who made it, "
            "or name another folder in FLEETGRAPH_DATA_DIR."
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
