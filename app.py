"""Where everything is wired. The only reader of the world: environment, clock, argv.

`Settings` are read here, `open_service` makes the ASGI application of one process, `main` hands over to commands/.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys

if sys.argv[0].endswith("/fleetgraph"):  # loading takes a second: Ctrl-C ends the program in it without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from db.database import Database, open_database
from db.models.events import EventRow, TopicRow
from db.outage import is_outage
from db.queries import events
from db.readiness import Readiness
from execution.documents import Documents
from execution.http import GraphQLEndpoint
from execution.limits import Limits
from execution.operations import Operations
from execution.sessions import Sessions
from execution.sse import EventStreamEndpoint, wants_event_stream
from execution.websocket import websocket_endpoint
from explorer import Explorer, TicketExchange
from explorer.build import default_dist
from explorer.ticket import PATH as TICKET_PATH
from jobs.retention import pruning
from jobs.sweeper import sweeping
from local.ticket import Tickets
from local.token import LocalToken
from pubsub.bus import Bus
from pubsub.hub import DEFAULT_PACE, Hub, Pace
from resolvers.context import SCOPES, Context, Viewer
from resolvers.pages import show_instant
from schema.errors import describe_error
from schema.root import build_schema

VERSION = version("fleetgraph")
ROOT = Path(__file__).resolve().parent
OPERATIONS = ROOT / "graphql" / "operations"  # the trusted documents; the explorer shows them too
COMPRESS_FROM = 8 * 1024  # bytes of an answer: a shorter one gains less than the work costs
COMPRESS_LEVEL = 4  # within 5 % of the best for JSON, at a fifth of the time
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(Exception):
    """A variable of the environment has a bad value; the message names it and says what it should be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says; see docs/settings.md."""

    host: str = "127.0.0.1"
    port: int = 5000
    database_url: str | None = None  # None: the embedded PostgreSQL
    redis_url: str | None = None  # None: the embedded Valkey
    redis_prefix: str = "fleetgraph"
    agent_engine_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    log_level: str = "INFO"
    data_dir: Path = Path(".data")
    load_sample: bool = True
    explorer_cdn: bool = False
    host_name: str = "localhost"  # whose transcripts an import reads
    limits: Limits = field(default_factory=Limits)  # of an operation

    @classmethod
    def read(cls, environment: Mapping[str, str], *, host_name: str) -> Settings:
        """The settings of an environment. Raises SettingsError; an empty value counts as not set."""
        given = {name: value.strip() for name, value in environment.items() if value.strip()}
        level = given.get("LOG_LEVEL", "INFO").upper()
        if level not in LOG_LEVELS:
            raise SettingsError(f"LOG_LEVEL is {given['LOG_LEVEL']!r}; it should be one of {', '.join(LOG_LEVELS)}")
        database_url = _url(
            given, "DATABASE_URL", ("postgresql", "postgres"), "postgresql+asyncpg://user@host:5432/name"
        )
        return cls(
            host=given.get("HOST", "127.0.0.1"),
            port=_port(given.get("PORT", "5000")),
            database_url=database_url,
            redis_url=_url(given, "REDIS_URL", ("redis", "rediss", "unix"), "redis://host:6379/0"),
            redis_prefix=given.get("REDIS_PREFIX", "fleetgraph"),
            agent_engine_url=_url(given, "AGENT_ENGINE_URL", ("http", "https"), "http://agent-engine:8080"),
            cors_origins=_origins(given.get("CORS_ORIGINS", "")),
            log_level=level,
            data_dir=_folder(given.get("FLEETGRAPH_DATA_DIR", ".data")),
            load_sample=_switch(given, "FLEETGRAPH_SAMPLE", default=True),
            explorer_cdn=_switch(given, "FLEETGRAPH_EXPLORER_CDN", default=False),
            host_name=host_name,
            limits=_limits(given.get("FLEETGRAPH_LIMITS", "")),
        )


def _port(text: str) -> int:
    if (port := _whole_number(text, 65535)) is None:
        raise SettingsError(f"PORT is {text!r}; it should be a number from 1 to 65535")
    return port


def _whole_number(text: str, most: int) -> int | None:
    """A number from 1 to `most`; None when it is none."""
    if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most:
        return int(text)
    return None


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise SettingsError(f"FLEETGRAPH_DATA_DIR is {text!r}, and there is no such user's home folder") from None


def _switch(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    text = given.get(name)
    if text is None:
        return default
    if text.lower() not in words:
        raise SettingsError(f"{name} is {text!r}; it should be 1 or 0")
    return words[text.lower()]


def _url(given: Mapping[str, str], name: str, schemes: tuple[str, ...], example: str) -> str | None:
    text = given.get(name)
    if text is None:
        return None
    if _split(text).scheme.partition("+")[0] not in schemes:
        # The value may hold a password: it is not repeated.
        raise SettingsError(f"{name} should be a URL such as {example}")
    return text


def _split(text: str) -> SplitResult:
    """The parts of a URL; of one that cannot be read, nothing."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # read late by urlsplit
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def _limits(words: str) -> Limits:
    chosen: dict[str, int | float] = {}
    for part in filter(None, (part.strip() for part in words.split(","))):
        name, _, text = (word.strip() for word in part.partition("="))
        value = _whole_number(text, 10**9)
        if name not in Limits.named() or value is None:
            names = ", ".join(sorted(Limits.named()))
            raise SettingsError(
                f"FLEETGRAPH_LIMITS has {part!r}; it should be limits such as depth=15,cost=100000: of {names}"
            )
        chosen[name] = value
    return replace(Limits(), **chosen)  # type: ignore[arg-type]


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for origin in origins:
        parts = _split(origin)
        if parts.scheme not in ("http", "https") or parts.netloc != origin.partition("//")[2] or not parts.netloc:
            raise SettingsError(
                f"CORS_ORIGINS has {origin!r}; it should be origins such as http://localhost:3005, separated by commas"
            )
    return origins


def now() -> datetime:
    """The time, in milliseconds as it is stored."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class BoundEvents:
    """The event log of db as pubsub's EventStore: db.queries.events with its handle."""

    def __init__(self, database: Database) -> None:
        self._read = database.read

    async def heads(self, names: list[str], /) -> Mapping[str, TopicRow]:
        """The heads of topics by name."""
        return await events.heads(self._read, names)

    async def since(self, topic: str, seq: int, limit: int, /) -> list[EventRow]:
        """The topic's events after `seq`."""
        return await events.since(self._read, topic, seq, limit)


@asynccontextmanager
async def open_service(
    settings: Settings,
    database_url: str,
    redis_url: str,
    *,
    clock: Callable[[], datetime] = now,
    has_jobs: bool = True,
    pace: Pace = DEFAULT_PACE,
) -> AsyncIterator[Starlette]:
    """The application of one process, with its stores open. The database must be migrated.

    Without `has_jobs` nothing happens by the clock alone: it is left to other processes.

    Raises DatabaseUnavailable, RedisUnavailable, LocalStoreError, each with one line that says what to do.
    `app.state.database` and `app.state.bus` are there for commands and tests.
    """
    token = LocalToken(settings.data_dir)
    token.ensure()
    database = await open_database(database_url)
    try:
        async with (
            Bus(redis_url, epoch=database.epoch, prefix=settings.redis_prefix) as bus,
            Hub(bus, BoundEvents(database), pace=pace) as hub,
            sweeping(database, bus, clock) if has_jobs else nullcontext(),
            pruning(database, clock) if has_jobs else nullcontext(),
        ):
            yield create_app(settings, database, bus, hub, token, clock)
    finally:
        await database.close()


def create_app(
    settings: Settings, database: Database, bus: Bus, hub: Hub, token: LocalToken, clock: Callable[[], datetime]
) -> Starlette:
    """The ASGI application over open stores."""
    operations = Operations(build_schema(), describe_error, settings.limits, is_outage=is_outage)
    explorer = Explorer(dist=default_dist(settings.data_dir), operations=OPERATIONS, cdn=settings.explorer_cdn)
    tickets = Tickets(settings.data_dir)
    local_viewer = Viewer("local", frozenset(SCOPES))

    def authenticate(presented: str | None) -> Viewer | None:
        return local_viewer if presented is not None and token.matches(presented) else None

    def redeem(ticket: str) -> str | None:
        return (token.read() or None) if tickets.redeem(ticket, clock()) else None

    def make_context(viewer: Viewer) -> Context:
        return Context(viewer, database, bus, hub, clock, VERSION)

    async def page(_request: Request) -> Response:
        return explorer.page()

    async def check(presented: Sequence[str]) -> list[Viewer | None]:
        return [authenticate(one) for one in presented]

    sessions = Sessions(check)
    documents = Documents(path.read_text() for path in sorted(OPERATIONS.glob("*.graphql")))
    endpoint = GraphQLEndpoint(
        operations, authenticate=authenticate, make_context=make_context, page=page, documents=documents
    )
    stream_endpoint = EventStreamEndpoint(
        operations, authenticate=authenticate, make_context=make_context, sessions=sessions, documents=documents
    )

    async def graphql(request: Request) -> Response:
        return await (stream_endpoint(request) if wants_event_stream(request) else endpoint(request))

    socket_endpoint = websocket_endpoint(
        operations,
        authenticate=authenticate,
        make_context=make_context,
        sessions=sessions,
        allowed_origins=settings.cors_origins,
    )
    app = Starlette(
        routes=[
            Route("/graphql", graphql, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
            WebSocketRoute("/graphql", socket_endpoint),
            *_status_routes(database, bus, clock),
            TicketExchange(redeem, clock).route(),
            *explorer.routes(),
        ],
        middleware=_middleware(settings),
    )
    app.state.database, app.state.bus, app.state.hub = database, bus, hub
    app.state.sessions, app.state.operations = sessions, operations
    return app


def _status_routes(database: Database, bus: Bus, clock: Callable[[], datetime]) -> list[Route]:
    """Health and readiness, which need no token."""
    readiness = Readiness(database)

    async def health(_request: Request) -> Response:
        status = "ok" if bus.status == "up" else "degraded"
        return JSONResponse({"status": status, "timestamp": show_instant(clock()), "version": VERSION})

    async def ready(_request: Request) -> Response:
        """Streams and reads go on without Redis: that alone takes no process out of service."""
        found = await readiness.look()
        serves = found == {"database": "up", "migrations": "done"}
        status = "unavailable" if not serves else "ready" if bus.status == "up" else "degraded"
        return JSONResponse({"status": status, "redis": bus.status, **found}, 200 if serves else 503)

    return [Route("/health", health), Route("/api/health", health), Route("/ready", ready)]


def _middleware(settings: Settings) -> list[Middleware]:
    """Around every route: CORS, and compression of large answers."""
    return [
        Middleware(
            _Cors,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "GraphQL-Require-Preflight"],
            max_age=600,
        ),
        Middleware(GZipMiddleware, minimum_size=COMPRESS_FROM, compresslevel=COMPRESS_LEVEL),
    ]


class _Cors(CORSMiddleware):
    """CORS for everything but tickets, which no page of another origin may hand in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass tickets by."""
        if scope.get("path") == TICKET_PATH:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def main(arguments: list[str] | None = None) -> int:
    """The console script: reads the world, then runs one command. Returns the exit code."""
    from commands import run  # the commands import this module

    for stop in (signal.SIGINT, signal.SIGTERM):  # both end a command in good order, its servers too
        signal.signal(stop, signal.default_int_handler)
    try:
        settings = Settings.read(os.environ, host_name=socket.gethostname() or "localhost")
    except SettingsError as error:
        sys.stderr.write(f"fleetgraph: {error}\n")
        return 1
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if settings.log_level != "DEBUG":
        logging.getLogger("alembic").setLevel(logging.WARNING)  # what it says at INFO is nothing to an operator
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the same, and at DEBUG it writes headers, tokens in them
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # a line for every change of a watched file
    return run(settings, sys.argv[1:] if arguments is None else arguments, os.environ)


if __name__ == "__main__":
    sys.exit(main())
