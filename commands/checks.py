"""What `fleetgraph doctor` looks at on this machine: the server, its port, token, disk, explorer and transcripts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from commands.address import address, listen
from commands.status import ask
from explorer.build import default_dist, is_current, state
from ingest.claude_code.files import Transcript, default_directories
from ingest.lines import shown
from local import LocalStoreError
from local.holder import Holder
from local.token import NAME, PREFIX
from settings import Settings

KEPT_DAYS = 30  # what Claude Code does when its settings do not say
SOON_DAYS = 7.0
DAY_S = 86_400
FULL_BYTES, LOW_BYTES = 200 * 1024**2, 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `advice` is what to do about it."""

    name: str
    state: Literal["ok", "warn", "fail"]
    finding: str
    advice: str = ""


def check_server(settings: Settings, holder: Holder | None, version: str) -> Check:
    """The server of this data folder; without one, whether it could have its port."""
    if holder is not None and holder.is_server:
        where = f"process {holder.pid} on the data folder {settings.data_dir}"
        if holder.url is None:
            return Check("server", "warn", f"still starting: {where}", "look again in a moment")
        return _answering(holder.url, where, version)
    try:
        listen(settings.host, settings.port).close()
    except LocalStoreError as error:
        url = address(settings.host, settings.port)
        if settings.database_url and settings.redis_url and ask(url, "/health"):
            return _answering(url, "with stores of its own", version)
        finding, _, advice = str(error).partition("; ")
        return Check("server", "fail", f"does not run, and {finding}", advice)
    return Check("server", "ok", f"does not run; port {settings.port} of {settings.host} is free")


def _answering(url: str, where: str, version: str) -> Check:
    answer = ask(url, "/health")
    if answer is None:
        return Check("server", "fail", f"does not answer at {url} ({where})", "see: fleetgraph logs")
    if answer.get("version") != version:
        return Check("server", "warn", f"{url} is version {answer.get('version')}, this is {version}", "restart it")
    return Check("server", "ok", f"{url}, {where}")


def check_token(folder: Path, *, is_running: bool) -> Check:
    """The token file: there, not empty, and its owner's alone."""
    path = folder / NAME
    try:
        mode, length = path.stat().st_mode & 0o777, len(path.read_text().strip())
    except FileNotFoundError:
        return Check(
            "token", "fail" if is_running else "warn", f"there is no {path}", "make one: fleetgraph token --new"
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        return Check("token", "fail", f"{path} cannot be read: {reason}", "make a new one: fleetgraph token --new")
    if mode != 0o600:
        return Check("token", "fail", f"others may read {path} (mode {mode:04o})", f"run: chmod 600 {path}")
    if length < len(PREFIX) + 20:
        return Check("token", "fail", f"{path} is too short", "make a new one: fleetgraph token --new")
    return Check("token", "ok", f"{path}, mode 0600")


def check_folder(folder: Path) -> Check:
    """Whether the data folder can be used, or made."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        return Check("folder", "ok", f"{folder}{'' if there == folder else ', not made yet'}")
    advice = "give it to the user who runs Fleetgraph, or name another in FLEETGRAPH_DATA_DIR"
    if not there.is_dir():
        return Check("folder", "fail", f"{there} is no folder", "name another in FLEETGRAPH_DATA_DIR")
    what = "cannot be written" if there == folder else f"cannot be made: {there} cannot be written"
    return Check("folder", "fail", f"{folder} {what}", advice)


def check_disk(folder: Path) -> Check:
    """Room for the data folder."""
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Check("disk", "fail", f"{there} cannot be looked at: {error.strerror}", "correct FLEETGRAPH_DATA_DIR")
    said = f"{free / 1024**3:,.1f} GB free for {folder}"
    if free < LOW_BYTES:
        return Check("disk", "fail" if free < FULL_BYTES else "warn", said, "make room, or move FLEETGRAPH_DATA_DIR")
    return Check("disk", "ok", said)


def check_explorer(settings: Settings) -> Check:
    """The explorer's page."""
    if settings.explorer_cdn:
        return Check("explorer", "ok", "loads from a public CDN (FLEETGRAPH_EXPLORER_CDN)")
    dist = default_dist(settings.data_dir)
    if is_current(dist):
        return Check("explorer", "ok", f"built in {dist}")
    now = state(dist)
    if now.name == "building":
        return Check("explorer", "ok", "is being built")
    failed = f": {now.detail}" if now.name == "failed" and now.detail else ""
    return Check("explorer", "warn", f"is not built{failed}", "run: make explorer (make run builds it too)")


def check_transcripts(
    transcripts: Sequence[Transcript], read_to: Mapping[str, int] | None, kept: Mapping[Path, int], now: datetime
) -> Check:
    """Transcripts that are not imported, and when Claude Code will delete the first of them.

    `read_to`: bytes imported, by path, None when no store can tell; `kept`: days that Claude Code keeps what is below
    a folder.
    """
    if not transcripts:
        return Check("transcripts", "ok", "none of Claude Code on this machine")
    if read_to is None:
        return Check(
            "transcripts", "ok", f"{len(transcripts):,} on this machine; only the store knows which are imported"
        )
    unread = [file for file in transcripts if file.size > read_to.get(shown(file.path), 0)]
    if not unread:
        return Check("transcripts", "ok", f"{len(transcripts):,} on this machine, all imported")
    left = [
        (file.modified_at - now.timestamp()) / DAY_S
        + next((days for root, days in kept.items() if file.path.is_relative_to(root)), KEPT_DAYS)
        for file in unread
    ]
    soon = sum(days < SOON_DAYS for days in left)
    said = f"{len(unread):,} of {len(transcripts):,} are not imported, or have grown since"
    advice = "run: fleetgraph import claude-code"
    if soon:
        when = "any day" if min(left) < 1 else f"in {min(left):.0f} days"
        return Check(
            "transcripts", "warn", f"{said}; Claude Code deletes {soon:,} of them soon, the first {when}", advice
        )
    return Check("transcripts", "ok", f"{said}; the first is deleted in {min(left):.0f} days", advice)


def kept_days(home: Path, environment: Mapping[str, str]) -> dict[Path, int]:
    """For how many days Claude Code keeps the transcripts below each of its folders (cleanupPeriodDays)."""
    days = {}
    for folder in default_directories(home, environment):
        try:
            told = json.loads((folder.parent / "settings.json").read_text()).get("cleanupPeriodDays")
        except (OSError, ValueError, AttributeError):
            told = None
        is_number = isinstance(told, int) and not isinstance(told, bool) and told >= 0
        days[folder] = told if is_number else KEPT_DAYS
    return days
