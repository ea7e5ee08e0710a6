"""The server's own log in the data folder, beside those of its stores: what went to standard error, bounded.

Only a server that holds the data folder writes it: two processes must not turn one file over.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from local import LocalStoreError

NAME = "server.log"
BYTES = 2 * 1024 * 1024  # of a file; with the older ones 6 MB in all
OLDER = 2
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# For the file alone: in the terminal the same is said in other words.
_life = logging.getLogger("fleetgraph.life")
_life.propagate = False
_life.setLevel(logging.INFO)


class _PrivateFile(RotatingFileHandler):
    """Readable by its owner only, each new file too."""

    def _open(self) -> IO[str]:  # type: ignore[override]
        os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return super()._open()


@contextmanager
def server_log(folder: Path | None) -> Iterator[None]:
    """Write the log for as long as the context lasts; None: nothing is written.

    Raises LocalStoreError when the file cannot be opened.
    """
    if folder is None:
        yield
        return
    try:
        handler = _PrivateFile(folder / NAME, maxBytes=BYTES, backupCount=OLDER, encoding="utf-8")
    except OSError as error:
        raise LocalStoreError(f"the log {folder / NAME} cannot be written: {error.strerror}") from error
    handler.setFormatter(logging.Formatter(FORMAT))
    loggers = (logging.getLogger(), _life)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    except Exception as error:
        _life.error("ended: %s", error)
        raise
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


def note(message: str, *values: object) -> None:
    """A line about the server's life, such as its start."""
    _life.info(message, *values)
