"""`fleetgraph sdl`: write the schema as SDL, or compare it with the file in the repository."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path

from schema.root import print_sdl
from settings import Settings

FILE = Path(__file__).resolve().parent.parent / "graphql" / "schema.graphql"
SHOWN_LINES = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Write graphql/schema.graphql from the code, for clients and code generators."
    parser.add_argument("--check", action="store_true", help="write nothing: exit code 1 when the file differs")
    parser.add_argument("--print", action="store_true", help="write to standard output")
    parser.set_defaults(run=run)


def run(_settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run it."""
    sdl = print_sdl()
    if chosen.print:
        print(sdl, end="")
        return 0
    if not chosen.check:
        FILE.write_text(sdl)
        print(f"Wrote {FILE}")
        return 0
    written = FILE.read_text() if FILE.exists() else ""
    if written == sdl:
        return 0
    difference = difflib.unified_diff(
        written.splitlines(), sdl.splitlines(), "graphql/schema.graphql", "the code", "", "", 1
    )
    print(*list(difference)[:SHOWN_LINES], sep="\n", file=sys.stderr)
    print("graphql/schema.graphql is not what the code says; review the change, then run: make sdl", file=sys.stderr)
    return 1
