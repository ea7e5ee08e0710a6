"""The servers that are compared, and how each is started: one process each, 10 connections to the same database.

The service as shipped, two peers as their makers advise for production, the limit, and the service without its plans.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import node, questions
from bench.questions import Case
from bench.stores import ROOT, Stores
from local.token import LocalToken

PEERS = Path(__file__).with_name("peers")
NAMES = ("ours", "postgraphile", "mercurius", "limit", "ordinary")
TITLES = {
    "ours": "Fleetgraph",
    "postgraphile": "PostGraphile",
    "mercurius": "Mercurius with JIT",
    "limit": "the SQL limit",
    "ordinary": "the same without plans",
    "graphql-ws": "Node graphql-ws",  # subscriptions only: see bench.realtime
}
ABOUT = {
    "ours": "`fleetgraph serve` as shipped: token, scopes, limits and cost are checked, jobs and Redis are connected;"
    " asyncpg, read pool of 10",
    "postgraphile": "Amber preset, Grafserv on Node.js's own HTTP server; NODE_ENV and GRAPHILE_ENV production, no"
    " explain, no watch, no GraphiQL, no token; pg, pool of 10; the relation of log lines to tasks by a smart tag",
    "mercurius": "Fastify without a log, `jit: 1`, Mercurius loaders for every relation, prepared statements; NODE_ENV"
    " production, no token; pg, pool of 10",
    "limit": "one hand-written statement per question returns the JSON; bare ASGI on the service's uvicorn and uvloop,"
    " no GraphQL, no token; asyncpg, pool of 10",
    "ordinary": "the service with `Operations(plans=False)`: graphql-core executes Strawberry's schema with"
    " DataLoaders; documents are parsed and validated once here too",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a server is."""

    name: str
    documents: Mapping[str, str]
    command: Sequence[str | Path]
    folder: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    report: Path | None = None  # where it tells at its end how its plans did

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.name]

    def body(self, question: str, case: Case) -> dict[str, Any]:
        """The request's JSON."""
        variables = case.variables(self.name, is_ours=self.documents is questions.OURS)
        return {"query": self.documents[question], "variables": variables}


def kinds(stores: Stores, database: str, names: Sequence[str]) -> list[Kind]:
    """The servers of these names, over a database. Raises NotInstalled when a peer's packages cannot be fetched."""
    made = {
        "ours": lambda: _ours(stores, database, "ours"),
        "ordinary": lambda: _ours(stores, database, "ordinary"),
        "limit": lambda: _limit(stores, database),
        "postgraphile": lambda: _peer(stores, database, "postgraphile", questions.POSTGRAPHILE),
        "mercurius": lambda: _peer(stores, database, "mercurius", questions.MERCURIUS),
    }
    return [made[name]() for name in names]


def _ours(stores: Stores, database: str, name: str) -> Kind:
    folder = stores.folder / "servers" / f"{database}-{name}"
    environment = {
        "DATABASE_URL": stores.url(database),
        "REDIS_URL": stores.redis_url,
        "REDIS_PREFIX": f"bench-{name}",
        "FLEETGRAPH_DATA_DIR": str(folder),
        "FLEETGRAPH_EXPLORER_CDN": "1",  # no build of the explorer beside a measurement
        "BENCH_REPORT": str(folder / "report.json"),
    }
    headers = {"authorization": f"Bearer {LocalToken(folder).ensure()}"}
    command = [sys.executable, "-m", "bench.ours", name]
    report = folder / "report.json"
    return Kind(name, questions.OURS, command, environment=environment, headers=headers, report=report)


def _limit(stores: Stores, database: str) -> Kind:
    environment = {"DATABASE_URL": stores.url(database)}
    return Kind("limit", questions.LIMIT, [sys.executable, "-m", "bench.limit"], environment=environment)


def _peer(stores: Stores, database: str, name: str, documents: Mapping[str, str]) -> Kind:
    program = node.install(PEERS).program
    environment = {
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
        "PGHOST": str(stores.sockets),
        "PGUSER": "fleetgraph",
        "PGDATABASE": database,
    }
    return Kind(name, documents, [program, f"{name}.mjs"], PEERS, environment)
