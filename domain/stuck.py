"""When a task counts as stuck, why, and since when; and the pass over all tasks that marks and clears them.

A mark is a change of the task: a revision and an event. It does not touch `updated_at`, which is a sign of life.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.database import WriteTransaction
from db.queries import stuck as queries
from db.queries.stuck import SignsRow
from db.queries.writes import tasks
from domain.transitions import FINAL
from domain.writing.tasks import rewrite

SILENT = timedelta(minutes=10)  # a test suite or a build within one tool call takes less
WAITING = timedelta(minutes=15)  # a person who watches has answered by then
GONE = timedelta(minutes=5)  # an agent that is there is seen every few seconds
STORM_LINES = 5  # a program that recovers does so after one or two attempts
PAGE_SIZE = 500  # tasks looked at by one transaction: some 20 ms

FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a task is stuck, and since when it counts as that."""

    reason: str
    since: datetime


def judge(signs: SignsRow, now: datetime) -> Verdict | None:
    """What the signs of a task say now; None: it is not stuck."""
    if signs.status in FINAL:
        return None
    verdict = _agent_gone(signs)
    if (verdict is None or verdict.since > now) and signs.status == "WAITING_INPUT":
        verdict = Verdict("WAITING_INPUT", signs.updated_at + WAITING)
    elif (verdict is None or verdict.since > now) and signs.status == "RUNNING":
        if signs.storm_since is not None:
            return Verdict("RETRY_STORM", min(signs.storm_since, now))
        verdict = Verdict("NO_OUTPUT", signs.last_sign_at + SILENT)
    return verdict if verdict is not None and verdict.since <= now else None


def _agent_gone(signs: SignsRow) -> Verdict | None:
    """An agent that reports how it is, and has said that it goes. OFFLINE alone is also what nobody ever told."""
    told_offline = signs.agent_status == "OFFLINE" and signs.agent_is_controllable
    if signs.agent_status != "STOPPED" and not told_offline:
        return None
    return Verdict("AGENT_OFFLINE", (signs.agent_seen_at or signs.updated_at) + GONE)


def _is_news(signs: SignsRow, now: datetime) -> bool:
    """Whether the mark must change. With the same reason it stays, and so does the time since when."""
    verdict = judge(signs, now)
    return (None if verdict is None else verdict.reason) != signs.stuck_reason


async def sweep_page(transaction: WriteTransaction, after: UUID, now: datetime) -> UUID | None:
    """Mark and clear the next tasks in order of id. Returns where to go on; None at the end."""
    seen = await queries.page(transaction, STORM_LINES, after, PAGE_SIZE)
    suspects = [signs.id for signs in seen if _is_news(signs, now)]
    if suspects:
        locked = {row.id: dict(row.items()) for row in await tasks.lock(transaction, suspects)}
        changes = []
        for signs in await queries.by_id(transaction, STORM_LINES, sorted(locked)):  # again, now that none can move
            if _is_news(signs, now):
                verdict, before = judge(signs, now), locked[signs.id]
                mark = {
                    "stuck_reason": None if verdict is None else verdict.reason,
                    "stuck_since": None if verdict is None else verdict.since,
                }
                changes.append((before, {**before, **mark}))
        await rewrite(transaction, changes)
    return seen[-1].id if len(seen) == PAGE_SIZE else None
