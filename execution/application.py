"""The ASGI application: Starlette's, and a shorter way for what is asked a thousand times a second.

A POST to the GraphQL endpoint that no browser's page sends, or whose answer is small, passes by router and middleware:
they cost more than reading a task does. What they would have done for its answer is done here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from execution.connections import ANSWER
from execution.requests import Asked, Incoming
from execution.sse import wants_event_stream

RESPONSE = "fleetgraph.response"  # of the scope: what the middleware is to send
VARY, VARY_LARGE = (b"vary", b"Origin"), (b"vary", b"Accept-Encoding, Origin")


class Application(Starlette):
    """Routes and middleware as they are given; `answer` answers a POST to `path` as the route of that path would.

    `compress_from` is the size from which the middleware compresses answers.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        middleware: Sequence[Middleware],
        *,
        path: str,
        answer: Callable[[Asked], Awaitable[Response]],
        compress_from: int,
    ) -> None:
        super().__init__(routes=routes, middleware=middleware)
        self._path = path
        self._answer = answer
        self._compress_from = compress_from
        dressed: ASGIApp = _send_response
        for one in reversed(middleware):
            dressed = one.cls(dressed, *one.args, **one.kwargs)
        self._dressed = dressed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == self._path:
            incoming = Incoming(scope, receive)
            if not wants_event_stream(incoming):
                await self._short(incoming, scope, send)
                return
        await super().__call__(scope, receive, send)

    async def _short(self, incoming: Incoming, scope: Scope, send: Send) -> None:
        response = await self._answer(incoming)
        is_large = len(response.body) >= self._compress_from
        headers = incoming.headers
        if "origin" in headers or (is_large and "gzip" in headers.get("accept-encoding", "")):
            scope[RESPONSE] = response
            await self._dressed(scope, incoming.receive, send)
            return
        response.raw_headers.append(VARY_LARGE if is_large else VARY)
        answer = scope.get(ANSWER)
        if answer is None or not answer(response.status_code, response.raw_headers, response.body):
            await response(scope, incoming.receive, send)


async def _send_response(scope: Scope, receive: Receive, send: Send) -> None:
    response: Any = scope[RESPONSE]
    await response(scope, receive, send)
