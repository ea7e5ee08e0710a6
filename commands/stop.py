"""`fleetgraph stop`: end the server that runs on this data folder."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from local import LocalStoreError
from local.holder import stop_server
from settings import Settings

PATIENCE_S = 30.0  # requests in flight have 5 s, the stores write their buffers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "End the server that runs on this data folder, with its stores, as Ctrl-C in its terminal does."
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=PATIENCE_S, metavar="SECONDS", help=f"how long to wait ({PATIENCE_S:g})"
    )
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run it."""
    stopped = stop_server(settings.data_dir, chosen.timeout)
    if stopped is None:
        hint = (
            "; one with both stores of its own is stopped where it was started"
            if settings.database_url and settings.redis_url
            else ""
        )
        raise LocalStoreError(f"no server runs on the data folder {settings.data_dir}{hint}")
    where = f" at {stopped.url}" if stopped.url else ""
    print(f"The server{where} (process {stopped.pid}) has stopped.")
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 3600")
    return seconds
