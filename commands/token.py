"""`fleetgraph token`: print the local token, a link that signs in once, or make a new token."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from commands.address import address, link
from local import LocalStoreError, announced_url
from local.ticket import Tickets
from local.token import LocalToken
from settings import Settings, now


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Print the local token. It is kept in the file `token` of the data folder."
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--new", action="store_true", help="make a new one; the old one is refused from now on")
    actions.add_argument(
        "--link", action="store_true", help="print a link that opens the explorer signed in, once, within a minute"
    )
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, _environment: Mapping[str, str]) -> int:
    """Run it."""
    token, tickets = LocalToken(settings.data_dir), Tickets(settings.data_dir)
    if chosen.link:
        url = _url(settings)
        token.ensure()
        print(link(url, tickets.make(now())))
    elif chosen.new:
        tickets.forget()
        print(token.renew())
    else:
        print(token.ensure())
    return 0


def _url(settings: Settings) -> str:
    """Where the server of this data folder answers. With stores of its own it says so there; else the settings say."""
    url = announced_url(settings.data_dir)
    if url is None and not (settings.database_url and settings.redis_url):
        raise LocalStoreError(
            f"no server runs on the data folder {settings.data_dir}; start one with: make run (it prints such a link)"
        )
    return url or address(settings.host, settings.port)
