"""The embedded Valkey: pub/sub and short-lived keys only, so it keeps nothing on disk.

It listens on one socket in a private folder and on no port.
"""

import os
import signal
import socket
import subprocess
from pathlib import Path

from local import process
from local.programs import Program

SOCKET_NAME = "valkey.sock"
READY_S = 15.0
# `make run` needs a few MB; the limit makes a leak end in an error here, not in the machine's memory.
MAX_MEMORY = "256mb"


def url_at(sockets: Path) -> str:
    """The URL redis-py takes of the server with its socket there."""
    return f"unix://{sockets / SOCKET_NAME}?db=0"


class Valkey:
    """One running Valkey (or Redis) server."""

    def __init__(self, program: Program, sockets: Path, log: Path) -> None:
        self._program = program
        self._sockets = sockets
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server without waiting for it."""
        settings = {
            "port": "0",
            "unixsocket": str(self._sockets / SOCKET_NAME),
            "unixsocketperm": "700",
            "dir": str(self._sockets),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "maxmemory": MAX_MEMORY,
            "maxmemory-policy": "noeviction",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        output = process.open_log(self._log)
        try:
            self._child = process.start_child([self._program.path, *words], output=output, death_signal=signal.SIGKILL)
        finally:
            os.close(output)

    def wait(self) -> None:
        """Return once it answers a PING."""
        assert self._child is not None  # noqa: S101 - start() came first
        process.wait_until_ready(self._program.name, self._child, self._answers, self._log, READY_S)

    def stop(self) -> None:
        """End the server; there is nothing to save."""
        if self._child is not None:
            process.stop_child(self._child, [(signal.SIGTERM, 5.0)])

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self._sockets / SOCKET_NAME))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False
