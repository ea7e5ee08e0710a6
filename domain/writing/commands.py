"""Commands to agents: asked for, moved on by the transition table, settled by their task, ended by the clock.

Each change is told on the topic `agents`, for whoever hands commands to an agent. What may be asked of which task is
the resolvers' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.models.agents import CommandRow
from db.queries.writes import commands
from domain.errors import InvalidTransition, NotFound
from domain.ids import new_id, show_id
from domain.transitions import COMMAND_NEXT, SETTLES, command_allowed
from domain.writing.values import instant

TOPIC = "agents"
ANSWER_WITHIN = timedelta(minutes=1)  # an agent's side that listens takes a command in seconds
FINISH_WITHIN = timedelta(minutes=15)  # a model call under way may have to end first
LATE_AT_ONCE = 500  # commands ended by one transaction


async def request(
    transaction: WriteTransaction,
    kind: str,
    *,
    agent_id: UUID,
    task_id: UUID,
    requested_by_id: UUID | None,
    reason: str | None,
    now: datetime,
) -> UUID:
    """Ask an agent for something. Returns the command's id."""
    row = {
        "id": new_id(now),
        "kind": kind,
        "status": "REQUESTED",
        "agent_id": agent_id,
        "task_id": task_id,
        "requested_by_id": requested_by_id,
        "reason": reason,
        "requested_at": instant(now),
    }
    await commands.insert(transaction, row)
    _tell(transaction, row)
    return UUID(str(row["id"]))


async def open_command(transaction: WriteTransaction, task_id: UUID, kind: str) -> UUID | None:
    """The command of that kind about a locked task that has not ended; None when there is none."""
    return next((row.id for row in await commands.lock_open(transaction, [task_id]) if row.kind == kind), None)


async def advance(transaction: WriteTransaction, command_id: UUID, status: str, now: datetime) -> None:
    """What the agent's side says of a command. Raises NotFound, InvalidTransition; staying changes nothing."""
    row = await commands.lock_one(transaction, command_id)
    if row is None:
        raise NotFound(f"There is no command with the id {show_id('command', command_id)}.")
    if row.status == status:
        return
    if not command_allowed(row.status, status):
        raise InvalidTransition(f"The command is {row.status}, which cannot become {status}.", task_id=row.task_id)
    await _write(transaction, [(row, status)], now)


async def settle(transaction: WriteTransaction, statuses: Mapping[UUID, str], now: datetime) -> None:
    """End the open commands that the new statuses of these locked tasks answer."""
    if not statuses:
        return
    opened = await commands.lock_open(transaction, sorted(statuses))
    answered = [(row, SETTLES[row.kind].get(statuses[row.task_id])) for row in opened if row.task_id is not None]
    await _write(transaction, [(row, status) for row, status in answered if status is not None], now)


async def time_out(transaction: WriteTransaction, now: datetime) -> int:
    """End commands that nobody answered, or finished, in time. Returns how many."""
    late = await commands.lock_late(transaction, now - ANSWER_WITHIN, now - FINISH_WITHIN, LATE_AT_ONCE)
    await _write(transaction, [(row, "TIMED_OUT") for row in late], now)
    return len(late)


async def _write(transaction: WriteTransaction, steps: Sequence[tuple[CommandRow, str]], now: datetime) -> None:
    if not steps:
        return
    now = instant(now)
    states = []
    for row, status in steps:
        # What is done was taken: a task that reports the status asked for says both at once.
        taken = status in ("ACKNOWLEDGED", "DONE") and row.acknowledged_at is None
        states.append(
            {
                **dict(row.items()),
                "status": status,
                "acknowledged_at": now if taken else row.acknowledged_at,
                "ended_at": row.ended_at if COMMAND_NEXT[status] else now,
            }
        )
    await commands.update(transaction, states)
    for state in states:
        _tell(transaction, state)


def _tell(transaction: WriteTransaction, state: Mapping[str, Any]) -> None:
    facts = {
        "id": str(state["agent_id"]),
        "command": str(state["id"]),
        "kind": state["kind"],
        "status": state["status"],
        "task": str(state["task_id"]) if state["task_id"] else None,
    }
    transaction.emit(TOPIC, "AgentCommandChanged", facts)
