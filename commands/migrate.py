"""`fleetgraph migrate`: bring the database to the newest schema."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping

from commands.stores import borrow_stores
from db import migrate
from settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Bring the database to the newest schema. `fleetgraph serve` does the same at its start."
    parser.add_argument("--check", action="store_true", help="only tell: exit code 1 when there is something to do")
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run it."""
    with borrow_stores(settings, "fleetgraph migrate") as urls:
        if not asyncio.run(migrate.pending(urls.database_url)):
            print("The database has the newest schema.")
            return 0
        if chosen.check:
            print("The database has an older schema; run: fleetgraph migrate")
            return 1
        asyncio.run(migrate.upgrade(urls.database_url))
        print("The database was brought to the newest schema.")
        return 0
