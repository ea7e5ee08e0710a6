"""Where everything is wired: `open_service` makes the ASGI application of one process.

Reads nothing of the world: what the environment says comes as `settings.Settings`, the time as a clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from pathlib import Path

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
from execution.application import Application
from execution.documents import Documents
from execution.http import GraphQLEndpoint
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
from resolvers.instants import show_instant
from schema.errors import describe_error
from schema.root import build_schema
from settings import VERSION, Settings, now

ROOT = Path(__file__).resolve().parent
OPERATIONS = ROOT / "graphql" / "operations"  # the trusted documents; the explorer shows them too
COMPRESS_FROM = 8 * 1024  # bytes of an answer: a shorter one gains less than the work costs
COMPRESS_LEVEL = 4  # within 5 % of the best for JSON, at a fifth of the time


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
    app = Application(
        [
            Route("/graphql", graphql, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
            WebSocketRoute("/graphql", socket_endpoint),
            *_status_routes(database, bus, operations, clock),
            TicketExchange(redeem, clock).route(),
            *explorer.routes(),
        ],
        _middleware(settings),
        path="/graphql",
        answer=endpoint.answer,
        compress_from=COMPRESS_FROM,
    )
    app.state.database, app.state.bus, app.state.hub = database, bus, hub
    app.state.sessions, app.state.operations = sessions, operations
    return app


def _status_routes(database: Database, bus: Bus, operations: Operations, clock: Callable[[], datetime]) -> list[Route]:
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
        counted = {"fallbacks": dict(operations.fallbacks)}  # see docs/running.md
        return JSONResponse({"status": status, "redis": bus.status, **found, **counted}, 200 if serves else 503)

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
