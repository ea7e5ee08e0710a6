"""Which servers the real-time tests run on: the embedded Valkey, and Redis itself where it is installed."""

import os

import pytest

from local.programs import SYSTEM_FOLDERS, Program, _version, find_valkey

SERVERS = ("valkey", "redis")


def server_program(name: str) -> Program:
    """The program of a server by its name. Without Redis the test is skipped and says so, but never in CI."""
    if name == "valkey":
        return find_valkey()
    for folder in SYSTEM_FOLDERS:
        found = _version(folder / "redis-server")
        if found is not None and found.name.startswith("Redis"):
            return found
    reason = f"no redis-server in {', '.join(map(str, SYSTEM_FOLDERS))}; on Debian: apt-get install redis-server"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
