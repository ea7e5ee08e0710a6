"""A POST that passes by router and middleware is answered as they would answer it, to the byte and the header."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from app import COMPRESS_FROM
from local import StoreUrls
from settings import Settings
from tests.client import Server
from tests.conftest import MakeDatabase
from tests.filled import fill
from tests.serving import serving

FRIEND = "http://localhost:3005"
JSON = "application/json"
SMALL = {"query": "{ health { status } }"}
LARGE = {"query": "{ tasks(first: 100) { nodes { id title createdAt updatedAt origin externalId agent { name } } } }"}
BODIES = [
    json.dumps(SMALL).encode(),
    json.dumps(LARGE).encode(),
    b'{"query": "{ nothing }"}',
    b'{"query": "subscription { nothing }"}',
    b"[]",
    b"",
    b"{" * 100,
]
HEADERS: list[dict[str, str]] = [
    {},
    {"accept": "application/graphql-response+json"},
    {"accept": "text/html"},
    {"accept": "text/event-stream"},
    {"accept-encoding": "gzip, br"},
    {"accept-encoding": "br"},
    {"origin": FRIEND},
    {"origin": FRIEND, "accept-encoding": "gzip"},
    {"origin": "http://stranger.example", "accept-encoding": "gzip"},
    {"authorization": "Bearer wrong"},
    {"content-type": "text/plain"},
    {"content-type": f"{JSON}; charset=UTF-8"},
    {"content-type": f"{JSON}; charset=latin-1"},
    {"content-encoding": "gzip"},
    {"content-length": "9999999"},
]


@pytest.fixture(scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase, migrated: str, store_urls: StoreUrls
) -> AsyncIterator[Server]:
    """A server that allows pages of one origin, and has a large answer to give."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("short"), redis_prefix=f"t{uuid.uuid4().hex}", cors_origins=(FRIEND,)
    )
    async with make_database(migrated) as url, serving(settings, url, store_urls.redis_url) as running:
        await fill(running, 12)
        yield running


async def _ask(app: Any, headers: list[tuple[str, str]], body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, sorted headers and body of a POST, as the server below the application sees them."""
    sent: list[Message] = []
    pieces = [body[:7], body[7:]]
    asked: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": n == 0} for n, piece in enumerate(pieces)
    ]

    async def receive() -> Message:
        if not asked:
            await asyncio.Event().wait()  # the client stays
        return asked.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    await app(scope, receive, send)
    start = sent[0]
    answer = b"".join(message.get("body", b"") for message in sent[1:])
    return start["status"], sorted((name.lower(), value) for name, value in start["headers"]), answer


def _through(app: Starlette) -> Any:
    """The application without its short way."""

    async def run(*asgi: Any) -> None:
        await Starlette.__call__(app, *asgi)

    return run


@pytest.mark.parametrize("given", HEADERS, ids=str)
async def test_both_ways_give_the_same(server: Server, given: dict[str, str]) -> None:
    usual = {"content-type": JSON, "authorization": f"Bearer {server.token}"}
    for body in BODIES:
        headers = list({**usual, **given}.items())
        short = await _ask(server.app, headers, body)
        assert short == await _ask(_through(server.app), headers, body)


async def test_of_a_header_that_comes_twice_the_first_counts(server: Server) -> None:
    twice = [("authorization", f"Bearer {server.token}"), ("authorization", "Bearer wrong"), ("content-type", JSON)]
    short = await _ask(server.app, twice, BODIES[0])
    assert short[0] == 200
    assert short == await _ask(_through(server.app), twice, BODIES[0])


async def test_large_answers_are_compressed_and_told_apart_by_caches(server: Server) -> None:
    usual = [("content-type", JSON), ("authorization", f"Bearer {server.token}")]
    _, headers, body = await _ask(server.app, [*usual, ("accept-encoding", "gzip")], BODIES[1])
    assert dict(headers)[b"content-encoding"] == b"gzip"
    assert dict(headers)[b"vary"] == b"Accept-Encoding, Origin"
    _, headers, plain = await _ask(server.app, usual, BODIES[1])
    assert len(plain) >= COMPRESS_FROM > len(body)
    assert dict(headers)[b"vary"] == b"Accept-Encoding, Origin"
    _, headers, _ = await _ask(server.app, [*usual, ("accept-encoding", "gzip")], BODIES[0])
    assert (b"content-encoding" in dict(headers), dict(headers)[b"vary"]) == (False, b"Origin")
