"""Load by wrk, from prepared requests: how many answers a second, how fast, and how many failed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT_S = 10


class NoWrk(Exception):
    """The load generator is not there; the message says how to get it."""


def find_wrk() -> str:
    """Where wrk is. Raises NoWrk."""
    found = shutil.which("wrk")
    if found is None:
        raise NoWrk("The load is made by wrk, which is not on the PATH. On Debian: apt-get install wrk")
    return found


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of one server to one question, in files that wrk reads."""

    url: str
    bodies: Path
    headers: Path

    @classmethod
    def write(cls, folder: Path, name: str, url: str, bodies: Sequence[Any], headers: Mapping[str, str]) -> Requests:
        """Write the files."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(url, folder / f"{name}.bodies", folder / f"{name}.headers")
        made.bodies.write_text("".join(json.dumps(body) + "\n" for body in bodies))
        made.headers.write_text("".join(f"{key}: {value}\n" for key, value in headers.items()))
        return made


@dataclass(frozen=True, slots=True)
class Load:
    """What one round found."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    bytes_each: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def press(requests: Requests, connections: int, seconds: int) -> Load:
    """Send requests over so many connections for so long; longer, when that is not enough for one answer.

    Raises RuntimeError when one failed, or none was answered.
    """
    found = _run(requests, connections, seconds)
    if not found["requests"] and not found["failed"]:
        found = _run(requests, connections, seconds + TIMEOUT_S)
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"{found['failed']} of {found['requests']} requests failed at {requests.url}")
    return Load(
        found["requests"],
        found["duration_us"] / 1e6,
        found["p50_us"] / 1e3,
        found["p99_us"] / 1e3,
        found["bytes"] / found["requests"],
    )


def _run(requests: Requests, connections: int, seconds: int) -> dict[str, int]:
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_S}s", "-s", str(SCRIPT)]
    command += [requests.url, "--", str(requests.bodies), str(requests.headers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 3 * TIMEOUT_S, check=True)
    found: dict[str, int] = json.loads(done.stdout.rpartition("RESULT ")[2])
    return found
