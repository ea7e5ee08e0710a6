"""`POST /auth/ticket`: the page hands in the ticket of its link and gets the token.

Takes it from our own page only. Nothing here is logged, kept or put into an address. It does not know where tickets or
tokens come from.
"""

import json
import re
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PATH = "/auth/ticket"
MAX_BODY = 1024  # bytes; a ticket is 43 letters
TICKET = re.compile(r"[A-Za-z0-9_-]{43}")
MOST_REFUSALS = 20  # in REFUSALS_WITHIN: far more than a person makes, and nothing against 2^256
REFUSALS_WITHIN = timedelta(minutes=1)
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Redeem = Callable[[str], str | None]
"""The token that a ticket is worth, None for a ticket that is not good (any more)."""


class TicketExchange:
    """The endpoint; counts refusals in this process."""

    def __init__(self, redeem: Redeem, clock: Callable[[], datetime]) -> None:
        self._redeem = redeem
        self._clock = clock
        self._refusals: deque[datetime] = deque(maxlen=MOST_REFUSALS)

    def route(self) -> Route:
        """Where it answers."""
        return Route(PATH, self._answer, methods=["POST"], name="ticket")

    async def _answer(self, request: Request) -> Response:
        if not _is_own_page(request):
            return _refusal(403, "FORBIDDEN", "Only the explorer's own page may hand in a ticket.")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _refusal(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json.")
        body = await _body(request)
        if body is None:
            return _refusal(413, "PAYLOAD_TOO_LARGE", f"The body is larger than {MAX_BODY} bytes.")
        ticket = _ticket(body)
        if ticket is None:
            return _refusal(400, "BAD_REQUEST", 'The body must be {"ticket": "…"} with the ticket of a link.')
        now = self._clock()
        if len(self._refusals) == MOST_REFUSALS and now - self._refusals[0] < REFUSALS_WITHIN:
            return _refusal(
                429, "RATE_LIMITED", "Too many wrong tickets were tried here. Wait a minute, then try again."
            )
        token = self._redeem(ticket)
        if token is None:
            self._refusals.append(now)
            return _refusal(403, "TICKET_REFUSED", "This ticket was used already, or is older than a minute.")
        return JSONResponse({"token": token}, headers=HEADERS)


def _is_own_page(request: Request) -> bool:
    """Whether a page of this very host and port asks: browsers send Origin with every POST and let no page forge it."""
    origins, host = request.headers.getlist("origin"), request.headers.get("host", "").lower()
    return len(origins) == 1 and bool(host) and origins[0].lower() in (f"http://{host}", f"https://{host}")


async def _body(request: Request) -> bytes | None:
    """The body; None when it is too large."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return None
    except ClientDisconnect:
        return b""
    return body


def _ticket(body: bytes) -> str | None:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    ticket = given.get("ticket") if isinstance(given, dict) else None
    return ticket if isinstance(ticket, str) and TICKET.fullmatch(ticket) else None


def _refusal(status: int, code: str, message: str) -> Response:
    body = {"errors": [{"message": message, "extensions": {"code": code}}]}
    headers = HEADERS | ({"Retry-After": "60"} if status == 429 else {})
    return JSONResponse(body, status, headers)
