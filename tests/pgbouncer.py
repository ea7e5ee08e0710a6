"""A pgbouncer in transaction mode before the suite's PostgreSQL, as a child of ours on a socket of its own.

Few connections serve many clients, so that what one leaves behind in a session reaches others.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy.engine import make_url

from db.database import connect_arguments
from local import process

PORT = 6432  # only a part of the socket's name
CONNECTIONS = 6  # to PostgreSQL, for each database
SETTINGS = """[databases]
* = host={sockets} port={port}

[pgbouncer]
unix_socket_dir = {folder}
listen_port = {own_port}
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 1000
{more}
"""
_behind: dict[str, str] = {}  # the folders of pgbouncers that run, and the sockets of the servers behind them


def straight(url: str) -> dict[str, Any]:
    """What asyncpg connects with to the same database past any pgbouncer: for who cuts the connections of others."""
    arguments = connect_arguments(url)
    if arguments["host"] in _behind:
        arguments["host"] = _behind[arguments["host"]]
        del arguments["port"], arguments["statement_cache_size"]
    return arguments


@contextmanager
def pgbouncer(database_url: str, more: str = "") -> Iterator[str]:
    """Run one; yields the URL of the same database through it. `more` is added to its configuration."""
    behind = make_url(database_url)
    account = process.unprivileged_account()  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="fleetgraph-pooler-", dir="/tmp"))
    try:
        (folder / "users").write_text(f'"{behind.username}" ""\n')
        words = {"sockets": behind.query["host"], "port": 5432, "folder": folder, "own_port": PORT, "more": more}
        (folder / "pgbouncer.ini").write_text(SETTINGS.format(connections=CONNECTIONS, **words))
        if account is not None:
            for path in (folder, *folder.iterdir()):
                os.chown(path, account.uid, account.gid)
        output = process.open_log(folder / "log")
        child = process.start_child(
            [_program(), folder / "pgbouncer.ini"], output=output, death_signal=signal.SIGTERM, account=account
        )
        os.close(output)
        try:
            _behind[str(folder)] = str(behind.query["host"])
            process.wait_until_ready("pgbouncer", child, (folder / f".s.PGSQL.{PORT}").exists, folder / "log", 20)
            yield behind.set(
                query={"host": str(folder), "port": str(PORT), "statement_cache_size": "0"}
            ).render_as_string(hide_password=False)
        finally:
            process.stop_child(child, [(signal.SIGTERM, 5.0)])
    finally:
        shutil.rmtree(folder)


def _program() -> str:
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or _absent()


def _absent() -> NoReturn:
    reason = "there is no pgbouncer; on Debian: apt-get install pgbouncer"
    if os.environ.get("CI") == "true" or os.environ.get("FLEETGRAPH_TEST_PGBOUNCER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
