"""A first start as a person has it: the sample fleet over HTTP, the token, a second start, commands beside it."""

import json
import re
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.cli.conftest import Served, fleetgraph, lines_of, mode_of


def test_the_first_start_has_a_fleet_to_show(fleet: Served) -> None:
    answer = fleet.post("{ tasks(first: 50) { totalCount nodes { title status usage { costUsd } } } }").json()
    assert "errors" not in answer
    tasks = answer["data"]["tasks"]
    assert tasks["totalCount"] == len(tasks["nodes"]) >= 10
    assert sum(task["usage"]["costUsd"] for task in tasks["nodes"]) > 0
    assert f"{fleet.url}/graphql" in fleet.output
    assert re.search(r"A sample fleet was loaded: \d+ tasks, \d+ conversations, 1 run, all invented\.", fleet.output)
    typed = f"FLEETGRAPH_DATA_DIR={fleet.folder} .*fleetgraph"  # as another terminal needs it
    assert re.search(f"Remove it: {typed} sample remove\n", fleet.output)
    assert "fleetgraph import claude-code" in fleet.output


def test_the_token_is_shown_by_its_command_only(fleet: Served) -> None:
    assert fleetgraph(fleet.folder, "token").stdout.strip() == fleet.token
    assert mode_of(fleet.folder / "token") == 0o600
    assert mode_of(fleet.folder) == 0o700
    assert fleet.post("{ viewer { scopes } }").status_code == 200
    headers = {"Authorization": f"Bearer {fleet.token}"}
    address = f"ws://127.0.0.1:{fleet.port}/graphql"
    with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": headers}))
        assert json.loads(socket.recv())["type"] == "connection_ack"
    logs = "".join(path.read_text() for path in fleet.folder.glob("*.log"))
    assert fleet.token[:12] not in fleet.output + logs
    assert fleet.post("{ viewer { scopes } }", "fgl_" + "x" * 43).status_code == 401


def test_a_refused_page_is_no_error_of_the_server(fleet: Served) -> None:
    address = f"ws://127.0.0.1:{fleet.port}/graphql"
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], origin=Origin("http://evil.example")),
    ):
        pass
    assert (refused.value.response.status_code, b"CORS_ORIGINS" in (refused.value.response.body or b"")) == (403, True)
    assert fleet.post("{ viewer { scopes } }").status_code == 200
    assert "ERROR" not in fleet.output


def test_a_new_token_ends_the_old_one_at_once(fleet: Served) -> None:
    old = fleet.token
    new = fleetgraph(fleet.folder, "token", "--new").stdout.strip()
    assert new == fleet.token != old
    assert fleet.post("{ viewer { scopes } }", old).status_code == 401
    assert fleet.post("{ viewer { scopes } }", new).status_code == 200
    assert mode_of(fleet.folder / "token") == 0o600


def test_a_second_start_says_where_the_first_one_is(fleet: Served) -> None:
    second = fleetgraph(fleet.folder, "serve", PORT=str(fleet.port))
    assert (second.returncode, second.stdout, len(second.stderr.splitlines())) == (1, "", 1)
    assert f"already running at {fleet.url} (process {fleet.process.pid})" in second.stderr


def test_a_port_in_use_is_one_line_and_starts_nothing(fleet: Served, tmp_path: Path) -> None:
    other = fleetgraph(tmp_path / "data", "serve", PORT=str(fleet.port))
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr == (
        f"fleetgraph: port {fleet.port} of 127.0.0.1 is in use; choose another: PORT={fleet.port + 1} make run\n"
    )
    assert not list((tmp_path / "data").glob("pg*"))


def test_an_import_goes_into_the_store_of_the_running_server(fleet: Served, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(
        '{"type":"user","uuid":"u1","sessionId":"s","timestamp":"2026-03-01T10:00:00.000Z",'
        '"message":{"role":"user","content":"Count the words"}}\n{"broken\n'
    )
    done = fleetgraph(fleet.folder, "import", "claude-code", str(tmp_path), "--host", "laptop")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Wrote 1 tasks, 1 conversations, 1 messages" in done.stdout
    assert f"{tmp_path}/s.jsonl:2: not JSON" in done.stdout
    assert "In the store from laptop: 1 tasks" in done.stdout
    assert f"See them in the explorer ({fleet.url}/graphql)" in done.stdout
    titles = fleet.post("{ tasks(first: 50) { nodes { title } } }").json()["data"]["tasks"]["nodes"]
    assert {"title": "Count the words"} in titles


def test_an_import_without_a_server_starts_its_own_stores(tmp_path: Path) -> None:
    missing = fleetgraph(tmp_path / "data", "import", "claude-code", str(tmp_path / "nowhere"))
    assert (missing.returncode, missing.stdout, lines_of(missing.stderr)) == (
        1,
        "",
        [f"fleetgraph: {tmp_path}/nowhere does not exist; name the folder that holds the transcripts (*.jsonl)"],
    )
    assert not (tmp_path / "data").exists()
    (tmp_path / "s.jsonl").write_text('{"type":"summary","summary":"A summary"}\n')
    done = fleetgraph(tmp_path / "data", "import", "claude-code", str(tmp_path / "s.jsonl"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Read 1 lines" in done.stdout
