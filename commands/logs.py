"""`fleetgraph logs`: the ends of the logs in the data folder, of the server and of its stores; `-f` follows them."""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from commands.server_log import NAME
from local import LocalStoreError
from local.holder import check_access
from settings import Settings

LOGS = {"server": NAME, "postgres": "postgres.log", "valkey": "valkey.log"}
LINES = 20
POLL_S = 0.3
END_BYTES = 1 << 20  # no more than this is read of a log's end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Show the ends of the logs in the data folder. Those of the stores are of the last start only."
    parser.add_argument("which", nargs="*", metavar="LOG", help=f"{', '.join(LOGS)} (all of them)")
    parser.add_argument("-n", "--lines", type=_lines, default=LINES, metavar="N", help=f"lines of each ({LINES})")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written, until Ctrl-C")
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run it."""
    unknown = [name for name in chosen.which if name not in LOGS]
    if unknown:
        raise LocalStoreError(f"there is no log {unknown[0]!r}; choose of {', '.join(LOGS)}")
    check_access(settings.data_dir)
    tails = [_Tail(name, settings.data_dir / LOGS[name]) for name in chosen.which or LOGS]
    found = [tail for tail in tails if tail.path.exists()]
    if not found and not chosen.follow:
        raise LocalStoreError(f"no logs in {settings.data_dir}: no server of this data folder has been started yet")
    for tail in found:
        tail.show_end(chosen.lines)
    while chosen.follow:
        for tail in tails:
            tail.show_new()
        time.sleep(POLL_S)
    return 0


def _lines(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 7:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines")
    return int(text)


class _Tail:
    """One log; a file that was replaced or emptied is read from its start."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self.path = path
        self._inode = 0
        self._offset = 0
        self._rest = b""

    def show_end(self, count: int) -> None:
        """Print the last lines."""
        try:
            with self.path.open("rb") as file:
                size = self._begin(file)
                file.seek(max(0, size - END_BYTES))
                text = file.read(min(size, END_BYTES))
        except OSError as error:
            raise LocalStoreError(f"the log {self.path} cannot be read: {error.strerror}") from error
        self._offset = size
        for line in deque(text.splitlines(), count):
            self._print(line)

    def show_new(self) -> None:
        """Print the lines that have come since."""
        try:
            with self.path.open("rb") as file:
                status = self.path.stat()
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._begin(file)
                file.seek(self._offset)
                text = self._rest + file.read()
                self._offset = file.tell()
        except OSError:
            return  # it is being replaced, or is not there yet
        *lines, self._rest = text.split(b"\n")
        for line in lines:
            self._print(line)

    def _begin(self, file: BinaryIO) -> int:
        self._inode, self._offset, self._rest = self.path.stat().st_ino, 0, b""
        return file.seek(0, 2)

    def _print(self, line: bytes) -> None:
        print(f"{self._name:<8} | {line.decode(errors='replace')}", flush=True)
