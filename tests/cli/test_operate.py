"""Looking after a server from another terminal: status, logs, doctor, stop, and what programs read of an import."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commands import run
from commands.checks import Check, check_transcripts, kept_days
from commands.doctor import check_clock, check_prices
from ingest.claude_code.files import Transcript
from local import DataFolder
from local.holder import find_holder
from settings import VERSION, Settings
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


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def diagnose(say: Say, **settings: object) -> tuple[int, dict[str, dict[str, str]]]:
    code, said, wrong = say("doctor", "--json", **settings)
    assert wrong == ""
    found = json.loads(said)
    assert found["ok"] is (code == 0)
    return code, {check["name"]: check for check in found["checks"]}


def test_doctor_before_the_first_start(say: Say, tmp_path: Path) -> None:
    code, found = diagnose(say)
    assert (code, found["token"]["state"], found["database"]["state"]) == (0, "warn", "ok")
    assert found["transcripts"]["finding"] == "none of Claude Code on this machine"
    assert not (tmp_path / "data").exists()


@pytest.fixture
def not_ours(tmp_path: Path) -> Iterator[Path]:
    """A data folder that we may not look into; root gives up its rights for it."""
    folder = tmp_path / "data"
    with DataFolder(folder):
        folder.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o700)


def test_doctor_sees_that_a_data_folder_cannot_be(say: Say, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, found = diagnose(say, data_dir=tmp_path / "file" / "data")
    assert (code, found["folder"]["state"]) == (1, "fail")
    assert found["folder"]["finding"] == f"{tmp_path}/file is no folder"
    code, found = diagnose(say)
    assert (code, found["folder"]["finding"]) == (0, f"{tmp_path}/data, not made yet")
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # whom nothing here belongs to
    try:
        code, found = diagnose(say, data_dir=Path("/usr/fleetgraph/data"))
    finally:
        os.seteuid(user)
    assert (code, found["folder"]["state"]) == (1, "fail")
    assert found["folder"]["finding"] == "/usr/fleetgraph/data cannot be made: /usr cannot be written"


def test_the_folder_of_another_user(say: Say, not_ours: Path) -> None:
    for words in (["stop"], ["status"], ["logs"], ["doctor"]):
        code, said, wrong = say(*words)
        assert (code, said, wrong.count("\n")) == (1, "", 1)
        assert wrong.startswith(f"fleetgraph: the data folder {not_ours} is another user's: do this as that user")


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [PROGRAM, "doctor"], env=environment(tmp_path / "data"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    program.stdout.close()
    assert (program.wait(30), program.stderr and program.stderr.read()) == (141, b"")
    if program.stderr:
        program.stderr.close()


def test_doctor_finds_what_keeps_a_server_from_starting(say: Say, empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token").write_text("x" * 40)
    (tmp_path / "data" / "token").chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, found = diagnose(say, port=port, database_url=empty_url, redis_url="redis://:geheim@127.0.0.1:1")
    assert code == 1
    assert {name for name, check in found.items() if check["state"] == "fail"} == {
        "server",
        "migrations",
        "redis",
        "token",
    }
    assert f"port {port} of 127.0.0.1 is in use" in found["server"]["finding"]
    assert found["migrations"]["advice"].startswith("run: fleetgraph migrate")
    assert found["token"]["advice"] == f"run: chmod 600 {tmp_path}/data/token"
    assert "no Redis answers at redis://127.0.0.1:1" in found["redis"]["finding"]
    assert "geheim" not in json.dumps(found)
    code, found = diagnose(say, database_url=empty_url.replace("/t_", "/no_"), redis_url="redis://127.0.0.1:1")
    assert (code, found["database"]["state"]) == (1, "fail")
    assert "create it (createdb)" in found["database"]["advice"]


def test_doctor_tells_of_transcripts_that_are_deleted_soon(tmp_path: Path) -> None:
    now = datetime(2026, 5, 31, tzinfo=UTC)
    projects = tmp_path / ".claude" / "projects"

    def transcript(name: str, days: float) -> Transcript:
        return Transcript(projects / "p" / name, 10, (now - timedelta(days=days)).timestamp(), name, None)

    files = [transcript("old", 28), transcript("new", 2), transcript("read", 29)]
    kept = {projects: 30}
    found = check_transcripts(files, {str(files[2].path): 10, str(files[1].path): 9}, kept, now)
    assert (found.state, found.advice) == ("warn", "run: fleetgraph import claude-code")
    assert found.finding == (
        "2 of 3 are not imported, or have grown since; Claude Code deletes 1 of them soon, the first in 2 days"
    )
    assert check_transcripts(files, {}, {projects: 99999}, now).state == "ok"
    assert check_transcripts(files, {str(file.path): 10 for file in files}, kept, now).finding.endswith("all imported")
    assert check_transcripts(files, None, kept, now).state == check_transcripts([], {}, kept, now).state == "ok"


@pytest.mark.parametrize(
    ("text", "days"), [('{"cleanupPeriodDays": 365}', 365), ("{}", 30), ("[]", 30), ("{", 30), (None, 30)]
)
def test_how_long_claude_code_keeps_transcripts(tmp_path: Path, text: str | None, days: int) -> None:
    (tmp_path / ".claude").mkdir()
    if text is not None:
        (tmp_path / ".claude" / "settings.json").write_text(text)
    assert kept_days(tmp_path, {})[tmp_path / ".claude" / "projects"] == days


def test_doctor_judges_clocks_and_prices() -> None:
    assert states([check_clock(0.1)]) == {"clock": "ok"}
    assert states([check_clock(5)]) == {"clock": "warn"}
    assert states([check_clock(3600)]) == {"clock": "fail"}
    assert check_prices({}).state == "ok"
    many = check_prices({f"model-{number}": 1200 for number in range(7)})
    assert many.state == "warn"
    assert "model-4 (1,200) and 2 more" in many.finding


# With one


def test_doctor_is_content_with_a_fresh_server(say: Say, fleet: Served, tmp_path: Path) -> None:
    folder = tmp_path / ".claude" / "projects" / "p"
    folder.mkdir(parents=True)
    (folder / "s.jsonl").write_text('{"type":"summary","summary":"A summary"}\n')
    os.utime(folder / "s.jsonl", (0, 0))
    code, found = diagnose(say, data_dir=fleet.folder)
    assert (code, found["server"]["finding"].partition(",")[0]) == (0, fleet.url)
    assert {name for name, check in found.items() if check["state"] != "ok"} == {"transcripts"}
    assert re.fullmatch(r"PostgreSQL \d+\.\d+", found["database"]["finding"])
    assert re.fullmatch(r"Valkey \d+\.\d+\.\d+", found["redis"]["finding"])
    assert "deletes 1 of them soon, the first any day" in found["transcripts"]["finding"]
    report = imported(say, "claude-code", str(folder), data_dir=fleet.folder)
    assert (report["files"], report["lines"], report["unreadable"]) == (1, 1, [])
    code, said, _ = say("doctor", data_dir=fleet.folder)
    assert code == 0
    assert "ok    transcripts  1 on this machine, all imported\n" in said
    assert "ok    clock        agrees with the database's\n" in said


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


def imported(say: Say, *words: str, **settings: object) -> dict[str, Any]:
    code, said, wrong = say("import", *words, "--host", "laptop", "--json", **settings)
    assert (code, wrong) == (0, "")
    report: dict[str, Any] = json.loads(said)
    assert report["host"] == "laptop"
    return report


def test_imports_report_to_programs(say: Say, fleet: Served, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(
        '{"type":"user","uuid":"u9","sessionId":"t","timestamp":"2026-03-01T10:00:00.000Z",'
        '"message":{"role":"user","content":"Count the words"}}\n{"broken\n'
    )
    report = imported(say, "claude-code", str(tmp_path / "t.jsonl"), data_dir=fleet.folder)
    assert (report["files"], report["lines"], report["written"]["newTasks"]) == (1, 2, 1)
    assert report["skippedCount"] == 1
    (skipped,) = report["skipped"]
    assert (skipped["path"], skipped["line"]) == (f"{tmp_path}/t.jsonl", 2)
    assert skipped["reason"].startswith("not JSON")
    assert report["store"]["taskCount"] >= 1
    assert (report["store"]["costUsd"], report["store"]["unpricedModels"]) == (0, [])
    (tmp_path / "prd.json").write_text('{"userStories": [{"id": "S1", "title": "One"}]}')
    report = imported(say, "claude-loop", str(tmp_path), data_dir=fleet.folder)
    assert report["written"]["newStories"] == report["store"]["storyCount"] == 1
    code, said, _ = say("sample", "remove", "--json", data_dir=fleet.folder)
    removed = json.loads(said)
    assert (code, removed["action"]) == (0, "remove")
    assert removed["tasks"] >= 10
    code, said, _ = say("sample", "load", "--json", data_dir=fleet.folder)
    assert json.loads(said) == {**removed, "action": "load"}


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
