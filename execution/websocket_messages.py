"""The messages of graphql-transport-ws and their close codes: bytes to checked values and back, no state.

Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import orjson

from execution.operations import encoded
from execution.requests import MAX_NESTING, too_deep

SUBPROTOCOL = "graphql-transport-ws"
MAX_MESSAGE_BYTES = 256 * 1024  # a document of 2,000 tokens and its variables have some 50 KiB at most


class CloseCode(IntEnum):
    """Why a socket is closed. The graphql-ws client comes back after all but those marked fatal."""

    TOO_LARGE = 1009  # fatal
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400  # fatal
    UNAUTHORIZED = 4401  # fatal
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406  # fatal
    INIT_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409  # fatal
    TOO_MANY_INITS = 4429  # fatal
    INTERNAL_ERROR = 4500  # fatal


class Close(Exception):
    """The socket must be closed. The reason has at most 123 bytes, as a close frame allows."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Message:
    """A checked message of a client."""

    type: str
    id: str = ""
    payload: dict[str, Any] | None = None


def parse(text: str | None) -> Message:
    """The message in a frame; None stands for a binary one. Raises Close."""
    if text is None:
        raise _bad("Only text messages are allowed")
    if len(text) > MAX_MESSAGE_BYTES or len(text.encode(errors="replace")) > MAX_MESSAGE_BYTES:
        raise Close(CloseCode.TOO_LARGE, "Message too large")
    try:
        fields = orjson.loads(text)
    except ValueError:
        raise _bad("Message is not valid JSON") from None
    if not isinstance(fields, dict):
        raise _bad("Message is not an object")
    if too_deep(fields, MAX_NESTING + 1):  # what HTTP has for a body lies in a message here
        raise _bad("Message is nested too deeply")
    kind = fields.get("type")
    if kind in ("connection_init", "ping", "pong"):
        payload = fields.get("payload")
        if payload is not None and not isinstance(payload, dict):
            raise _bad(f"{kind}: payload is not an object")
        return Message(kind, payload=payload)
    if kind == "complete":
        return Message(kind, _id(kind, fields))
    if kind == "subscribe":
        return Message(kind, _id(kind, fields), _operation(fields.get("payload")))
    raise _bad("Message has an unknown type" if isinstance(kind, str) else "Message has no type")


def _bad(reason: str) -> Close:
    return Close(CloseCode.BAD_REQUEST, reason)


def _id(kind: str, fields: dict[str, Any]) -> str:
    value = fields.get("id")
    if not isinstance(value, str) or not value:
        raise _bad(f"{kind}: id is not a non-empty string")
    return value


def _operation(payload: Any) -> dict[str, Any]:
    if not isinstance(payload, dict):
        raise _bad("subscribe: payload is not an object")
    if not isinstance(payload.get("query"), str):
        raise _bad("subscribe: query is not a string")
    if not isinstance(payload.get("operationName"), str | None):
        raise _bad("subscribe: operationName is not a string")
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), dict | None):
            raise _bad(f"subscribe: {name} is not an object")
    return payload


def write(kind: str, **fields: Any) -> bytes:
    """A message of the server."""
    return encoded({"type": kind, **fields})


def next_head(operation_id: str) -> bytes:
    """What stands before the result in a `next` message of this operation; behind it stands a closing brace."""
    return b'{"type":"next","id":%b,"payload":' % encoded(operation_id)


def authorization(payload: dict[str, Any] | None) -> str | None:
    """What connection_init's payload has under ``Authorization``, the key in any case; None when it has none."""
    for key, value in (payload or {}).items():
        if key.lower() == "authorization" and isinstance(value, str):
            return value
    return None
