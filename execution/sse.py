"""GraphQL over server-sent events, "distinct connections": one POST is one operation, its results are the stream.

Protocol: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md. Each event's id is the stream's cursor, and
`Last-Event-ID` goes on behind it, before what the document says. An operation that cannot run is told in the stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from execution.declarations import Context
from execution.documents import Documents
from execution.following import Frame
from execution.http import Authenticate, Viewer, bearer_token
from execution.operations import Operations, RequestErrors, encode, encoded
from execution.requests import Asked, Parameters, Refused, read
from execution.sessions import Sessions
from execution.subscriptions import subscribe

MEDIA_TYPE = "text/event-stream"
LAST_EVENT_ID = "last-event-id"
KEEP_ALIVE_S = 12.0  # below the idle time-out of the usual proxies
SEND_TIMEOUT_S = 10.0  # a peer that takes nothing for so long is not reading
OUTBOX = 50  # frames that may wait for a peer: what is further behind is read again when it comes to that
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


def wants_event_stream(request: Asked) -> bool:
    """Whether a request is one for this endpoint: a POST whose client takes a stream first of all."""
    first = request.headers.get("accept", "").split(",")[0]
    return request.method == "POST" and first.split(";")[0].strip().lower() == MEDIA_TYPE


class EventStreamEndpoint:
    """The endpoint of /graphql for clients that take a stream."""

    def __init__(
        self,
        operations: Operations,
        *,
        authenticate: Authenticate,
        make_context: Callable[[Any], Context],
        sessions: Sessions,
        documents: Documents | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._operations = operations
        self._authenticate = authenticate
        self._make_context = make_context
        self._sessions = sessions
        self._documents = documents or Documents()
        self._keep_alive_s = keep_alive_s

    async def __call__(self, request: Request) -> Response:
        """Answer one request: by a stream, or by a refusal of who asks or of what is no operation."""
        token = bearer_token(request.headers.get("authorization"))
        viewer = self._authenticate(token)
        if viewer is None:
            text = "This needs a valid token: send the header `Authorization: Bearer <token>`."
            headers = {"WWW-Authenticate": 'Bearer realm="fleetgraph"'}
            return _refusal(Refused(401, text, "UNAUTHENTICATED", headers))
        try:
            parameters = await read(request)
        except Refused as refused:
            return _refusal(refused)
        frames = self._frames(parameters, viewer, request.headers.get(LAST_EVENT_ID) or None)
        return _EventStream(frames, token, viewer, self._sessions, self._keep_alive_s)

    async def _frames(self, parameters: Parameters, viewer: Viewer, after: str | None) -> AsyncGenerator[Frame]:
        operations, variables = self._operations, parameters.variables
        document = self._documents.find(parameters.given)
        prepared = await operations.prepare_aside(document, parameters.operation_name)
        self._documents.keep(parameters.given, document)
        operations.check(prepared, viewer.scopes)
        if prepared.operation_type != "subscription":
            answer = await operations.execute(prepared, variables, self._make_context(viewer))
            yield Frame(encoded(answer))
            return
        following = await subscribe(
            operations, prepared, variables, lambda: self._make_context(viewer), viewer.scopes, after
        )
        outbox = _Outbox()
        following.begin(outbox)
        try:
            async for frame in outbox:
                yield frame
        finally:
            following.cancel()


class _Outbox:
    """Frames on their way to one stream, a bounded number: following.Reader, and what iterates them."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._moved = asyncio.Event()  # something was put in, or taken out
        self._is_over = False
        self._failure: Exception | None = None

    @property
    def is_full(self) -> bool:
        """See Reader."""
        return len(self._frames) >= OUTBOX

    def take(self, frames: Sequence[Frame]) -> None:
        """See Reader."""
        self._frames.extend(frames)
        self._moved.set()

    async def room(self) -> None:
        """See Reader."""
        while self.is_full:
            self._moved.clear()
            await self._moved.wait()

    def end(self, failure: Exception | None) -> None:
        """See Reader."""
        self._is_over, self._failure = True, failure
        self._moved.set()

    async def __aiter__(self) -> AsyncGenerator[Frame]:
        """The frames, to the end of the stream. Raises its failure."""
        while True:
            while self._frames:
                yield self._frames.popleft()
                self._moved.set()
            if self._is_over:
                break
            self._moved.clear()
            await self._moved.wait()
        if self._failure is not None:
            raise self._failure


def _refusal(refused: Refused) -> Response:
    return Response(encode(refused.body), refused.status, refused.headers, "application/json")


class _Over(Exception):
    """The peer has left or does not read, or its token is worth nothing any more: it may come back with its last id."""


class _EventStream(Response):
    """Sends frames as `next` events, and `complete` at their end."""

    def __init__(
        self,
        frames: AsyncGenerator[Frame],
        token: str | None,
        viewer: Viewer,
        sessions: Sessions,
        keep_alive_s: float,
    ) -> None:
        super().__init__(headers=HEADERS, media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._frames = frames
        self._token = token
        self._viewer = viewer
        self._sessions = sessions
        self._keep_alive_s = keep_alive_s
        self._sent_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run until either side ends it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with asyncio.TaskGroup() as group:
                with self._sessions.session(self._token, self._viewer, lambda: group.create_task(_leave())):
                    watchers = [
                        group.create_task(_watch(receive)),
                        group.create_task(self._keep_alive(send)),
                    ]
                    await self._write(send)
                    for watcher in watchers:
                        watcher.cancel()
        except* _Over:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        await self._say(send, ":\n\n")  # the headers go out with it
        try:
            async with aclosing(self._frames) as frames:
                async for frame in frames:
                    place = "" if frame.stand is None else f"id: {frame.stand.cursor}\n"
                    await self._say(send, f"{place}event: next\ndata: {frame.body.decode()}\n\n")
        except RequestErrors as refused:
            await self._say(send, f"event: next\ndata: {encode({'errors': refused.errors})}\n\n")
        await self._say(send, "event: complete\ndata:\n\n")

    async def _say(self, send: Send, text: str) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        except (TimeoutError, OSError):
            raise _Over from None

    async def _keep_alive(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, self._sent_at + self._keep_alive_s - loop.time()))
            if loop.time() - self._sent_at >= self._keep_alive_s:
                await self._say(send, ":\n\n")


async def _watch(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise _Over


async def _leave() -> None:
    raise _Over
