"""One mutation, one transaction, and each idempotency key once: claim, work, commit, publish.

A failure rolls the claim back with everything else, so that the same key may be tried again.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from db.database import WriteTransaction
from db.queries import idempotency as queries
from domain.errors import IdempotencyConflict
from resolvers.context import Context
from resolvers.inputs import word

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KEY = "idempotency_key"
PATH = ("idempotencyKey",)

Work = Callable[[WriteTransaction], Awaitable[dict[str, Any]]]


def request_sha256(request: DataclassInstance) -> str:
    """What a request asks for, without its key: equal requests have equal hashes."""
    asked = {name: value for name, value in asdict(request).items() if name != KEY}
    return sha256(json.dumps(asked, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


async def once(context: Context, mutation: str, request: DataclassInstance, work: Work) -> dict[str, Any]:
    """Run `work` in a transaction of its own, then publish its events. Returns what it returned: ids and numbers.

    A request whose idempotency key was used before gets the stored answer, and nothing is done; while the first is
    still under way it waits. Raises IdempotencyConflict when the key was used for another request, and what
    `work` raises; then nothing is stored.
    """
    given: str | None = getattr(request, KEY, None)
    key = None if given is None else word(given, PATH)
    async with context.database.write() as transaction:
        if key is None:
            answer = await work(transaction)
        else:
            answer = await _claimed(context, transaction, mutation, key, request, work)
    await context.bus.publish(transaction.emitted, transaction.log_heads)
    return answer


async def _claimed(
    context: Context, transaction: WriteTransaction, mutation: str, key: str, request: DataclassInstance, work: Work
) -> dict[str, Any]:
    asked = request_sha256(request)
    name = (context.viewer.credential, mutation, key)
    row = await queries.claim(transaction, *name, asked, context.clock())
    if row.request_sha256 != asked:
        raise IdempotencyConflict(
            "This idempotencyKey was used before with another input; take a new key for a new request.", PATH
        )
    if row.result:
        return row.result
    answer = await work(transaction)
    await queries.keep(transaction, *name, answer)
    return answer
