"""Load by wrk, from prepared requests: how many answers a second, how fast, and how many failed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
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
    def write(cls, folder: Path, name: str, url: str, bodies: Sequence[Any], headers: dict[str, str]) -> Requests:
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


def press(requests: Requests, connections: int, seconds: float) -> Load:
    """Send requests over so many connections for so long. Raises RuntimeError when one failed."""
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", f"--timeout={TIMEOUT_S}s", "-s", str(SCRIPT)]
    command += [requests.url, "--", str(requests.bodies), str(requests.headers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 3 * TIMEOUT_S, check=True)
    found = json.loads(done.stdout.rpartition("RESULT ")[2])
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"{found['failed']} of {found['requests']} requests failed at {requests.url}: {done.stdout}")
    return Load(
        found["requests"],
        found["duration_us"] / 1e6,
        found["p50_us"] / 1e3,
        found["p99_us"] / 1e3,
        found["bytes"] / found["requests"],
    )
