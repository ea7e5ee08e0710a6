"""What the command line says to mistakes: one line that says what to do, exit code 2 for words and 1 for all else."""

import json
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from commands import in_one_line, run, sdl
from local import DataFolder, LocalStores
from local.postgres import url_at
from settings import Settings, SettingsError
from tests.cli.conftest import fleetgraph, free_port

SECRET = "open-sesame"
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


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "abc", "PORT is 'abc'; it should be a number from 1 to 65535"),
        ("PORT", "0", "PORT is '0'"),
        ("PORT", "65536", "PORT is '65536'"),
        ("PORT", "-1", "PORT is '-1'"),
        ("PORT", "²", "PORT is '²'"),
        ("PORT", "٣", "PORT is '٣'"),
        ("PORT", "9" * 5000, "PORT is '999"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'loud'; it should be one of DEBUG, INFO"),
        ("CORS_ORIGINS", "*", r"CORS_ORIGINS has '\*'; it should be origins such as http"),
        ("CORS_ORIGINS", "http://a,http://b/c", "CORS_ORIGINS has 'http://b/c'"),
        ("CORS_ORIGINS", "http://a:x", "CORS_ORIGINS has 'http://a:x'"),
        ("CORS_ORIGINS", "http://[", r"CORS_ORIGINS has 'http://\['"),
        ("FLEETGRAPH_LIMITS", "depth", "FLEETGRAPH_LIMITS has 'depth'; it should be limits such as depth=15"),
        ("FLEETGRAPH_LIMITS", "depth=9,width=3", "FLEETGRAPH_LIMITS has 'width=3'"),
        ("FLEETGRAPH_LIMITS", "depth=" + "9" * 5000, "FLEETGRAPH_LIMITS has 'depth=999"),
        ("FLEETGRAPH_SAMPLE", "maybe", "FLEETGRAPH_SAMPLE is 'maybe'; it should be 1 or 0"),
        ("FLEETGRAPH_EXPLORER_CDN", "2", "FLEETGRAPH_EXPLORER_CDN is '2'; it should be 1 or 0"),
        ("FLEETGRAPH_DATA_DIR", "~nobody-of-that-name/x", "FLEETGRAPH_DATA_DIR is '~nobody-of-that-name/x'"),
        ("DATABASE_URL", f"mysql://u:{SECRET}@h/x", "DATABASE_URL should be a URL such as postgresql"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@[/x", "DATABASE_URL should be a URL"),
        (
            "DATABASE_URL",
            f"postgresql://u:p@s:{SECRET}/x@h/y",
            "DATABASE_URL should .*; in a password write @",
        ),
        ("REDIS_URL", f"http://:{SECRET}@h", "REDIS_URL should be a URL such as redis://host:6379/0"),
        ("REDIS_URL", f"redis://:{SECRET}@h:x/0", "REDIS_URL should be a URL"),
        ("AGENT_ENGINE_URL", "engine", "AGENT_ENGINE_URL should be a URL such as http://"),
    ],
)
def test_a_bad_value_names_its_variable(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"^{words}") as failure:
        Settings.read({name: value}, host_name="here")
    assert SECRET not in str(failure.value)


def test_settings_are_read(tmp_path: Path) -> None:
    settings = Settings.read(
        {
            "PORT": " 80 ",
            "HOST": "",
            "LOG_LEVEL": "debug",
            "CORS_ORIGINS": "http://a.example/, https://b.example:8443",
            "FLEETGRAPH_SAMPLE": "off",
            "FLEETGRAPH_DATA_DIR": str(tmp_path),
        },
        host_name="here",
    )
    assert (settings.port, settings.host, settings.log_level) == (80, "127.0.0.1", "DEBUG")
    assert settings.cors_origins == ("http://a.example", "https://b.example:8443")
    assert (settings.load_sample, settings.data_dir, settings.host_name) == (False, tmp_path, "here")


def test_a_bad_value_ends_the_program(tmp_path: Path) -> None:
    done = fleetgraph(tmp_path / "data", "serve", PORT="abc")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "fleetgraph: PORT is 'abc'; it should be a number from 1 to 65535\n"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["serv"], "argument COMMAND: invalid choice: 'serv'"),
        (["serve", "--prt", "1"], "unrecognized arguments: --prt 1"),
        (["sample", "load", "--jsn"], "unrecognized arguments: --jsn"),
        (["serve", "--port", "99999"], "argument --port: '99999' is no number from 1 to 65535"),
        (["import"], "the following arguments are required: FORMAT"),
        (["import", "codex"], "argument FORMAT: invalid choice: 'codex'"),
        (["sample"], "the following arguments are required: ACTION"),
        (["token", "--new", "--link"], "argument --link: not allowed with argument --new"),
    ],
)
def test_mistakes_in_the_words(say: Say, words: list[str], answer: str) -> None:
    code, said, wrong = say(*words)
    assert (code, said, wrong.count("\n")) == (2, "", 1)
    assert re.fullmatch(rf"(fleetgraph[\w -]*): {re.escape(answer)}.* \(see \1 --help\)\n", wrong)
    assert "unrecognized" not in answer or wrong.startswith(f"fleetgraph {words[0]}"), "the help that has the words"


def test_help_is_for_people(say: Say) -> None:
    code, said, _ = say("--help")
    assert code == 0
    for word in (
        "serve",
        "status",
        "stop",
        "logs",
        "doctor",
        "import",
        "sample",
        "token",
        "migrate",
        "sdl",
        "DATABASE_URL",
        "FLEETGRAPH_DATA_DIR",
    ):
        assert word in said
    assert say("--version")[:2] == (0, f"fleetgraph {sdl_version()}\n")


def test_a_failure_that_a_library_tells_is_one_line() -> None:
    try:
        raise ConnectionRefusedError("nobody listens")
    except ConnectionRefusedError:
        record = logging.LogRecord("asyncpg.pool", logging.WARNING, "", 1, "No %s", ("connection",), sys.exc_info())
    assert in_one_line(record)
    assert logging.Formatter().format(record) == "No connection: nobody listens"


def sdl_version() -> str:
    from settings import VERSION

    return VERSION


@pytest.mark.parametrize(
    ("host", "words"), [("not-here.invalid", "cannot serve on not-here.invalid:"), ("192.0.2.1", "cannot serve on 192")]
)
def test_an_address_that_is_not_ours(say: Say, host: str, words: str) -> None:
    code, said, wrong = say("serve", host=host)
    assert (code, said, wrong.count("\n")) == (1, "", 1)
    assert wrong.startswith(f"fleetgraph: {words}")
    assert wrong.endswith("; correct HOST and PORT\n")


@pytest.mark.parametrize("words", [["serve"], ["token"], ["token", "--new"], ["migrate"]])
def test_a_data_folder_that_cannot_be(say: Say, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").touch()
    code, said, wrong = say(*words, data_dir=tmp_path / "file")
    assert (code, said, wrong.count("\n")) == (1, "", 1)
    assert "(that is not a folder)" in wrong
    assert "name another in FLEETGRAPH_DATA_DIR" in wrong


def test_a_token_that_is_too_short_can_be_replaced(say: Say, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token").write_text("short\n")
    assert say("token") == (
        1,
        "",
        f"fleetgraph: the token in {tmp_path}/data/token is too short; make one with: fleetgraph token --new\n",
    )
    code, new, _ = say("token", "--new")
    assert code == 0
    assert say("token") == (0, new, "")


def test_the_sdl_is_compared(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert say("sdl", "--check") == (0, "", "")
    monkeypatch.setattr(sdl, "FILE", tmp_path / "schema.graphql")
    (tmp_path / "schema.graphql").write_text(say("sdl", "--print")[1].replace("type Query", "type Questions"))
    code, said, wrong = say("sdl", "--check")
    assert (code, said) == (1, "")
    assert "-type Questions" in wrong
    assert wrong.endswith("run: make sdl\n")
    assert say("sdl")[0] == 0
    assert say("sdl", "--check") == (0, "", "")


# Stores that do not answer as they should


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket folder of a PostgreSQL that asks `fleetgraph` for a password."""
    folder = tmp_path_factory.mktemp("guarded")
    with LocalStores(folder, valkey=False, durable=False) as urls:
        (next(folder.glob("pg*")) / "pg_hba.conf").write_text("local all all scram-sha-256\n")
    with LocalStores(folder, valkey=False, durable=False) as urls:
        yield urls.database_url.partition("?host=")[2]


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of a server that speaks neither PostgreSQL's protocol nor Redis's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_database_that_refuses_the_password(say: Say, guarded: str) -> None:
    url = url_at(Path(guarded)).replace("fleetgraph@", f"fleetgraph:{SECRET}@")
    code, said, wrong = say("migrate", database_url=url, redis_url="redis://127.0.0.1:1")
    assert (code, said) == (1, "")
    assert wrong.endswith(" refused the user or password; correct DATABASE_URL\n")
    assert (SECRET in wrong, wrong.count("\n")) == (False, 1)


@pytest.mark.parametrize("words", [["migrate"], ["serve"], ["sample", "remove"]])
def test_a_database_that_does_not_exist(say: Say, empty_url: str, words: list[str]) -> None:
    url = empty_url.replace("/t_", "/no_")
    code, said, wrong = say(*words, database_url=url, redis_url="redis://127.0.0.1:1")
    assert (code, said, wrong.count("\n")) == (1, "", 1)
    assert "does not exist; create it (createdb), or correct DATABASE_URL" in wrong


@pytest.mark.parametrize(
    "form",
    [
        "postgresql+asyncpg://fleetgraph:{secret}@127.0.0.1:{port}/x",
        "postgresql://127.0.0.1/x?port={port}&user=fleetgraph&password={secret}",
        "postgres://fleetgraph:{secret}@{secret}@127.0.0.1:{port}/x",  # an @ that should have been %40
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_port_without_a_database(say: Say, stranger: int, form: str, is_there: bool) -> None:
    port = stranger if is_there else free_port()
    url = form.format(port=port, secret=SECRET)
    code, said, wrong = say("migrate", "--check", database_url=url, redis_url="redis://127.0.0.1:1")
    assert (code, said, wrong.count("\n")) == (1, "", 1)
    answers = is_there and "@{secret}@" not in form
    words = r"what answers at \S+ is no PostgreSQL" if answers else r"no database answers at \S+"
    assert re.match(rf"fleetgraph: {words}.*correct DATABASE_URL\n", wrong)
    assert str(port) in wrong
    assert SECRET not in wrong


@pytest.mark.parametrize("is_there", [True, False])
def test_a_port_without_a_redis(say: Say, database_url: str, stranger: int, is_there: bool) -> None:
    port = stranger if is_there else free_port()
    code, said, wrong = say("serve", database_url=database_url, redis_url=f"redis://:{SECRET}@127.0.0.1:{port}/0")
    assert (code, said, wrong.count("\n")) == (1, "", 1)
    words = "what answers at {} is no Redis" if is_there else "no Redis answers at {}"
    assert wrong.startswith(f"fleetgraph: {words.format(f'redis://127.0.0.1:{port}/0')}; ")
    assert wrong.endswith("correct REDIS_URL\n")
    assert SECRET not in wrong


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_a_store_that_only_the_server_knows(say: Say, tmp_path: Path, name: str) -> None:
    note = {"database_url": "postgresql://", "redis_url": "redis://", "sockets": str(tmp_path), name.lower(): ""}
    for socket_name in (".s.PGSQL.5432", "valkey.sock"):
        (tmp_path / socket_name).touch()
    with DataFolder(tmp_path / "data"):
        (tmp_path / "data" / "stores.json").write_text(json.dumps(note))
        code, said, wrong = say("migrate", "--check")
    assert (code, said) == (1, "")
    assert wrong == (
        f"fleetgraph: the server that runs on the data folder {tmp_path}/data was given a {name}: give it here too\n"
    )


def test_a_server_where_an_import_holds_the_folder(say: Say, tmp_path: Path) -> None:
    with DataFolder(tmp_path / "data", "fleetgraph import claude-code --watch"):
        code, said, wrong = say("serve")
    assert (code, said, wrong.count("\n")) == (1, "", 1)
    assert wrong.startswith(
        f"fleetgraph: `fleetgraph import claude-code --watch` (process {os.getpid()}) has the stores"
    )
    assert "Start the server first" in wrong
    assert "already running" not in wrong


def test_migrations_are_checked(say: Say, empty_url: str) -> None:
    stores = {"database_url": empty_url, "redis_url": "redis://127.0.0.1:1"}
    assert say("migrate", "--check", **stores) == (1, "The database has an older schema; run: fleetgraph migrate\n", "")
    assert say("migrate", **stores) == (0, "The database was brought to the newest schema.\n", "")
    assert say("migrate", "--check", **stores) == (0, "The database has the newest schema.\n", "")
