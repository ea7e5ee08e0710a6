"""The command line: one file per command. Prints for people; every expected failure is one line and exit code 1."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from commands import doctor, import_, logs, migrate, sample, sdl, serve, status, stop, token
from db.database import DatabaseUnavailable
from ingest.formats import NothingToRead
from local import LocalStoreError
from pubsub.errors import RedisUnavailable

if TYPE_CHECKING:
    from app import Settings

COMMANDS = (serve, status, stop, logs, doctor, import_, sample, token, migrate, sdl)
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
"""


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, and where the help is."""

    def error(self, message: str) -> NoReturn:
        sys.exit(f"{self.prog}: {message} (see {self.prog} --help)")


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(
        prog="fleetgraph",
        description="The GraphQL API of a fleet of AI agents: what they did, what it cost, which one is stuck.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for module in COMMANDS:
        module.add_parser(commands)
    return parser


def run(settings: Settings, arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one command. Returns the exit code: 0 done, 1 it could not be done, 2 a mistake in the words."""
    from app import VERSION

    parser = make_parser()
    try:
        chosen = parser.parse_args(arguments)
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
