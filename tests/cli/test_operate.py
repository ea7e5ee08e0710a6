"""Looking after a server from another terminal: status, logs, doctor, stop, and what programs read of an import."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from app import VERSION, Settings
from commands import run
from local import DataFolder
from local.holder import find_holder
from tests.cli.conftest import PROGRAM, Served, are_gone, environment, fleetgraph, free_port, mode_of, wait_until

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command here: exit code, what it said, what went wrong."""

    def call(*words: str, **settings: object) -> tuple[int, str, str]:
        chosen = Settings(data_dir=tmp_path / "data", explorer_cdn=True, port=free_port())
        code = run(replace(chosen, **settings), list(words), {"HOME": str(tmp_path)})  # type: ignore[arg-type]
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


# Without a server


def test_nothing_runs(say: Say, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert say("stop") == (1, "", f"fleetgraph: no server runs on the data folder {folder}\n")
    assert say("status") == (3, f"No server runs on the data folder {folder}. Start one: make run\n", "")
    code, said, _ = say("status", "--json")
    found = json.loads(said)
    assert (code, found["state"], found["url"], found["pid"], found["tasks"]) == (3, "stopped", None, None, None)
    code, said, wrong = say("logs")
    assert (code, said, wrong.count("\n")) == (1, "", 1)
    assert not folder.exists()


def test_stop_signals_nobody_else(say: Say, tmp_path: Path) -> None:
    """The lock's number may name a process that never had the folder: it is left alone."""
    folder = tmp_path / "data"
    with subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            with DataFolder(folder):
                held = find_holder(folder)
                assert held is not None
                assert (held.pid, held.url, held.is_server) == (os.getpid(), None, False)
                assert "is no server (an import, say): let it end" in say("stop")[2]
                (folder / "lock").write_text(json.dumps({"pid": bystander.pid, "url": "http://127.0.0.1:1"}))
                code, said, wrong = say("stop")
            assert (code, said, wrong.count("\n")) == (1, "", 1)
            assert "cannot be seen from here" in wrong
            assert say("stop")[2].startswith(
                "fleetgraph: no server runs"
            )  # the lock is free: the number counts for nothing
            assert bystander.poll() is None
        finally:
            bystander.kill()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["stop", "--timeout", "soon"], "'soon' is no number of seconds"),
        (["logs", "-n", "-1"], "'-1' is no number of lines"),
        (["logs", "-n", "x"], "'x' is no number of lines"),
    ],
)
def test_mistakes_in_the_words(say: Say, words: list[str], answer: str) -> None:
    code, said, wrong = say(*words)
    assert (code, said, wrong.count("\n")) == (2, "", 1)
    assert answer in wrong


# With one


def test_status_tells_of_the_server(say: Say, fleet: Served) -> None:
    code, said, wrong = say("status", "--json", data_dir=fleet.folder)
    assert (code, wrong) == (0, "")
    found: dict[str, Any] = json.loads(said)
    assert (found["state"], found["url"], found["pid"]) == ("running", fleet.url, fleet.process.pid)
    assert found["version"] == VERSION
    assert found["stores"] == {"database": "embedded", "redis": "embedded", "ready": "ready"}
    assert sum(found["tasks"].values()) == fleet.task_count()
    age = datetime.now().astimezone() - datetime.fromisoformat(found["startedAt"])
    assert -2 < age.total_seconds() < 600
    people = say("status", data_dir=fleet.folder)[1]
    assert people.startswith(f"Fleetgraph {VERSION} runs at {fleet.url}\n")
    assert f"process   {fleet.process.pid}, since " in people
    assert f"tasks     {fleet.task_count()}: " in people


def test_logs_show_the_server_and_its_stores(say: Say, fleet: Served) -> None:
    code, said, wrong = say("logs", "-n", "500", data_dir=fleet.folder)
    assert (code, wrong) == (0, "")
    assert f"Fleetgraph {VERSION} serves at {fleet.url} (process {fleet.process.pid})" in said
    assert {line.partition(" ")[0] for line in said.splitlines()} == {"server", "postgres", "valkey"}
    assert mode_of(fleet.folder / "server.log") == 0o600
    assert fleet.token not in "".join(path.read_text() for path in fleet.folder.glob("*.log*"))
    one = say("logs", "-n", "1", "postgres", data_dir=fleet.folder)[1]
    assert one.startswith("postgres | ")
    assert one.count("\n") == 1
    assert "choose of server, postgres, valkey" in say("logs", "nginx", data_dir=fleet.folder)[2]


def test_logs_follow_a_file_that_is_turned_over(tmp_path: Path) -> None:
    folder, output = tmp_path / "data", tmp_path / "output"
    folder.mkdir()
    log = folder / "server.log"
    log.write_text("first\nsecond\n")
    with output.open("wb") as file:
        follower = subprocess.Popen([PROGRAM, "logs", "-f", "-n", "1"], env=environment(folder), stdout=file)
    try:
        assert wait_until(lambda: "second" in output.read_text())
        with log.open("a") as more:
            more.write("third\nhal")
        assert wait_until(lambda: "third" in output.read_text())
        with log.open("a") as more:
            more.write("f\n")
        assert wait_until(lambda: "half" in output.read_text())
        log.rename(folder / "server.log.1")
        log.write_text("fourth\n")
        assert wait_until(lambda: "fourth" in output.read_text())
    finally:
        follower.terminate()
    assert follower.wait(10) == 130
    assert output.read_text() == "".join(f"server   | {word}\n" for word in ("second", "third", "half", "fourth"))


def test_stop_ends_the_server_and_its_stores(say: Say, fleet: Served) -> None:
    """The last of this file: the server is everybody's."""
    children = fleet.descendants()
    done = fleetgraph(fleet.folder, "stop")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"The server at {fleet.url} (process {fleet.process.pid}) has stopped.\n"
    assert fleet.process.wait(5) == 0
    assert are_gone(children)
    assert say("status", data_dir=fleet.folder)[0] == 3
    assert say("stop", data_dir=fleet.folder)[0] == 1
    assert "stopping" in say("logs", "server", data_dir=fleet.folder)[1]
