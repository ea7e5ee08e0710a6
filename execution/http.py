"""GraphQL over HTTP: one endpoint, POST with JSON and GET for queries; statuses and media types of the specification.

Generic: app gives it the operations, how to authenticate, how to make a context, and the page for browsers. A request
error has no data: 400 for application/graphql-response+json, and 200 for application/json, as the specification wants.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response

from execution.declarations import Context
from execution.documents import Documents
from execution.operations import Operations, Prepared, RequestErrors, request_error
from execution.presence import Presence
from execution.requests import JSON_TYPE, RESPONSE_TYPE, Asked, Parameters, Refused, media_type, read

ALLOWED = "GET, POST"
RETRY_AFTER_S = 1  # an operation ends within 10 s, most within 50 ms

HEADERS = {  # an answer is true for a moment, and for one viewer
    answer_type: ((b"content-type", f"{answer_type}; charset=utf-8".encode()), (b"cache-control", b"no-store"))
    for answer_type in (JSON_TYPE, RESPONSE_TYPE)
}


class Viewer(Protocol):
    """Who asks."""

    @property
    def credential(self) -> str:
        """What they signed in with, by its name."""
        ...

    @property
    def scopes(self) -> frozenset[str]:
        """What they may do."""
        ...


Authenticate = Callable[[str | None], Viewer | None]


def bearer_token(header: str | None) -> str | None:
    """The token of an Authorization header, None when it has none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class Answer(Response):
    """A response whose headers are complete."""

    def __init__(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = status
        self.body = body
        self.raw_headers = headers
        self.background = None


class GraphQLEndpoint:
    """The endpoint of /graphql for HTTP."""

    def __init__(
        self,
        operations: Operations,
        *,
        authenticate: Authenticate,
        make_context: Callable[[Any], Context],
        page: Callable[[Request], Awaitable[Response]],
        documents: Documents | None = None,
    ) -> None:
        self._operations = operations
        self._authenticate = authenticate
        self._make_context = make_context
        self._page = page
        self._documents = documents or Documents()
        self._presence = Presence()
        self._running = 0

    async def __call__(self, request: Request) -> Response:
        """Answer one request; with the page for a browser that asks for one."""
        if request.method in ("GET", "HEAD") and _wants_page(request):
            return await self._page(request)
        return await self.answer(request)

    async def answer(self, request: Asked) -> Response:
        """Answer one request as a program's."""
        answer_type = JSON_TYPE
        try:
            answer_type = media_type(request.headers.get("accept"))
            return _json(await self._answer(request), 200, answer_type)
        except Refused as refused:
            return _json(refused.body, refused.status, answer_type, refused.headers)
        except RequestErrors as refused:
            return _json({"errors": refused.errors}, _status(refused, answer_type), answer_type)

    async def _answer(self, request: Asked) -> dict[str, Any]:
        if request.method not in ("GET", "POST"):
            raise _not_allowed("Send operations with POST; a browser may open this address.", ALLOWED)
        viewer = self._authenticate(bearer_token(request.headers.get("authorization")))
        if viewer is None:
            raise Refused(
                401,
                "This needs a valid token: send the header `Authorization: Bearer <token>`.",
                "UNAUTHENTICATED",
                {"WWW-Authenticate": 'Bearer realm="fleetgraph"'},
            )
        parameters = await read(request)
        document = self._documents.find(parameters.given)
        prepared = await self._operations.prepare_aside(document, parameters.operation_name)
        self._documents.keep(parameters.given, document)
        if prepared.operation_type == "subscription":
            raise request_error(
                "Subscriptions run over WebSocket (graphql-transport-ws) at this address.", "BAD_REQUEST"
            )
        if request.method == "GET" and prepared.operation_type != "query":
            raise _not_allowed("A GET carries queries only; send mutations with POST.", "POST")
        self._operations.check(prepared, viewer.scopes)
        return await self._execute(request, prepared, parameters, self._make_context(viewer))

    async def _execute(
        self, request: Asked, prepared: Prepared, parameters: Parameters, context: Context
    ) -> dict[str, Any]:
        if self._running >= self._operations.limits.running:
            raise Refused(
                503,
                "Too many operations are running here; try again in a second.",
                "TRY_AGAIN_LATER",
                {"Retry-After": str(RETRY_AFTER_S)},
            )
        self._running += 1
        try:
            answer = await self._run(request, prepared, parameters.variables, context)
        finally:
            self._running -= 1
        if parameters.extensions.get("cost") is True:
            requested = prepared.cost.of(parameters.variables)
            answer["extensions"] = {"cost": {"requested": requested, "limit": self._operations.limits.cost}}
        return answer

    async def _run(
        self, request: Asked, prepared: Prepared, variables: dict[str, Any] | None, context: Context
    ) -> dict[str, Any]:
        if prepared.operation_type == "mutation":  # what was told is carried out, whoever waits for the answer
            return await self._operations.execute(prepared, variables, context)
        with self._presence.watch(request.receive):
            return await self._operations.execute(prepared, variables, context)
        return {"data": None}  # for a client that has gone: nobody reads it


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _not_allowed(message: str, allowed: str) -> Refused:
    return Refused(405, message, "METHOD_NOT_ALLOWED", {"Allow": allowed})


def _status(refused: RequestErrors, answer_type: str) -> int:
    """The status of a well-formed request that is not executed."""
    if refused.errors[0].get("extensions", {}).get("code") == "FORBIDDEN":
        return 403
    return 200 if answer_type == JSON_TYPE else 400


def _json(payload: Any, status: int, answer_type: str, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps(payload)
    raw = [*HEADERS[answer_type], (b"content-length", b"%d" % len(body))]
    if headers:
        raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Answer(status, body, raw)
