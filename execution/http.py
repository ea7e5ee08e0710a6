"""GraphQL over HTTP: one endpoint, POST with JSON, strict about what it takes.

Generic: app gives it the operations, how to authenticate, how to make a context, and the page for browsers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from execution.fields import Context
from execution.operations import Operations, RequestErrors, request_error

MAX_BODY = 1024 * 1024  # the largest operation of people and tools, many times over; logs come in batches of 1,000
MAX_NESTING = 64  # of JSON: no input type of ours is a tenth as deep

RESPONSE_TYPE = "application/graphql-response+json"
JSON_TYPE = "application/json"


class Viewer(Protocol):
    """Who asks."""

    @property
    def scopes(self) -> frozenset[str]:
        """What they may do."""
        ...


Authenticate = Callable[[str | None], Viewer | None]


class _Refused(Exception):
    """The HTTP request is not one that can hold an operation."""

    def __init__(self, status: int, message: str, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"errors": [{"message": message, "extensions": {"code": code}}]}
        self.headers = headers or {}


def bearer_token(header: str | None) -> str | None:
    """The token of an Authorization header, None when it has none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class GraphQLEndpoint:
    """The ASGI-less heart of POST /graphql: a Starlette endpoint."""

    def __init__(
        self,
        operations: Operations,
        *,
        authenticate: Authenticate,
        make_context: Callable[[Any], Context],
        page: Callable[[Request], Awaitable[Response]],
    ) -> None:
        self._operations = operations
        self._authenticate = authenticate
        self._make_context = make_context
        self._page = page

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if request.method in ("GET", "HEAD") and _wants_page(request):
            return await self._page(request)
        try:
            media_type = _negotiated(request)
        except _Refused as refused:
            return _json(refused.body, refused.status, JSON_TYPE, refused.headers)
        try:
            return _json(await self._answer(request), 200, media_type)
        except _Refused as refused:
            return _json(refused.body, refused.status, media_type, refused.headers)
        except RequestErrors as refused:
            status = 403 if refused.errors[0].get("extensions", {}).get("code") == "FORBIDDEN" else 400
            return _json({"errors": refused.errors}, status, media_type)

    async def _answer(self, request: Request) -> dict[str, Any]:
        if request.method != "POST":
            raise _Refused(
                405,
                "Send operations with POST; a browser may open this address.",
                "METHOD_NOT_ALLOWED",
                {"Allow": "POST"},
            )
        viewer = self._authenticate(bearer_token(request.headers.get("authorization")))
        if viewer is None:
            raise _Refused(
                401,
                "This needs a valid token: send the header `Authorization: Bearer <token>`.",
                "UNAUTHENTICATED",
                {"WWW-Authenticate": 'Bearer realm="fleetgraph"'},
            )
        query, variables, operation_name = _parameters(await _body(request))
        prepared = self._operations.prepare(query, operation_name)
        if prepared.operation_type == "subscription":
            raise request_error(
                "Subscriptions run over WebSocket (graphql-transport-ws) at this address.", "BAD_REQUEST"
            )
        self._operations.check(prepared, viewer.scopes)
        return await self._operations.execute(prepared, variables, self._make_context(viewer))


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _negotiated(request: Request) -> str:
    """The media type of the answer; the specification's own where the client takes it."""
    accept = request.headers.get("accept", "*/*").lower()
    wanted = [part.split(";")[0].strip() for part in accept.split(",")]
    if RESPONSE_TYPE in wanted:
        return RESPONSE_TYPE
    if any(part in (JSON_TYPE, "application/*", "*/*", "") for part in wanted):
        return JSON_TYPE
    raise _Refused(406, f"Accept must allow {RESPONSE_TYPE} or {JSON_TYPE}.", "NOT_ACCEPTABLE")


async def _body(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "")
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() != JSON_TYPE:
        raise _Refused(415, f"The body must be {JSON_TYPE}; see Content-Type.", "UNSUPPORTED_MEDIA_TYPE")
    charset = parameters.lower().partition("charset=")[2].strip(' "')
    if charset not in ("", "utf-8"):
        raise _Refused(415, "The body must be UTF-8.", "UNSUPPORTED_MEDIA_TYPE")
    too_large = _Refused(413, f"The body is larger than {MAX_BODY} bytes.", "PAYLOAD_TOO_LARGE")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY:
                raise too_large
            chunks.append(chunk)
    except ClientDisconnect:
        raise _Refused(400, "The body was cut.", "BAD_REQUEST") from None
    return b"".join(chunks)


def _parameters(body: bytes) -> tuple[str, dict[str, Any] | None, str | None]:
    try:
        request = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError):
        raise _Refused(400, "The body is not JSON in UTF-8.", "BAD_REQUEST") from None
    if not isinstance(request, dict):
        raise _Refused(400, "The body must be one JSON object with `query`; batches are not taken.", "BAD_REQUEST")
    if _too_deep(request, MAX_NESTING):
        raise _Refused(400, f"The body is nested deeper than {MAX_NESTING} levels.", "BAD_REQUEST")
    query = request.get("query")
    if not isinstance(query, str) or not query:
        raise _Refused(400, "`query` must be a string that holds a GraphQL document.", "BAD_REQUEST")
    variables = request.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise _Refused(400, "`variables` must be an object, or null.", "BAD_REQUEST")
    operation_name = request.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise _Refused(400, "`operationName` must be a string, or null.", "BAD_REQUEST")
    extensions = request.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise _Refused(400, "`extensions` must be an object, or null.", "BAD_REQUEST")
    return query, variables, operation_name or None


def _too_deep(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested deeper than so many levels; without recursion."""
    present: list[Any] = [value]
    for _ in range(levels):
        present = [
            child
            for parent in present
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not present:
            return False
    return True


def _json(payload: Any, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
    response = Response(orjson.dumps(payload), status, headers)
    response.headers["content-type"] = f"{media_type}; charset=utf-8"
    return response
