"""Erasing all that a host brought, as `fleetgraph sample remove` does, and plans. The only deletes of the domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.queries.writes import erase, tasks
from domain.writing import agents, conversations, runs
from domain.writing.tasks import emit_change

POINTERS = ("agent_id", "conversation_id", "parent_task_id", "retry_of_id", "run_id", "story_id")


@dataclass(slots=True)
class Erased:
    """How many rows of each kind were deleted."""

    tasks: int = 0
    log_lines: int = 0
    tool_calls: int = 0
    calls: int = 0
    conversations: int = 0
    messages: int = 0
    agents: int = 0
    runs: int = 0
    stories: int = 0
    projects: int = 0
    files: int = 0


async def erase_host(transaction: WriteTransaction, host_name: str) -> Erased:
    """Delete tasks, conversations, agents, runs, calls and import positions of a host, and the host.

    Projects go with it when nothing else belongs to them. Each task is told as `TaskDeleted`; tasks of other hosts
    that pointed to something deleted are changed and told so. A host that does not exist is nothing to erase.
    """
    erased = Erased(files=await erase.delete(transaction, erase.DELETE_OFFSETS, host_name))
    await erase.delete(transaction, erase.DELETE_IMPORTED_ROWS, host_name)
    found = await erase.ids(transaction, erase.LOCK_HOST, host_name)
    if not found:
        return erased
    host = found[0]
    agent_ids = await erase.ids(transaction, erase.LOCK_AGENTS, host)
    conversation_ids = await erase.ids(transaction, erase.LOCK_CONVERSATIONS, host)
    run_ids = await erase.ids(transaction, erase.LOCK_RUNS, host)
    story_ids = await erase.ids(transaction, erase.STORIES, run_ids)
    project_ids = await erase.ids(transaction, erase.PROJECTS, host)
    task_ids = await erase.ids(transaction, erase.TASKS, host)
    pointing = await erase.ids(
        transaction, erase.TASKS_THAT_POINT_HERE, host, agent_ids, conversation_ids, task_ids, run_ids
    )
    locked = {row.id: dict(row.items()) for row in await tasks.lock(transaction, sorted({*task_ids, *pointing}))}
    gone = {*agent_ids, *conversation_ids, *task_ids, *run_ids, *story_ids}
    await _let_go(transaction, [locked[id_] for id_ in pointing if id_ in locked], gone)
    erased.log_lines = await erase.delete(transaction, erase.DELETE_LOG_LINES, task_ids)
    await erase.delete(transaction, erase.DELETE_LOG_TOPICS, erase.log_topics(task_ids))
    erased.tool_calls = await erase.delete(transaction, erase.DELETE_TOOL_CALLS, task_ids)
    erased.calls = await erase.delete(transaction, erase.DELETE_USAGE, host, task_ids)
    erased.tasks = await erase.delete(transaction, erase.DELETE_TASKS, task_ids)
    erased.messages = await erase.delete(transaction, erase.DELETE_MESSAGES, conversation_ids)
    erased.conversations = await erase.delete(transaction, erase.DELETE_CONVERSATIONS, conversation_ids)
    erased.stories = await erase.delete(transaction, erase.DELETE_STORIES, story_ids)
    erased.runs = await erase.delete(transaction, erase.DELETE_RUNS, run_ids)
    erased.agents = await erase.delete(transaction, erase.DELETE_AGENTS, agent_ids)
    erased.projects = await erase.delete(transaction, erase.DELETE_PROJECTS, project_ids)
    await erase.delete(transaction, erase.DELETE_HOST, host)
    for id_ in task_ids:
        if id_ in locked:
            emit_change(transaction, {**locked[id_], "revision": locked[id_]["revision"] + 1}, None)
    for id_ in conversation_ids:
        transaction.emit(conversations.TOPIC, "ConversationDeleted", {"id": str(id_)})
    for id_ in run_ids:
        transaction.emit(runs.TOPIC, "RunDeleted", {"id": str(id_)})
    for id_ in agent_ids:
        transaction.emit(agents.TOPIC, "AgentDeleted", {"id": str(id_)})
    return erased


async def erase_plan(transaction: WriteTransaction, origin: str, external_id: str) -> bool:
    """Delete a run that never began, with its stories; True when there was one. A run with tasks stays."""
    run_ids = await erase.ids(transaction, erase.LOCK_PLAN, origin, external_id)
    await erase.delete(transaction, erase.DELETE_STORIES, await erase.ids(transaction, erase.STORIES, run_ids))
    await erase.delete(transaction, erase.DELETE_RUNS, run_ids)
    for id_ in run_ids:
        transaction.emit(runs.TOPIC, "RunDeleted", {"id": str(id_)})
    return bool(run_ids)


async def _let_go(transaction: WriteTransaction, states: list[dict[str, Any]], gone: set[UUID]) -> None:
    """Take what is about to be deleted out of tasks that stay."""
    changed: list[dict[str, Any]] = []
    for before in states:
        after = {**before, "revision": before["revision"] + 1}
        after |= {name: None for name in POINTERS if before[name] in gone}
        if after["agent_id"] is None:
            after["agent_type"] = None
        changed.append({**after, **dict.fromkeys(tasks.TOTALS, 0)})
        emit_change(transaction, before, after)
    if changed:
        await tasks.write(transaction, changed)
