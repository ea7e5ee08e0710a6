"""GraphQL over WebSocket: graphql-transport-ws to the letter, for queries, mutations and subscriptions.

Every wrong turn of a client ends in a close code with a short reason, every failing operation in an `error` message
on an open socket. A socket is told of its messages and keeps no task: those of its operations run while they have
something to do. Knows no schema: operations, authentication and contexts are given.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from execution.declarations import Context
from execution.following import Following, Frame
from execution.http import Authenticate, Viewer, bearer_token
from execution.operations import Operations, Prepared, RequestErrors, encoded, request_error
from execution.origins import origin_allowed
from execution.sessions import Session, Sessions
from execution.subscriptions import subscribe
from execution.websocket_messages import (
    SUBPROTOCOL,
    Close,
    CloseCode,
    Message,
    authorization,
    next_head,
    parse,
    write,
)
from execution.websocket_wire import EXTENSION, AsgiWire, Wire

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a socket may take; seconds and counts."""

    init_timeout_s: float = 5.0  # an honest client sends it at once
    ping_interval_s: float = 15.0  # below the idle time-out of the usual proxies (60 s)
    pong_timeout_s: float = 15.0
    send_timeout_s: float = 10.0  # a peer that takes nothing for so long is not reading
    subscriptions: int = 100  # operations at a time: each has a task or a place in a topic


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Service:
    """What all sockets share."""

    operations: Operations
    authenticate: Authenticate
    make_context: Callable[[Any], Context]
    sessions: Sessions
    limits: Limits
    sockets: Counter[str] = field(default_factory=Counter)  # that are open, by their viewer's credential


def websocket_endpoint(
    operations: Operations,
    *,
    authenticate: Authenticate,
    make_context: Callable[[Any], Context],
    sessions: Sessions,
    allowed_origins: Collection[str] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Callable[[WebSocket], Awaitable[None]]:
    """The endpoint of a `WebSocketRoute`. `authenticate` gets the bearer token and answers None to refuse it.

    `sessions` checks the tokens of open sockets. Where the server offers it (`FrameProtocol`), sockets leave ASGI when
    they are accepted.
    """
    service = _Service(operations, authenticate, make_context, sessions, limits)

    async def endpoint(websocket: WebSocket) -> None:
        if not origin_allowed(websocket.headers, allowed_origins):
            await _refuse_origin(websocket)
            return
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            await websocket.accept()
            await websocket.close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Sub-protocol {SUBPROTOCOL} is needed")
            return
        await websocket.accept(SUBPROTOCOL)
        extension = websocket.scope.get("extensions", {}).get(EXTENSION)
        wire = extension["take"]() if extension else None
        if wire is not None:
            wire.begin(_Socket(wire, service))
        else:
            wire = AsgiWire(websocket)
            await wire.run(_Socket(wire, service))

    return endpoint


async def _refuse_origin(websocket: WebSocket) -> None:
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        text = "This page's origin may not connect; add it to CORS_ORIGINS.\n"
        await websocket.send_denial_response(PlainTextResponse(text, status_code=403))
    else:
        await websocket.close()  # before the handshake this is a 403


class _Socket:
    """One connection: websocket_wire.Receiver. Its operations are tasks, or streams that need none for now."""

    __slots__ = (
        "_allowed_at",
        "_asked_at",
        "_drained",
        "_full_timer",
        "_heard_at",
        "_is_over",
        "_operations",
        "_service",
        "_session",
        "_timer",
        "_viewer",
        "_wire",
    )

    def __init__(self, wire: Wire, service: _Service) -> None:
        self._wire = wire
        self._service = service
        self._viewer: Any = None
        self._session: Session | None = None
        self._operations: dict[str, asyncio.Task[None] | Following] = {}
        self._heard_at = self._asked_at = 0.0
        self._allowed_at = 0.0  # when its messages so far would have come at the rate that it may send
        self._is_over = False
        self._drained: asyncio.Event | None = None  # while the peer does not read
        self._full_timer: asyncio.TimerHandle | None = None
        self._timer = self._later(service.limits.init_timeout_s, self._wait_no_longer)

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, call)

    # What the wire tells

    def received(self, text: str | None) -> None:
        """A message came."""
        self._heard_at = asyncio.get_running_loop().time()
        try:
            self._check_rate()
            self._obey(parse(text))
        except Close as close:
            self._close(close.code, str(close))
        except Exception:
            logger.exception("a WebSocket handler failed")
            self._close(CloseCode.INTERNAL_ERROR, "Internal server error")

    def filled(self) -> None:
        """The peer does not read fast enough."""
        self._drained = asyncio.Event()
        self._full_timer = self._later(self._service.limits.send_timeout_s, self._give_up)

    def drained(self) -> None:
        """The peer has read."""
        if self._drained is not None:
            self._drained.set()
            self._drained = None
        if self._full_timer is not None:
            self._full_timer.cancel()
            self._full_timer = None

    def lost(self) -> None:
        """The connection has ended."""
        if self._is_over:
            return
        self._is_over = True
        self._timer.cancel()
        self.drained()
        if self._session is not None:
            self._service.sessions.close(self._session)
            self._count(-1)
        operations, self._operations = self._operations, {}
        for operation in operations.values():
            operation.cancel()

    def _close(self, code: CloseCode, reason: str) -> None:
        self.lost()
        self._wire.close(code, reason)

    # Time

    def _wait_no_longer(self) -> None:
        self._close(CloseCode.INIT_TIMEOUT, "Connection initialisation timeout")

    def _ping(self) -> None:
        self._asked_at = asyncio.get_running_loop().time()
        self._send(write("ping"))
        if not self._is_over:
            self._timer = self._later(self._service.limits.pong_timeout_s, self._expect_life)

    def _expect_life(self) -> None:
        """Anything that the peer says after a ping shows that it lives."""
        limits = self._service.limits
        if self._heard_at < self._asked_at:
            self._close(CloseCode.TRY_AGAIN_LATER, "No pong")
        else:
            self._timer = self._later(max(0.0, limits.ping_interval_s - limits.pong_timeout_s), self._ping)

    def _give_up(self) -> None:
        self._close(CloseCode.TRY_AGAIN_LATER, "The client does not read")

    def _forbid(self) -> None:
        self._close(CloseCode.FORBIDDEN, "Forbidden: the token is no longer valid")

    # How much

    def _check_rate(self) -> None:
        """Raise Close when messages come faster than they may."""
        limits = self._service.operations.limits
        step = 1 / limits.messages
        self._allowed_at = max(self._allowed_at, self._heard_at) + step
        # Half a step: sums of floats.
        if self._allowed_at - self._heard_at > (limits.messages_burst + 0.5) * step:
            reason = f"Too many messages: at most {limits.messages} a second, {limits.messages_burst} at once"
            raise Close(CloseCode.TRY_AGAIN_LATER, reason)

    def _check_sockets(self) -> None:
        """Raise Close when this viewer has as many sockets as they may."""
        most = self._service.operations.limits.sockets
        if self._service.sockets[self._viewer.credential] >= most:
            raise Close(CloseCode.TRY_AGAIN_LATER, f"Too many sockets: at most {most} at a time")

    def _count(self, more: int) -> None:
        sockets, credential = self._service.sockets, self._viewer.credential
        sockets[credential] += more
        if not sockets[credential]:
            del sockets[credential]

    # Messages

    def _send(self, *messages: bytes) -> None:
        if not self._is_over:
            self._wire.send(messages)

    def _obey(self, message: Message) -> None:
        if message.type == "ping":
            payload = {} if message.payload is None else {"payload": message.payload}
            self._send(write("pong", **payload))
        elif message.type == "connection_init":
            self._initialise(message)
        elif message.type == "subscribe":
            self._subscribe(message)
        elif message.type == "complete" and (operation := self._operations.pop(message.id, None)) is not None:
            operation.cancel()

    def _initialise(self, message: Message) -> None:
        if self._session is not None:
            raise Close(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")
        service = self._service
        token = bearer_token(authorization(message.payload))
        self._viewer = self._recognise(token)
        self._check_sockets()
        self._session = service.sessions.open(token, self._viewer, self._forbid)
        self._count(1)
        self._timer.cancel()
        self._timer = self._later(service.limits.ping_interval_s, self._ping)
        self._send(write("connection_ack"))

    def _recognise(self, token: str | None) -> Viewer:
        try:
            viewer = self._service.authenticate(token)
        except Exception:
            logger.exception("a token cannot be checked")
            raise Close(CloseCode.TRY_AGAIN_LATER, "Tokens cannot be checked now") from None
        if viewer is None:
            raise Close(CloseCode.FORBIDDEN, "Forbidden: connection_init needs a valid token")
        return viewer

    def _subscribe(self, message: Message) -> None:
        if self._session is None:
            raise Close(CloseCode.UNAUTHORIZED, "Unauthorized: connection_init comes first")
        if message.id in self._operations:
            reason = f"Subscriber for {message.id[:60]} already exists"
            raise Close(CloseCode.SUBSCRIBER_EXISTS, reason if reason.isascii() else "Subscriber already exists")
        most = self._service.limits.subscriptions
        if len(self._operations) >= most:
            text = f"A socket carries at most {most} operations at a time; complete one first."
            self._send(_errors(message.id, request_error(text, "TOO_MANY_SUBSCRIPTIONS")))
            return
        self._operations[message.id] = asyncio.create_task(self._operate(message))

    # Operations

    async def _operate(self, message: Message) -> None:
        """Run one operation, or begin to follow it."""
        failure: Exception | None = None
        try:
            if await self._is_followed(message):
                return
        except Exception as error:
            failure = error
        if self._operations.get(message.id) is asyncio.current_task():  # else it was cancelled, and the id may be used
            self.end(message.id, failure)

    async def _is_followed(self, message: Message) -> bool:
        service, payload = self._service, message.payload or {}
        prepared = await service.operations.prepare_aside(payload["query"], payload.get("operationName"))
        service.operations.check(prepared, self._viewer.scopes)
        if prepared.operation_type == "subscription":
            await self._follow(message.id, prepared, payload.get("variables"))
            return True
        context = service.make_context(self._viewer)
        answer = await service.operations.execute(prepared, payload.get("variables"), context)
        await self.room()
        self._send(next_head(message.id) + encoded(answer) + b"}")
        return False

    async def _follow(self, operation_id: str, prepared: Prepared, variables: dict[str, Any] | None) -> None:
        service, viewer = self._service, self._viewer
        following = await subscribe(
            service.operations, prepared, variables, lambda: service.make_context(viewer), viewer.scopes
        )
        self._operations[operation_id] = following  # `complete` cancels it now, and no longer this task
        following.begin(_Delivery(self, operation_id))

    @property
    def is_full(self) -> bool:
        """Whether the peer does not read fast enough."""
        return self._drained is not None

    async def room(self) -> None:
        """Return when the peer reads."""
        while self._drained is not None:
            await self._drained.wait()

    def deliver(self, messages: Iterable[bytes]) -> None:
        """Send an operation's results."""
        self._wire.send(messages)

    def end(self, operation_id: str, failure: Exception | None) -> None:
        """Say that an operation is over. Its id is free before the client hears of it."""
        if self._operations.pop(operation_id, None) is None:
            return
        if failure is None:
            self._send(write("complete", id=operation_id))
        else:
            self._send(_errors(operation_id, failure))


class _Delivery:
    """Where one subscription's frames go: following.Reader."""

    __slots__ = ("_head", "_id", "_socket")

    def __init__(self, socket: _Socket, operation_id: str) -> None:
        self._socket = socket
        self._id = operation_id
        self._head = next_head(operation_id)

    @property
    def is_full(self) -> bool:
        """See Reader."""
        return self._socket.is_full

    def take(self, frames: Sequence[Frame]) -> None:
        """See Reader."""
        head = self._head
        self._socket.deliver([head + frame.body + b"}" for frame in frames])

    async def room(self) -> None:
        """See Reader."""
        await self._socket.room()

    def end(self, failure: Exception | None) -> None:
        """See Reader."""
        self._socket.end(self._id, failure)


def _errors(operation_id: str, failure: Exception) -> bytes:
    """The `error` message of an operation; a surprise is masked and logged under an id that the client gets too."""
    if not isinstance(failure, RequestErrors):
        reference = secrets.token_hex(8)
        logger.error("unexpected error %s in an operation over WebSocket", reference, exc_info=failure)
        text = f"Something went wrong here; the server's log has the details under {reference}."
        failure = request_error(text, "INTERNAL", id=reference)
    return write("error", id=operation_id, payload=failure.errors)
