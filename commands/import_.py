"""`fleetgraph import`: read what agents have left on disk, one sub-command per format."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.import_claude_code import find, import_claude_code
from commands.import_claude_loop import import_claude_loop, timezone
from commands.stores import borrow_stores
from db import migrate
from db.database import Database, WriteTransaction, open_database
from ingest.claude_loop.files import find_loops
from ingest.run import Clock, Publish
from local import StoreUrls
from pubsub.bus import Bus

if TYPE_CHECKING:
    from app import Settings

Work = Callable[[Database, Publish, Clock], Awaitable[int]]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "import",
        help="import what agents have left on disk",
        description="Import what agents have left on disk. Importing twice changes nothing.",
    )
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
    claude_loop.set_defaults(run=run_claude_loop)


def run(settings: Settings, chosen: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Run `import claude-code`."""
    transcripts = find(chosen.directories, environment)  # before a store is started for nothing

    async def work(database: Database, publish: Publish, clock: Clock) -> int:
        return await import_claude_code(
            database,
            transcripts,
            host=chosen.host or settings.host_name,
            clock=clock,
            publish=publish,
            show_progress=sys.stdout.isatty() and not chosen.json,
            as_json=chosen.json,
            output=sys.stdout,
            errors=sys.stderr,
        )

    return _with_stores(settings, work)


def run_claude_loop(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run `import claude-loop`."""
    zone, found = timezone(chosen.timezone), find_loops(chosen.directories)

    async def work(database: Database, publish: Publish, clock: Clock) -> int:
        return await import_claude_loop(
            database,
            found,
            host=chosen.host or settings.host_name,
            zone=zone,
            as_json=chosen.json,
            clock=clock,
            publish=publish,
            output=sys.stdout,
            errors=sys.stderr,
        )

    return _with_stores(settings, work)


def _with_stores(settings: Settings, work: Work) -> int:
    with borrow_stores(settings) as urls:
        return asyncio.run(_import(settings, urls, work))


async def _import(settings: Settings, urls: StoreUrls, work: Work) -> int:
    from app import now

    await migrate.upgrade(urls.database_url)
    database = await open_database(urls.database_url, read_size=2, write_size=1)
    try:
        async with Bus(urls.redis_url, epoch=database.epoch, prefix=settings.redis_prefix, listen=False) as bus:

            async def publish(transaction: WriteTransaction) -> None:
                await bus.publish(transaction.emitted, transaction.log_heads)

            return await work(database, publish, now)
    finally:
        await database.close()
