"""`fleetgraph doctor`: one line for each thing that may be wrong, with what to do about it.

It changes no data. Embedded stores that do not run are started for the look, if they have data.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from commands.checks import (
    Check,
    check_disk,
    check_explorer,
    check_folder,
    check_server,
    check_token,
    check_transcripts,
    kept_days,
)
from commands.import_claude_code import find
from commands.stores import borrow_stores
from db import migrate
from db.database import Database, open_database
from db.errors import DatabaseUnavailable, StatementTimeout
from db.queries import diagnosis
from ingest.claude_code.files import Transcript
from ingest.formats import NothingToRead
from ingest.lines import shown
from local import LocalStoreError, StoreUrls
from local.holder import Holder, check_access, find_holder
from pubsub.connection import check_server as look_at_redis
from pubsub.errors import RedisUnavailable
from settings import VERSION, Settings, now

SKEW_WARN_S, SKEW_FAIL_S = 2.0, 60.0
MODELS_SHOWN = 5
Clock = Callable[[], datetime]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Look for what may be wrong, and say what to do about it. Exit code 1 when something fails."
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Run it."""
    check_access(settings.data_dir)
    checks = examine(settings, environment, VERSION, now)
    failed = any(check.state == "fail" for check in checks)
    if chosen.json:
        print(json.dumps({"ok": not failed, "checks": [asdict(check) for check in checks]}))
    else:
        for check in checks:
            advice = f"; {check.advice}" if check.advice else ""
            print(f"{check.state:<4}  {check.name:<11}  {check.finding}{advice}")
    return 1 if failed else 0


def examine(settings: Settings, environment: Mapping[str, str], version: str, clock: Clock) -> list[Check]:
    """Every check, in the order in which they are shown."""
    holder, held = None, None
    try:
        holder = find_holder(settings.data_dir)
    except LocalStoreError as error:
        held = Check("server", "fail", str(error), "look again in a moment, or as the user who runs it")
    server = held or check_server(settings, holder, version)
    is_running = holder is not None and holder.is_server
    transcripts = _transcripts(environment)
    read_to: dict[str, int] | None = None
    try:
        with _stores(settings, holder) as urls:
            stores, read_to = asyncio.run(_look(urls, transcripts, clock))
    except LocalStoreError as error:
        stores = [Check("stores", "fail", str(error), "see: fleetgraph logs")]
    home = Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    return [
        server,
        *stores,
        check_folder(settings.data_dir),
        check_token(settings.data_dir, is_running=is_running),
        check_disk(settings.data_dir),
        check_explorer(settings),
        check_transcripts(transcripts, read_to, kept_days(home, environment), clock()),
    ]


def _transcripts(environment: Mapping[str, str]) -> list[Transcript]:
    try:
        return find([], environment)
    except (NothingToRead, PermissionError):  # none, or another user's
        return []


@contextmanager
def _stores(settings: Settings, holder: Holder | None) -> Iterator[StoreUrls]:
    """The stores; empty is the URL of an embedded one that has never been started."""
    if (settings.database_url and settings.redis_url) or (
        holder is None and not any(settings.data_dir.glob("pg[0-9]*"))
    ):
        yield StoreUrls(settings.database_url or "", settings.redis_url or "")
        return
    with borrow_stores(settings, "fleetgraph doctor") as urls:
        yield urls


async def _look(
    urls: StoreUrls, transcripts: list[Transcript], clock: Clock
) -> tuple[list[Check], dict[str, int] | None]:
    """Findings, and how far transcripts were read: None when the database cannot tell."""
    checks, read_to = await _look_at_database(urls.database_url, transcripts, clock)
    return [*checks, await _look_at_redis(urls.redis_url)], read_to


async def _look_at_redis(url: str) -> Check:
    if not url:
        return Check("redis", "ok", "an embedded one will be started by: make run")
    try:
        return Check("redis", "ok", await look_at_redis(url))
    except RedisUnavailable as error:
        finding, _, advice = str(error).partition("; ")
        return Check("redis", "fail", finding, advice)


async def _look_at_database(
    url: str, transcripts: list[Transcript], clock: Clock
) -> tuple[list[Check], dict[str, int] | None]:
    if not url:
        return [Check("database", "ok", "an embedded one will be made by: make run")], {}
    try:
        if await migrate.pending(url):
            advice = "run: fleetgraph migrate (make run does it too)"
            return [
                Check("database", "ok", "answers"),
                Check("migrations", "fail", "the database has an older schema", advice),
            ], None
        database = await open_database(url, read_size=1, write_size=1)
    except DatabaseUnavailable as error:
        finding, _, advice = str(error).partition("; ")
        return [Check("database", "fail", finding, advice)], None
    try:
        paths = [shown(file.path) for file in transcripts]
        return await _ask_database(database, clock), await diagnosis.read_to(database.read, "claude-code", paths)
    except StatementTimeout:
        return [Check("database", "fail", "answers too slowly", "see its log for what keeps it busy")], None
    finally:
        await database.close()


async def _ask_database(database: Database, clock: Clock) -> list[Check]:
    before = clock()
    server = await diagnosis.server(database.read)
    after = clock()
    # What the way there and back takes is nobody's fault.
    skew = max((before - server.at).total_seconds(), (server.at - after).total_seconds(), 0.0)
    return [
        Check("database", "ok", f"PostgreSQL {server.version}"),
        Check("migrations", "ok", "the database has the newest schema"),
        check_clock(skew),
        check_prices(await diagnosis.unpriced_models(database.read)),
    ]


def check_clock(skew: float) -> Check:
    """How far this machine's clock and the database's are apart, in seconds."""
    if skew < SKEW_WARN_S:
        return Check("clock", "ok", "agrees with the database's")
    return Check(
        "clock",
        "fail" if skew >= SKEW_FAIL_S else "warn",
        f"{skew:,.0f} s from the database's",
        "set both machines' clocks by NTP",
    )


def check_prices(models: Mapping[str, int]) -> Check:
    """Models whose calls cost null: `models` has how many, by name."""
    if not models:
        return Check("prices", "ok", "every model call has a price")
    listed = ", ".join(f"{name} ({count:,})" for name, count in list(models.items())[:MODELS_SHOWN])
    more = f" and {len(models) - MODELS_SHOWN} more" if len(models) > MODELS_SHOWN else ""
    return Check(
        "prices", "warn", f"calls without a price, which cost null: {listed}{more}", "a newer release may know"
    )
