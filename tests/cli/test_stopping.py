"""How a server ends: by Ctrl-C at any moment, by SIGTERM, by kill -9. Nothing is ever left behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
import weakref
from pathlib import Path

import pytest

from commands import run
from local import StoreUrls
from settings import Settings
from tests.cli.conftest import PROGRAM, READY, Serve, Served, are_gone, environment, fleetgraph, free_port, wait_until


def sockets_of(served: Served) -> Path:
    return Path(json.loads((served.folder / "stores.json").read_text())["sockets"])


def test_ctrl_c_stops_all_children_and_a_removed_sample_stays_removed(serve: Serve) -> None:
    served = serve(FLEETGRAPH_SAMPLE="1")
    assert served.task_count() > 0
    removed = fleetgraph(served.folder, "sample", "remove")
    assert (removed.returncode, removed.stderr) == (0, "")
    assert re.fullmatch(r"The sample fleet was removed: \d+ tasks, \d+ conversations, 1 run\.\n", removed.stdout)
    assert served.task_count() == 0
    children, sockets = served.descendants(), sockets_of(served)
    assert len(children) > 2
    assert served.end(signal.SIGINT) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)  # it waited for them
    assert not sockets.exists()
    assert served.output.splitlines()[-2:] == [f"  {READY}", "Fleetgraph has stopped."]
    again = serve(FLEETGRAPH_SAMPLE="1")
    assert again.task_count() == 0
    assert "sample" not in again.output


def test_kill_9_leaves_nothing_and_the_next_start_recovers(serve: Serve) -> None:
    served = serve()
    made = served.post(
        'mutation { createConversation(input: { title: "kept" }) { ... on CreateConversationSuccess { __typename } } }'
    )
    assert "errors" not in made.json(), made.text
    children, sockets = served.descendants(), sockets_of(served)
    served.end(signal.SIGKILL)
    again = serve()  # at once: the old servers may still be stopping
    assert are_gone(children)
    assert not sockets.exists()
    answer = again.post("{ conversations { nodes { title } } }").json()
    assert answer["data"]["conversations"]["nodes"] == [{"title": "kept"}]
    children, sockets = again.descendants(), sockets_of(again)
    assert again.end(signal.SIGTERM) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not sockets.exists()
    assert again.output.endswith("Fleetgraph has stopped.\n")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_start_can_be_stopped_half_way(how: signal.Signals, serve: Serve) -> None:
    served = serve(until="Making a new database")
    children = served.descendants()
    assert served.end(how) == 0
    assert are_gone(children)
    assert served.output.splitlines()[1:] in (
        ["Fleetgraph has stopped."],
        ["Starting PostgreSQL 18.6 …", "Fleetgraph has stopped."],
    )


class Dying:
    """What can be referred to weakly."""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(["serve"], 0, "Fleetgraph has stopped.\n"), (["import", "claude-code", "sample/projects"], 130, "")],
)
def test_a_stop_is_heard_where_exceptions_are_lost(
    words: list[str],
    code: int,
    said: str,
    how: signal.Signals,
    database_url: str,
    store_urls: StoreUrls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Python drops what is raised in a callback of a weak reference, and a signal may come in one."""

    async def upgrade(_url: str) -> bool:
        dying = Dying()
        reference = weakref.ref(dying, lambda _: os.kill(os.getpid(), how))
        del dying
        await asyncio.sleep(0.1)
        raise AssertionError(f"went on after {reference}")

    monkeypatch.setattr("db.migrate.upgrade", upgrade)
    settings = Settings(data_dir=tmp_path, port=free_port(), database_url=database_url, redis_url=store_urls.redis_url)
    before = {stop: signal.signal(stop, signal.default_int_handler) for stop in (signal.SIGINT, signal.SIGTERM)}
    try:
        ended = run(settings, words, {})
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
    assert (ended, capsys.readouterr().err) == (code, said)


LOADS_FOR_EVER = """
import pathlib, sys, time

class Stay:
    def find_spec(self, name, path=None, target=None):
        if name == "app":
            pathlib.Path({reached!r}).touch()
            time.sleep(60)

sys.meta_path.insert(0, Stay())
"""


def test_ctrl_c_while_the_program_loads_is_silent(tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    (tmp_path / "sitecustomize.py").write_text(LOADS_FOR_EVER.format(reached=str(reached)))
    process = subprocess.Popen(
        [PROGRAM, "serve"],
        env=environment(tmp_path / "data", PYTHONPATH=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert wait_until(reached.exists)  # in the middle of its imports
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (-signal.SIGINT, "")
    assert not (tmp_path / "data").exists()
