"""`fleetgraph token`: print the local token, or make a new one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local.token import LocalToken

if TYPE_CHECKING:
    from app import Settings


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "token",
        help="print the token that the API asks for",
        description="Print the local token. It is kept in the file `token` of the data folder.",
    )
    parser.add_argument("--new", action="store_true", help="make a new one; the old one is refused from now on")
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run it."""
    token = LocalToken(settings.data_dir)
    if chosen.new:
        token.ensure()
        print(token.renew())
    else:
        print(token.ensure())
    return 0
