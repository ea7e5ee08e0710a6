"""`fleetgraph import`: read what agents have left on disk, one sub-command per format."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.import_claude_code import find, import_claude_code
from commands.stores import borrow_stores
from db import migrate
from db.database import WriteTransaction, open_database
from ingest.claude_code.files import Transcript
from local import StoreUrls
from pubsub.bus import Bus

if TYPE_CHECKING:
    from app import Settings


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
    claude_code.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Run it."""
    transcripts = find(chosen.directories, environment)  # before a store is started for nothing
    with borrow_stores(settings) as urls:
        return asyncio.run(_import(settings, urls, chosen.host or settings.host_name, transcripts))


async def _import(settings: Settings, urls: StoreUrls, host: str, transcripts: list[Transcript]) -> int:
    from app import now

    await migrate.upgrade(urls.database_url)
    database = await open_database(urls.database_url, read_size=2, write_size=1)
    try:
        async with Bus(urls.redis_url, epoch=database.epoch, prefix=settings.redis_prefix, listen=False) as bus:

            async def publish(transaction: WriteTransaction) -> None:
                await bus.publish(transaction.emitted, transaction.log_heads)

            return await import_claude_code(
                database,
                transcripts,
                host=host,
                clock=now,
                publish=publish,
                show_progress=sys.stdout.isatty(),
                output=sys.stdout,
                errors=sys.stderr,
            )
    finally:
        await database.close()
