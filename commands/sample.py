"""`fleetgraph sample`: the small sample fleet that a new store starts with."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from commands.stores import borrow_stores
from db import migrate
from db.database import Database, WriteTransaction, open_database
from db.queries import imports
from domain.erase import erase_host
from ingest.sample import SAMPLE_HOST, load_sample
from local import StoreUrls
from pubsub.bus import Bus
from settings import Settings, now

# In the data folder once the question of the sample is settled: what was removed does not come back.
MARK = "sample-loaded"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "The sample fleet: invented transcripts, imported like anyone's, so that a new store has something"
        " to show. A new embedded store loads it at its first start, unless FLEETGRAPH_SAMPLE=0."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (("load", "import the sample fleet"), ("remove", "take all of it out again")):
        action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        action.add_argument("--json", action="store_true", help="print what was done as JSON, for programs")
        action.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run it."""
    with borrow_stores(settings, "fleetgraph sample") as urls:
        return asyncio.run(_change(settings, urls, chosen.action, as_json=chosen.json))


async def _change(settings: Settings, urls: StoreUrls, action: str, *, as_json: bool) -> int:
    await migrate.upgrade(urls.database_url)
    database = await open_database(urls.database_url, read_size=2, write_size=1)
    try:
        async with Bus(urls.redis_url, epoch=database.epoch, prefix=settings.redis_prefix, listen=False) as bus:
            if action == "load":
                counts = await _load(database, bus, now())
                told = _words(counts)
            else:
                async with database.write() as transaction:
                    erased = await erase_host(transaction, SAMPLE_HOST)
                await bus.publish(transaction.emitted, transaction.log_heads)
                counts = {"tasks": erased.tasks, "conversations": erased.conversations, "runs": erased.runs}
                told = (
                    f"The sample fleet was removed: {_listed(counts)}."
                    if erased.tasks
                    else "There is no sample fleet to remove."
                )
            print(json.dumps({"action": action, **counts}) if as_json else told)
    finally:
        await database.close()
    _mark(settings.data_dir)
    return 0


async def load_if_new(settings: Settings, database: Database, bus: Bus, now: datetime) -> str | None:
    """Load the sample fleet into a store that has never had anything. Returns what to tell, or None."""
    if (settings.data_dir / MARK).exists():
        return None
    told = None
    if await imports.holds_only(database.read, SAMPLE_HOST):
        told = _words(await _load(database, bus, now))
    _mark(settings.data_dir)
    return told


def _mark(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data_dir / MARK).touch()


async def _load(database: Database, bus: Bus, now: datetime) -> dict[str, int]:
    async def publish(transaction: WriteTransaction) -> None:
        await bus.publish(transaction.emitted, transaction.log_heads)

    report = await load_sample(database, now=now, publish=publish)
    return {name: report.written[f"new_{name}"] for name in ("tasks", "conversations", "runs")}


def _words(loaded: dict[str, int]) -> str:
    if not loaded["tasks"]:
        return "The sample fleet is there already."
    return f"A sample fleet was loaded: {_listed(loaded)}, all invented."


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
