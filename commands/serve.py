"""`fleetgraph serve`: start the stores, migrate, load the sample fleet into an empty store, and serve."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
import uvloop

from app import open_service
from commands.address import address, is_loopback, link, listen
from commands.program import program
from commands.sample import load_if_new
from commands.server_log import note, server_log
from commands.stopping import end_by_signal
from commands.stores import hold_folder, open_stores
from db import migrate
from execution.connections import Bounds, bounded
from execution.websocket_wire import FrameProtocol
from explorer.build import default_dist, start
from local import DataFolder, StoreUrls
from local.ticket import Tickets
from local.token import NAME
from settings import VERSION, Settings, now

MAX_MESSAGE = 256 * 1024  # bytes of a WebSocket message: the largest operation, many times over
OTHER_FILES = 200  # that a process may open beside connections of clients: stores, logs, the explorer's files
DRAIN_S = 5  # how long requests in flight may take to end when the server stops


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Start PostgreSQL and Valkey (unless DATABASE_URL and REDIS_URL name your own), bring the database"
        " to the newest schema, and serve the API and the explorer until Ctrl-C."
    )
    parser.add_argument("--host", help="the address to serve on (HOST, else 127.0.0.1)")
    parser.add_argument("--port", type=_port, metavar="PORT", help="the port to serve on (PORT, else 5000)")
    parser.set_defaults(run=run)


def run(settings: Settings, chosen: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Run it."""
    host, port = chosen.host or settings.host, chosen.port or settings.port
    try:
        with (
            hold_folder(settings) as folder,  # before the port: a second start should say where the first one is
            server_log(folder.path if folder else None),
            listen(host, port) as listener,
            open_stores(settings) as urls,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_serve(settings, urls, folder, listener, host, program(environment)))
    except (KeyboardInterrupt, asyncio.CancelledError):  # before it was up, or once more while it stopped
        pass
    print("Fleetgraph has stopped.", file=sys.stderr)
    return 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 65535")
    return int(text)


def uvicorn_config(app: Any, bounds: Bounds | None = None) -> uvicorn.Config:
    """How uvicorn runs the application: here and in the tests alike."""
    http, ws = bounded(bounds or Bounds(connections=_most_connections()), FrameProtocol)
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=http,
        ws=ws,
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=None,  # the handler pings in graphql-transport-ws's own way
        ws_per_message_deflate=False,  # 100 KiB a socket and half the throughput
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )


def _most_connections() -> int:
    """As many as the system's limit of open files allows, after raising that where it may be raised."""
    wanted = Bounds().connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(soft, wanted) - OTHER_FILES, OTHER_FILES)


def _rest_collector() -> None:
    """Keep the garbage collector off what lives as long as the process: it took 30 % of the time of busy servers."""
    gc.collect()
    gc.freeze()
    # An answer is some thousand objects, all gone when it is sent. 50,000 new ones that stay are looked at in 25 ms.
    gc.set_threshold(10_000, 5, 50)


class _Server(uvicorn.Server):
    """Stops at SIGINT or SIGTERM, at the second one at once; does not raise the signal again when it has stopped."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal: the loop looks ten times a second."""
        self.force_exit = self.should_exit
        self.should_exit = True


def welcome(called: str, url: str, token: Path, sample: str | None, ticket: str | None, host: str) -> str:
    """What a person needs to know to begin. Without a ticket, where its output may be a log, no link is in it."""
    explorer = [
        f"  explorer  {link(url, ticket) if ticket else url + '/graphql'}",
        f"            signed in, once, within a minute (another such link: `{called} token --link`)"
        if ticket
        else f"            (`{called} token --link` prints a link that opens it signed in)",
    ]
    lines = [
        f"Fleetgraph {VERSION} is up.",
        *explorer,
        f"  token     in {token} (`{called} token` prints it)",
    ]
    if not is_loopback(host):
        lines.append(f"  open      to other machines, and not encrypted: HOST is {host}")
    if sample is not None:
        lines += [
            f"  sample    {sample} Remove it: {called} sample remove",
            f"  your own  {called} import claude-code   (in another terminal, while this runs)",
        ]
    return "\n".join([*lines, "  stop      Ctrl-C"])


async def _serve(
    settings: Settings, urls: StoreUrls, folder: DataFolder | None, listener: socket.socket, host: str, called: str
) -> None:
    end_by_signal()  # until uvicorn takes signals itself
    url = address(host, listener.getsockname()[1])
    await migrate.upgrade(urls.database_url)
    async with open_service(settings, urls.database_url, urls.redis_url) as app:
        sample = None
        if not settings.database_url and settings.load_sample:
            sample = await load_if_new(settings, app.state.database, app.state.bus, now())
        build = None if settings.explorer_cdn else start(default_dist(settings.data_dir))
        server = _Server(uvicorn_config(app))
        _rest_collector()
        if folder is not None:
            folder.announce(url)
        note("Fleetgraph %s serves at %s (process %d)", VERSION, url, os.getpid())
        ticket = Tickets(settings.data_dir).make(now()) if sys.stdout.isatty() else None
        print(welcome(called, url, settings.data_dir / NAME, sample, ticket, host), flush=True)
        try:
            await server.serve(sockets=[listener])
        finally:
            note("stopping")
            if build is not None and build.poll() is None:
                build.terminate()
