"""GraphQL over WebSocket: graphql-transport-ws to the letter, for queries, mutations and subscriptions.

Every wrong turn of a client ends in a close code with a short reason, every failing operation in an `error` message
on an open socket. Knows no schema: operations, authentication and contexts are given.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from execution.fields import Context
from execution.http import Authenticate, Viewer, bearer_token
from execution.operations import Operations, RequestErrors, encode, request_error
from execution.origins import origin_allowed
from execution.sessions import Sessions
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

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a socket may take; seconds and counts."""

    init_timeout_s: float = 5.0  # an honest client sends it at once
    ping_interval_s: float = 15.0  # below the idle time-out of the usual proxies (60 s)
    pong_timeout_s: float = 15.0
    send_timeout_s: float = 10.0  # a peer that takes nothing for so long is not reading
    subscriptions: int = 100  # operations at a time: each has a task and a place in a topic


DEFAULT_LIMITS = Limits()


class _Gone(Exception):
    """The peer has left, or the server is stopping and has said so (uvicorn closes with 1012)."""


def websocket_endpoint(
    operations: Operations,
    *,
    authenticate: Authenticate,
    make_context: Callable[[Any], Context],
    sessions: Sessions | None = None,
    allowed_origins: Collection[str] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Callable[[WebSocket], Awaitable[None]]:
    """The endpoint of a `WebSocketRoute`. `authenticate` gets the bearer token and answers None to refuse it.

    `sessions` checks the tokens of open sockets; without it they are checked at their start only.
    """

    async def endpoint(websocket: WebSocket) -> None:
        if not origin_allowed(websocket.headers, allowed_origins):
            await _refuse_origin(websocket)
            return
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            await websocket.accept()
            await websocket.close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Sub-protocol {SUBPROTOCOL} is needed")
            return
        await websocket.accept(SUBPROTOCOL)
        await _Socket(websocket, operations, authenticate, make_context, sessions, limits).serve()

    return endpoint


async def _refuse_origin(websocket: WebSocket) -> None:
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        text = "This page's origin may not connect; add it to CORS_ORIGINS.\n"
        await websocket.send_denial_response(PlainTextResponse(text, status_code=403))
    else:
        await websocket.close()  # before the handshake this is a 403


class _Socket:
    """One connection: its reader, its heartbeat and its operations are one task group that ends as a whole."""

    def __init__(
        self,
        websocket: WebSocket,
        operations: Operations,
        authenticate: Authenticate,
        make_context: Callable[[Any], Context],
        sessions: Sessions | None,
        limits: Limits,
    ) -> None:
        self._websocket = websocket
        self._operations = operations
        self._authenticate = authenticate
        self._make_context = make_context
        self._sessions = sessions
        self._limits = limits
        self._viewer: Any = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()
        self._sending_since: float | None = None
        self._send_watch: asyncio.TimerHandle | None = None
        self._group: asyncio.TaskGroup | None = None
        self._heard_at = 0.0

    async def serve(self) -> None:
        """Run until either side closes."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._read(group))
        except BaseExceptionGroup as failures:
            await self._end(failures)
        finally:
            if self._send_watch is not None:
                self._send_watch.cancel()

    async def _end(self, failures: BaseExceptionGroup[BaseException]) -> None:
        if failures.subgroup(_Gone) is not None:
            return
        wanted = failures.subgroup(Close)
        if wanted is None:
            logger.error("a WebSocket handler failed", exc_info=failures)
            close = Close(CloseCode.INTERNAL_ERROR, "Internal server error")
        else:
            close = cast(Close, _first(wanted))
        closing = asyncio.ensure_future(self._websocket.close(close.code, close.reason))
        # A peer that does not read does not take the close frame either: leave it to the server to drop the connection.
        await asyncio.wait([closing], timeout=min(1.0, self._limits.send_timeout_s))
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)

    async def _read(self, group: asyncio.TaskGroup) -> None:
        token = bearer_token(authorization((await self._initialise()).payload))
        self._viewer = self._recognise(token)
        self._heard_at = asyncio.get_running_loop().time()
        await self._send("connection_ack")
        group.create_task(self._beat())
        if self._sessions is None:
            await self._serve_messages(group)
        else:
            with self._sessions.session(token, self._viewer, lambda: group.create_task(self._forbid())):
                await self._serve_messages(group)

    async def _forbid(self) -> None:
        raise Close(CloseCode.FORBIDDEN, "Forbidden: the token is no longer valid")

    async def _serve_messages(self, group: asyncio.TaskGroup) -> None:
        while True:
            message = await self._receive()
            if message.type == "connection_init":
                raise Close(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")
            if message.type == "ping":
                await self._pong(message)
            elif message.type == "subscribe":
                await self._subscribe(message, group)
            elif message.type == "complete" and (task := self._running.pop(message.id, None)) is not None:
                task.cancel()

    async def _receive(self) -> Message:
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise _Gone
        self._heard_at = asyncio.get_running_loop().time()
        return parse(received.get("text"))

    async def _initialise(self) -> Message:
        """Wait for connection_init."""
        try:
            async with asyncio.timeout(self._limits.init_timeout_s):
                while (message := await self._receive()).type != "connection_init":
                    if message.type == "subscribe":
                        raise Close(CloseCode.UNAUTHORIZED, "Unauthorized: connection_init comes first")
                    if message.type == "ping":
                        await self._pong(message)
        except TimeoutError:
            raise Close(CloseCode.INIT_TIMEOUT, "Connection initialisation timeout") from None
        return message

    def _recognise(self, token: str | None) -> Viewer:
        try:
            viewer = self._authenticate(token)
        except Exception:
            logger.exception("a token cannot be checked")
            raise Close(CloseCode.TRY_AGAIN_LATER, "Tokens cannot be checked now") from None
        if viewer is None:
            raise Close(CloseCode.FORBIDDEN, "Forbidden: connection_init needs a valid token")
        return viewer

    async def _beat(self) -> None:
        """Ping at every interval; anything that the peer says after a ping shows that it lives."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._limits.ping_interval_s)
        while True:
            asked_at = loop.time()
            await self._send("ping")
            await asyncio.sleep(self._limits.pong_timeout_s)
            if self._heard_at < asked_at:
                raise Close(CloseCode.TRY_AGAIN_LATER, "No pong")
            await asyncio.sleep(max(0.0, self._limits.ping_interval_s - self._limits.pong_timeout_s))

    async def _pong(self, message: Message) -> None:
        await self._send("pong", **({} if message.payload is None else {"payload": message.payload}))

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._send_text(write(kind, **fields))

    async def _send_text(self, text: str) -> None:
        async with self._sending:
            loop = asyncio.get_running_loop()
            self._sending_since = loop.time()
            if self._send_watch is None:
                self._send_watch = loop.call_later(self._limits.send_timeout_s, self._look_at_send)
            try:
                await self._websocket.send_text(text)
            except (WebSocketDisconnect, WebSocketDisconnected):
                raise _Gone from None
            finally:
                self._sending_since = None

    def _look_at_send(self) -> None:
        """Close a socket whose peer takes nothing. One timer for many messages: one for each took a third more CPU."""
        self._send_watch = None
        if self._sending_since is None or self._group is None:
            return
        loop = asyncio.get_running_loop()
        left_s = self._sending_since + self._limits.send_timeout_s - loop.time()
        if left_s > 0:
            self._send_watch = loop.call_later(left_s, self._look_at_send)
        else:
            self._group.create_task(self._give_up())

    async def _give_up(self) -> None:
        raise Close(CloseCode.TRY_AGAIN_LATER, "The client does not read")

    async def _subscribe(self, message: Message, group: asyncio.TaskGroup) -> None:
        if message.id in self._running:
            reason = f"Subscriber for {message.id[:60]} already exists"
            raise Close(CloseCode.SUBSCRIBER_EXISTS, reason if reason.isascii() else "Subscriber already exists")
        if len(self._running) >= self._limits.subscriptions:
            text = f"A socket carries at most {self._limits.subscriptions} operations at a time; complete one first."
            await self._send_errors(message.id, request_error(text, "TOO_MANY_SUBSCRIPTIONS"))
            return
        self._running[message.id] = group.create_task(self._operate(message))

    async def _operate(self, message: Message) -> None:
        """Run one operation to its end and say so, unless it was cancelled."""
        failure: RequestErrors | None = None
        try:
            await self._run(message)
        except RequestErrors as error:
            failure = error
        except (Close, _Gone):
            raise
        except Exception:
            reference = secrets.token_hex(8)
            logger.exception("unexpected error %s in an operation over WebSocket", reference)
            text = f"Something went wrong here; the server's log has the details under {reference}."
            failure = request_error(text, "INTERNAL", id=reference)
        finally:
            # The id is free before the client hears of the end; a task that `complete` cancelled owns it no longer.
            if self._running.get(message.id) is asyncio.current_task():
                del self._running[message.id]
        if failure is None:
            await self._send("complete", id=message.id)
        else:
            await self._send_errors(message.id, failure)

    async def _run(self, message: Message) -> None:
        payload = message.payload or {}
        prepared = await self._operations.prepare_aside(payload["query"], payload.get("operationName"))
        self._operations.check(prepared, self._viewer.scopes)
        variables = payload.get("variables")
        if prepared.operation_type != "subscription":
            answer = await self._operations.execute(prepared, variables, self._make_context(self._viewer))
            await self._send_text(next_head(message.id) + encode(answer) + "}")
            return
        frames = await self._operations.subscribe(
            prepared, variables, lambda: self._make_context(self._viewer), self._viewer.scopes
        )
        head = next_head(message.id)
        async with aclosing(frames):
            async for frame in frames:
                await self._send_text(head + frame.text + "}")

    async def _send_errors(self, operation_id: str, failure: RequestErrors) -> None:
        await self._send("error", id=operation_id, payload=failure.errors)


def _first(failures: BaseException) -> BaseException:
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    return failures
