"""The command line: one file per command. Prints for people; every expected failure is one line and exit code 1.

A command's module is imported when the command is asked for: the server's takes a second, and `token` should not.
"""

from __future__ import annotations

import signal
import sys

if sys.argv[0].endswith("/fleetgraph"):  # while it loads, Ctrl-C ends the program without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import importlib
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from db.errors import DatabaseUnavailable
from ingest.formats import NothingToRead
from local import LocalStoreError
from pubsub.errors import RedisUnavailable
from settings import VERSION, Settings, SettingsError

# By name: its module, which has `add_arguments(parser)` and `run(settings, chosen, environment)`, and what it does.
COMMANDS = {
    "serve": ("commands.serve", "start everything and serve the API and the explorer"),
    "status": ("commands.status", "whether the server runs, where, and what its store holds"),
    "stop": ("commands.stop", "end the server that runs on this data folder"),
    "logs": ("commands.logs", "show the logs of the server and of its stores"),
    "doctor": ("commands.doctor", "look for what may be wrong, and say what to do"),
    "import": ("commands.import_", "import what agents have left on disk"),
    "sample": ("commands.sample", "load or remove the sample fleet"),
    "token": ("commands.token", "print the token that the API asks for, or a link that opens the explorer signed in"),
    "migrate": ("commands.migrate", "bring the database to the newest schema (serve does it too)"),
    "sdl": ("commands.sdl", "write graphql/schema.graphql from the code"),
}
READER_GONE = 141  # what a shell expects of a program that writes to a pipe which nobody reads
EPILOG = """\
Settings come from the environment:
  HOST, PORT             where to serve (127.0.0.1, 5000)
  DATABASE_URL           a PostgreSQL of your own (else an embedded one is started)
  REDIS_URL              a Redis or Valkey of your own (else an embedded one is started)
  FLEETGRAPH_DATA_DIR    where the data and the token live (.data)
  FLEETGRAPH_SAMPLE      0: do not load the sample fleet into an empty embedded store
  CORS_ORIGINS           web pages of other origins that may call, separated by commas
  LOG_LEVEL              DEBUG, INFO, WARNING, ERROR (INFO)
All of them, with examples: docs/settings.md
"""


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, and where the help is."""

    def error(self, message: str) -> NoReturn:
        sys.exit(f"{self.prog}: {message} (see {self.prog} --help)")


def main() -> int:
    """The console script: reads the world, then runs one command. Returns the exit code."""
    arguments = sys.argv[1:]
    try:
        settings = Settings.read(os.environ, host_name=socket.gethostname() or "localhost")
    except SettingsError as error:
        print(f"fleetgraph: {error}", file=sys.stderr)
        return 1
    _start_log(settings.log_level)
    _load(_asked(arguments))
    for stop in (signal.SIGINT, signal.SIGTERM):  # both end a command in good order, its servers too
        signal.signal(stop, signal.default_int_handler)
    return run(settings, arguments, os.environ)


def _start_log(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if level != "DEBUG":
        logging.getLogger("asyncpg.pool").addFilter(in_one_line)  # it looks for a database that is away, and fails
        logging.getLogger("alembic").setLevel(logging.WARNING)  # what it says at INFO is nothing to an operator
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the same, and at DEBUG it writes headers, tokens in them
    logging.getLogger("uvicorn.error").addFilter(_is_no_refusal)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # a line for every change of a watched file


def in_one_line(record: logging.LogRecord) -> bool:
    """Have a record tell its failure by its words, without a traceback."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {record.exc_info[1]}", (), None
    return True


def _is_no_refusal(record: logging.LogRecord) -> bool:
    """Uvicorn takes a WebSocket that was refused by an answer with a body for a mistake of ours."""
    return "without completing handshake" not in record.getMessage()


def _asked(arguments: Sequence[str]) -> str | None:
    """The command that is asked for, if it is one."""
    first = next((word for word in arguments if not word.startswith("-")), None)
    return first if first in COMMANDS else None


def _load(command: str | None) -> Any:
    return None if command is None else importlib.import_module(COMMANDS[command][0])


def make_parser(asked: str | None) -> argparse.ArgumentParser:
    """The parser: it knows all commands, and the words of the one that is asked for."""
    parser = _Parser(
        prog="fleetgraph",
        description="The GraphQL API of a fleet of AI agents: what they did, what it cost, which one is stuck.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, (_, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name == asked:
            _load(name).add_arguments(command)
    return parser


def run(settings: Settings, arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one command. Returns the exit code: 0 done, 1 it could not be done, 2 a mistake in the words."""
    parser = make_parser(_asked(arguments))
    try:
        chosen, unknown = parser.parse_known_args(arguments)
        if unknown:
            words = [getattr(chosen, name, None) for name in ("command", "format", "action")]
            parser.prog = " ".join(["fleetgraph", *filter(None, words)])
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 2
        return int(stop.code or 0)
    if chosen.version:
        print(f"fleetgraph {VERSION}")
        return 0
    if chosen.command is None:
        parser.print_help()
        return 2
    try:
        code = int(chosen.run(settings, chosen, environment))
        sys.stdout.flush()  # here, where a reader that has gone can be told of
    except (LocalStoreError, DatabaseUnavailable, RedisUnavailable, NothingToRead) as error:
        print(f"fleetgraph: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `fleetgraph logs | head`: what is left to say goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return code
