"""Which pages may open a WebSocket here: browsers do not ask for permission first, so the server must look."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_allowed(headers: Headers, allowed: Collection[str]) -> bool:
    """Whether the request comes from no page at all, from a page of this host, or from one on the list.

    A program sends no Origin. `null` (a sandboxed frame, a local file) is never allowed, listed or not.
    """
    origins = headers.getlist("origin")
    if not origins:
        return True
    origin = _normal(origins[0]) if len(origins) == 1 else None
    if origin is None:
        return False
    scheme, host, port = origin
    if origin in {_normal(entry) for entry in allowed}:
        return True
    return _normal(f"{scheme}://{headers.get('host', '')}") == (scheme, host, port)


def _normal(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None when it is no origin of a page."""
    try:
        parts = urlsplit(origin.strip().rstrip("/"))
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port
