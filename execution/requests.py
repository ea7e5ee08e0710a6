"""The HTTP request as an operation's parameters: POST with JSON, or GET with a header that browsers ask leave for.

Strict: what cannot be read in one way only is refused, with the status that the specification names.
https://graphql.github.io/graphql-over-http/draft/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import orjson
from starlette.datastructures import QueryParams
from starlette.types import Message, Receive, Scope

MAX_BODY = 1024 * 1024  # the largest operation of people and tools, many times over; logs come in batches of 1,000
MAX_NESTING = 64  # of JSON: no input type of ours is a tenth as deep

RESPONSE_TYPE = "application/graphql-response+json"
JSON_TYPE = "application/json"

# A page of another origin can send a GET without asking, but none of these headers.
PREFLIGHT_HEADERS = ("graphql-require-preflight", "apollo-require-preflight")

KEPT_WORDS = 256  # what was read from headers: the programs that ask are few, and say the same each time
LONGEST_KEPT = 256  # characters


class Refused(Exception):
    """The HTTP request is not one that can hold an operation."""

    def __init__(self, status: int, message: str, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"errors": [{"message": message, "extensions": {"code": code}}]}
        self.headers = headers or {}


class Asked(Protocol):
    """A request: Starlette's, or the one below."""

    @property
    def method(self) -> str:
        """GET, POST and the like."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name, the first of each."""
        ...

    @property
    def query_params(self) -> QueryParams:
        """What stands behind the question mark."""
        ...

    @property
    def receive(self) -> Receive:
        """ASGI's."""
        ...


class Incoming:
    """A request, read no further than needed: a tenth of the work of Starlette's."""

    __slots__ = ("_scope", "headers", "method", "receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.receive = receive
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])
        }
        self._scope = scope

    @property
    def query_params(self) -> QueryParams:
        """What stands behind the question mark."""
        return QueryParams(self._scope["query_string"])


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a request asks for; `given` has all that it names, for documents by hash."""

    given: dict[str, Any]
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any]


async def read(request: Asked) -> Parameters:
    """The parameters of a GET or POST request. Raises Refused."""
    return _of_query(request) if request.method == "GET" else _checked(_json_object(await _body(request)))


def media_type(accept: str | None) -> str:
    """The media type of the answer: the specification's own where the client names it. Raises Refused.

    Without Accept, or with wildcards alone, it is the one that old clients know.
    """
    if accept is None:
        return JSON_TYPE
    return _media_type(accept) if len(accept) <= LONGEST_KEPT else _media_type.__wrapped__(accept)


@lru_cache(KEPT_WORDS)
def _media_type(accept: str) -> str:
    ranges = _ranges(accept or "*/*")
    wildcard = ranges.get("application/*", ranges.get("*/*", 0.0))
    plain, own = ranges.get(JSON_TYPE, wildcard), ranges.get(RESPONSE_TYPE, wildcard)
    if own > 0 and (plain <= 0 or (RESPONSE_TYPE in ranges and own >= plain)):
        return RESPONSE_TYPE
    if plain > 0:
        return JSON_TYPE
    raise Refused(406, f"Accept must allow {RESPONSE_TYPE} or {JSON_TYPE}.", "NOT_ACCEPTABLE")


def _ranges(accept: str) -> dict[str, float]:
    ranges: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        weight = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        try:
            ranges[name] = float(weight)
        except ValueError:
            ranges[name] = 0.0
    return ranges


def _of_query(request: Asked) -> Parameters:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != JSON_TYPE and not any(request.headers.get(name) for name in PREFLIGHT_HEADERS):
        raise Refused(
            400, "A GET needs the header `GraphQL-Require-Preflight: 1`; browsers ask before they send it.", "CSRF"
        )
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise Refused(400, f"`{name[:60]}` is given twice.", "BAD_REQUEST")
        given[name] = value
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = _json_object(given[name].encode("utf-8", "replace"), f"`{name}`")
    return _checked(given)


async def _body(request: Asked) -> bytes:
    headers = request.headers
    content_type = headers.get("content-type", "")
    if content_type != JSON_TYPE:
        _check_content_type(content_type)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "The body must not be compressed.", "UNSUPPORTED_MEDIA_TYPE")
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY:
        raise _too_large()
    body = b""
    while True:
        message: Message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The body was cut.", "BAD_REQUEST")
        chunk: bytes = message.get("body", b"")
        body = body + chunk if body else chunk
        if len(body) > MAX_BODY:
            raise _too_large()
        if not message.get("more_body", False):
            return body


def _check_content_type(content_type: str) -> None:
    kind, _, parameters = content_type.partition(";")
    if kind.strip().lower() != JSON_TYPE:
        raise Refused(415, f"The body must be {JSON_TYPE}; see Content-Type.", "UNSUPPORTED_MEDIA_TYPE")
    charset = parameters.lower().partition("charset=")[2].partition(";")[0].strip(' "')
    if charset not in ("", "utf-8", "utf8"):
        raise Refused(415, "The body must be UTF-8.", "UNSUPPORTED_MEDIA_TYPE")


def _too_large() -> Refused:
    return Refused(413, f"The body is larger than {MAX_BODY} bytes.", "PAYLOAD_TOO_LARGE")


def _json_object(text: bytes, what: str = "The body") -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        raise Refused(400, f"{what} is not JSON in UTF-8.", "BAD_REQUEST") from None
    if not isinstance(value, dict):
        raise Refused(400, f"{what} must be one JSON object; batches are not taken.", "BAD_REQUEST")
    if too_deep(value, MAX_NESTING):
        raise Refused(400, f"{what} is nested deeper than {MAX_NESTING} levels.", "BAD_REQUEST")
    return value


def _checked(given: dict[str, Any]) -> Parameters:
    query = given.get("query")
    if query is not None and (not isinstance(query, str) or not query):
        raise Refused(400, "`query` must be a string that holds a GraphQL document.", "BAD_REQUEST")
    variables = given.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise Refused(400, "`variables` must be an object, or null.", "BAD_REQUEST")
    operation_name = given.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise Refused(400, "`operationName` must be a string, or null.", "BAD_REQUEST")
    extensions = given.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise Refused(400, "`extensions` must be an object, or null.", "BAD_REQUEST")
    if query is None and given.get("documentId") is None and (extensions or {}).get("persistedQuery") is None:
        raise Refused(400, "`query` is missing: send a GraphQL document in it, or name one.", "BAD_REQUEST")
    return Parameters(given, variables, operation_name or None, extensions or {})


def too_deep(value: Any, levels: int) -> bool:
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
