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
TIMEOUT_S = 30  # the ordinary execution of Q3 for 32 at a time takes seconds on a busy machine
ENOUGH = 100  # answers whose mean size says something


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
    answer_bytes: float  # the mean of right answers, without their headers

    @classmethod
    def write(
        cls,
        folder: Path,
        name: str,
        url: str,
        bodies: Sequence[Any],
        headers: Mapping[str, str],
        answer_bytes: float = 0.0,
    ) -> Requests:
        """Write the files."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(url, folder / f"{name}.bodies", folder / f"{name}.headers", answer_bytes)
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

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def press(requests: Requests, connections: int, seconds: int) -> Load:
    """Send requests over so many connections for so long; longer, when that is not enough for one answer.

    Raises RuntimeError when one failed, none was answered, or the answers are smaller than right ones: errors.
    """
    found = _run(requests, connections, seconds)
    if not found["requests"]:
        found = _run(requests, connections, seconds + TIMEOUT_S)
    failed = {why: found[why] for why in ("cut", "refused", "late") if found[why]}
    if failed or not found["requests"]:
        raise RuntimeError(f"{requests.bodies.stem}: of {found['requests']} requests failed {failed or 'all'}")
    bytes_each = found["bytes"] / found["requests"]
    if found["requests"] >= ENOUGH and bytes_each < 0.95 * requests.answer_bytes:
        raise RuntimeError(
            f"{requests.bodies.stem}: answers of {bytes_each:.0f} bytes, not {requests.answer_bytes:.0f}"
        )
    return Load(found["requests"], found["duration_us"] / 1e6, found["p50_us"] / 1e3, found["p99_us"] / 1e3)


def _run(requests: Requests, connections: int, seconds: int) -> dict[str, int]:
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_S}s", "-s", str(SCRIPT)]
    command += [requests.url, "--", str(requests.bodies), str(requests.headers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 3 * TIMEOUT_S, check=True)
    found: dict[str, int] = json.loads(done.stdout.rpartition("RESULT ")[2])
    return found
