"""`fleetgraph status`: whether a server runs on this data folder, where, since when, and what its store holds."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.request import ProxyHandler, build_opener

from commands.address import address
from db.database import describe, open_database
from db.errors import DatabaseUnavailable
from db.queries import diagnosis
from local import LocalStoreError, running_stores
from local.holder import Holder, find_holder
from settings import Settings, now

NOT_RUNNING = 3  # as init scripts have it: tells "no" from "I could not find out"
PATIENCE_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Whether the server of this data folder runs: exit code 0 when it does, 3 when it does not."
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run it."""
    found = look(settings)
    print(json.dumps(found) if chosen.json else _words(found, now()))
    return 0 if found["state"] == "running" else NOT_RUNNING


def look(settings: Settings) -> dict[str, Any]:
    """All that is known, fit for JSON; what is not known is None. Raises LocalStoreError."""
    has_own_stores = bool(settings.database_url and settings.redis_url)
    holder = find_holder(settings.data_dir)
    if holder is not None and not holder.is_server:
        holder = None  # an import, say
    url = holder.url if holder else address(settings.host, settings.port) if has_own_stores else None
    answer = ask(url, "/health") if url else None
    ready = ask(url, "/ready") if url and answer else None
    state = "running" if answer else "stopped" if holder is None else "silent" if holder.url else "starting"
    return {
        "state": state,
        "url": url if state != "stopped" else None,
        "pid": holder.pid if holder else None,
        "startedAt": _instant(holder.started_at) if holder else None,
        "version": answer.get("version") if answer else None,
        "dataFolder": str(settings.data_dir),
        "stores": {
            "database": _where(settings.database_url),
            "redis": "own" if settings.redis_url else "embedded",
            "ready": ready.get("status") if ready else None,
        },
        "tasks": _tasks(settings, holder) if answer else None,
    }


def ask(url: str, path: str) -> dict[str, Any] | None:
    """What a server of ours answers; None when none answers, or another program does. Through no proxy."""
    try:
        with build_opener(ProxyHandler({})).open(url + path, timeout=PATIENCE_S) as answer:
            found = json.loads(answer.read(65536))
    except (OSError, HTTPException, ValueError):
        return None
    return found if isinstance(found, dict) and "status" in found else None


def _instant(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None


def _where(database_url: str | None) -> str:
    return describe(database_url) if database_url else "embedded"


def _tasks(settings: Settings, holder: Holder | None) -> dict[str, int] | None:
    """Tasks by status; None when the store cannot be asked."""
    running = running_stores(settings.data_dir) if holder else None
    url = settings.database_url or (running.database_url if running else "")
    if not url:
        return None
    try:
        return asyncio.run(_count(url))
    except (DatabaseUnavailable, LocalStoreError):
        return None


async def _count(url: str) -> dict[str, int]:
    database = await open_database(url, read_size=1, write_size=1)
    try:
        return await diagnosis.task_counts(database.read)
    finally:
        await database.close()


def _words(found: dict[str, Any], now: datetime) -> str:
    if found["state"] == "stopped":
        return f"No server runs on the data folder {found['dataFolder']}. Start one: make run"
    if found["state"] == "starting":
        return f"Fleetgraph (process {found['pid']}) is starting on the data folder {found['dataFolder']}."
    if found["state"] == "silent":
        return (
            f"Fleetgraph (process {found['pid']}) does not answer at {found['url']}: see `fleetgraph logs`, or stop it"
        )
    stores, lines = found["stores"], [f"Fleetgraph {found['version']} runs at {found['url']}"]
    if found["pid"] is not None:
        began = found["startedAt"]
        since = f", since {began} ({_span(now - datetime.fromisoformat(began).astimezone(UTC))})" if began else ""
        lines.append(f"  process   {found['pid']}{since}")
    lines.append(f"  data      {found['dataFolder']}")
    lines.append(
        f"  stores    PostgreSQL {stores['database']}, Redis {stores['redis']}: {stores['ready'] or 'not ready'}"
    )
    if found["tasks"] is not None:
        counts = sorted(found["tasks"].items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{count:,} {name.lower()}" for name, count in counts)
        lines.append(f"  tasks     {sum(found['tasks'].values()):,}" + (f": {listed}" if listed else ""))
    return "\n".join(lines)


def _span(time: timedelta) -> str:
    minutes = max(int(time.total_seconds()), 0) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return (
        f"{days} d {hours} h"
        if days
        else f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min"
        if minutes
        else "less than a minute"
    )
