"""The local token: one secret in a file of the data folder, for the person whose machine this is."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from local.errors import LocalStoreError, reason

NAME = "token"
PREFIX = "fgl_"  # tells people and secret scanners what it is


class LocalToken:
    """The token in `folder`/token (mode 0600). A change of the file counts at once, in servers that run too."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._path = str(self.path)
        self._stamp: tuple[int, int] | None = None
        self._value = ""

    def ensure(self) -> str:
        """The token; made at the first time. Raises LocalStoreError when the file cannot be used."""
        try:
            if not self.path.exists():
                self.renew()
            self.path.chmod(0o600)
        except OSError as error:
            raise self._unusable(error) from error
        value = self.read()
        if len(value) < len(PREFIX) + 20:
            raise LocalStoreError(f"the token in {self.path} is too short; make one with: fleetgraph token --new")
        return value

    def renew(self) -> str:
        """Put a new token in the place of the old one, which is worth nothing from now on. Raises LocalStoreError."""
        value = PREFIX + secrets.token_urlsafe(32)
        fresh = self.path.with_name(f".{NAME}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(value + "\n")
            fresh.replace(self.path)
        except OSError as error:
            raise self._unusable(error) from error
        return value

    def _unusable(self, error: OSError) -> LocalStoreError:
        return LocalStoreError(
            f"the token file {self.path} cannot be used ({reason(error)}): give the folder to the user who runs"
            " Fleetgraph, or name another in FLEETGRAPH_DATA_DIR"
        )

    def read(self) -> str:
        """The token now; empty when there is none."""
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp != self._stamp:
                self._value = self.path.read_text().strip()
                self._stamp = stamp
        except OSError:
            self._value, self._stamp = "", None
        return self._value

    def matches(self, token: str) -> bool:
        """Whether this is the token, compared in constant time."""
        value = self.read()
        return bool(value) and hmac.compare_digest(value.encode(), token.encode())
