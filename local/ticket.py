"""One-use tickets that open the explorer signed in: made by whoever may write the data folder, redeemed once.

A ticket is an empty file whose name holds its end and its hash; the ticket itself is kept nowhere. Taking the file away
is what redeems it, so two servers on one folder cannot both do so. It knows no token and no HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from local.errors import LocalStoreError

NAME = "tickets"
LIFETIME = timedelta(seconds=60)  # long enough to click on a link, too short to find one
MOST = 16  # links that somebody has printed within a minute; the oldest gives way
RANDOM_BYTES = 32


class Tickets:
    """The tickets in `folder`/tickets (mode 0700, files 0600)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def make(self, now: datetime) -> str:
        """A new ticket, good once and for LIFETIME. Raises LocalStoreError when the folder cannot be used."""
        ticket = secrets.token_urlsafe(RANDOM_BYTES)
        end = _milliseconds(now + LIFETIME)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(now)
            os.close(os.open(self.path / f"{end}.{_hash(ticket)}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise LocalStoreError(f"the folder {self.path} cannot be used: {error.strerror}") from error
        return ticket

    def redeem(self, ticket: str, now: datetime) -> bool:
        """Whether this was a good ticket; it is none any more."""
        wanted = _hash(ticket)
        found = [(end, file) for end, digest, file in self._files() if hmac.compare_digest(digest, wanted)]
        last = _milliseconds(now + LIFETIME)  # an end beyond it was written by a clock that went wrong
        return any(_take(file) and _milliseconds(now) < end <= last for end, file in found)

    def forget(self) -> None:
        """Make every ticket worthless."""
        for _end, _digest, file in self._files():
            _take(file)

    def _make_room(self, now: datetime) -> None:
        files = sorted(self._files())
        surplus = len(files) - MOST + 1
        for number, (end, _digest, file) in enumerate(files):
            if end <= _milliseconds(now) or number < surplus:
                _take(file)

    def _files(self) -> Iterator[tuple[int, str, Path]]:
        try:
            names = os.listdir(self.path)
        except OSError:
            return
        for name in names:
            end, _, digest = name.partition(".")
            if end.isdecimal():
                yield int(end), digest, self.path / name


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _take(file: Path) -> bool:
    try:
        file.unlink()
    except OSError:
        return False
    return True
