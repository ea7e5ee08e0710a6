"""Where the server listens, and how a person on this machine reaches it."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

from local import LocalStoreError, announced_url
from settings import Settings


def address(host: str, port: int) -> str:
    """Where a person on this machine reaches a server on this host and port."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on this host."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def link(url: str, ticket: str) -> str:
    """The address that opens the explorer signed in: browsers keep what follows the # to themselves."""
    return f"{url}/graphql#ticket={ticket}"


def explorer_of(settings: Settings) -> str | None:
    """Where the explorer of the server of this data folder is; None when none runs, or it cannot be told."""
    url = announced_url(settings.data_dir)
    return None if url is None else f"{url}/graphql"


def listen(host: str, port: int) -> socket.socket:
    """The socket to serve on, taken before anything is started. Raises LocalStoreError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            another = port + 1 if port < 65535 else 5000
            raise LocalStoreError(f"port {port} of {host} is in use; choose another: PORT={another} make run") from None
        raise LocalStoreError(f"cannot serve on {host}:{port}: {error.strerror}; correct HOST and PORT") from None
    listener.set_inheritable(False)
    return listener
