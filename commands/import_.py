"""`fleetgraph import`: read what agents have left on disk, one sub-command per format."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from commands.address import explorer_of
from commands.import_claude_code import STOPPED, folders_of, import_claude_code, watched
from commands.import_claude_loop import import_claude_loop, timezone, watched_loops
from commands.stopping import end_by_signal
from commands.stores import borrow_stores
from db import migrate
from db.database import Database, WriteTransaction, open_database
from ingest.claude_code.files import Transcript, find_transcripts
from ingest.claude_loop.files import Found, find_loops
from ingest.formats import NothingToRead
from ingest.run import Clock, Publish
from ingest.watch import Source, watch
from local import StoreUrls
from pubsub.bus import Bus
from settings import Settings, now

T = TypeVar("T")
Work = Callable[[Database, Publish, Clock], Awaitable[int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Import what agents have left on disk. Importing twice changes nothing."
    formats = parser.add_subparsers(dest="format", metavar="FORMAT", required=True)
    claude_code = formats.add_parser(
        "claude-code",
        help="transcripts of Claude Code",
        description="Import transcripts of Claude Code: sessions as conversations, prompts and sub-agents as tasks,"
        " with logs, tool calls, tokens and cost. A file that has grown is read on from where it ended.",
    )
    claude_code.add_argument(
        "directories",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="folders to search (CLAUDE_CONFIG_DIR, else ~/.claude/projects and ~/.config/claude/projects)",
    )
    claude_code.add_argument("--host", help="the name of the machine that wrote them (this machine's)")
    claude_code.add_argument("--json", action="store_true", help="print the report as JSON, for programs")
    _add_watch(claude_code)
    claude_code.set_defaults(run=run)
    claude_loop = formats.add_parser(
        "claude-loop",
        help="runs, stories and progress logs of claude-loop",
        description="Import projects of claude-loop: runs with cost and metrics, PRDs with their stories, iterations as"
        " tasks with their part of the progress log. A file that has not changed is not read again.",
    )
    claude_loop.add_argument(
        "directories",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="projects' folders (those that hold .claude-loop or prd.json), or a folder above many",
    )
    claude_loop.add_argument("--host", help="the name of the machine that wrote them (this machine's)")
    claude_loop.add_argument("--json", action="store_true", help="print the report as JSON, for programs")
    claude_loop.add_argument(
        "--timezone", metavar="NAME", help="what times without a timezone are read in (this machine's)"
    )
    _add_watch(claude_loop)
    claude_loop.set_defaults(run=run_claude_loop)


def _add_watch(parser: Any) -> None:
    parser.add_argument("--watch", action="store_true", help="go on with what is written from now on, until Ctrl-C")


def run(settings: Settings, chosen: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Run `import claude-code`."""
    folders = folders_of(chosen.directories, environment)
    nothing: list[Transcript] = []
    transcripts = _found(lambda: find_transcripts(folders), nothing, folders, chosen)  # before a store is started
    host = chosen.host or settings.host_name

    async def work(database: Database, publish: Publish, clock: Clock) -> int:
        since = clock()
        code = await import_claude_code(
            database,
            transcripts,
            host=host,
            clock=clock,
            publish=publish,
            show_progress=sys.stdout.isatty() and not chosen.json,
            explorer=explorer_of(settings),
            as_json=chosen.json,
            output=sys.stdout,
            errors=sys.stderr,
        )
        if not chosen.watch:
            return code
        source = watched(database, folders, transcripts, host=host, clock=clock, publish=publish)
        return await _go_on(settings, database, source, code, since, clock)

    return _with_stores(settings, chosen, work)


def run_claude_loop(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run `import claude-loop`."""
    zone = timezone(chosen.timezone)
    found = _found(lambda: find_loops(chosen.directories), Found([], []), chosen.directories, chosen)
    host = chosen.host or settings.host_name

    async def work(database: Database, publish: Publish, clock: Clock) -> int:
        since = clock()
        code = await import_claude_loop(
            database,
            found,
            host=host,
            zone=zone,
            explorer=explorer_of(settings),
            as_json=chosen.json,
            clock=clock,
            publish=publish,
            output=sys.stdout,
            errors=sys.stderr,
        )
        if not chosen.watch:
            return code
        source = watched_loops(database, chosen.directories, host=host, zone=zone, clock=clock, publish=publish)
        return await _go_on(settings, database, source, code, since, clock)

    return _with_stores(settings, chosen, work)


def _found(find: Callable[[], T], nothing: T, folders: Sequence[Path], chosen: argparse.Namespace) -> T:
    """What there is; a folder that is watched may be empty yet. Raises NothingToRead."""
    try:
        return find()
    except NothingToRead:
        if chosen.watch and all(folder.is_dir() for folder in folders):
            return nothing
        raise


async def _go_on(
    settings: Settings, database: Database, source: Source, code: int, since: datetime, clock: Clock
) -> int:
    """Watch until Ctrl-C or SIGTERM, which is how it is meant to end. After a first import that failed, read all."""
    if code == STOPPED:
        return code
    listed = ", ".join(str(folder) for folder in source.folders)
    print(f"Watching {listed}; Ctrl-C stops", flush=True)
    if explorer_of(settings) is None and not (settings.database_url and settings.redis_url):
        alone = "No server runs, and none can start while this holds the data folder: to see what comes in, stop this,"
        print(f"{alone} start the server, and watch beside it.", file=sys.stderr, flush=True)
    try:
        await watch(
            database,
            source,
            since=0 if code else since.timestamp(),
            clock=clock,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except asyncio.CancelledError:
        print("Stopped. What was read is kept; the same command goes on from here.", file=sys.stderr)
    return 0


def _with_stores(settings: Settings, chosen: argparse.Namespace, work: Work) -> int:
    command = f"fleetgraph import {chosen.format}{' --watch' if chosen.watch else ''}"
    with borrow_stores(settings, command) as urls:
        try:
            return asyncio.run(_import(settings, urls, work))
        except asyncio.CancelledError:  # by SIGTERM before there was anything to import
            return STOPPED


async def _import(settings: Settings, urls: StoreUrls, work: Work) -> int:
    end_by_signal()
    # Rows are made by the thousand and gone when they are written: looking for garbage among them was a seventh of the
    # work. What was loaded so far stays.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    await migrate.upgrade(urls.database_url)
    database = await open_database(urls.database_url, read_size=2, write_size=2)
    try:
        async with Bus(urls.redis_url, epoch=database.epoch, prefix=settings.redis_prefix, listen=False) as bus:

            async def publish(transaction: WriteTransaction) -> None:
                await bus.publish(transaction.emitted, transaction.log_heads)

            return await work(database, publish, now)
    finally:
        await database.close()
