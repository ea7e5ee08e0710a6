"""What people ask of agents: start, cancel or retry a task. Asking is not having it: the agent's side answers.

The rules of who may ask for what stand here once, for the mutations and for the fields that say so before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.models.agents import AgentRow, CommandRow
from db.models.tasks import TaskRow
from db.queries import access as access_queries
from db.queries import agents as agent_queries
from db.queries import commands as command_queries
from db.queries import tasks as task_queries
from db.queries.writes import tasks as task_writes
from domain.errors import InvalidInput, InvalidTransition, NotControllable
from domain.ids import new_id
from domain.records import Batch, Ref, TaskRecord
from domain.transitions import FINAL, RETRYABLE
from domain.writer import apply
from domain.writing import commands
from resolvers.context import Context
from resolvers.conversation_mutations import ORIGIN, find_conversation
from resolvers.idempotency import once
from resolvers.inputs import content, known_id, not_found, optional_content
from resolvers.task_mutations import TASK_ID, find_task

CONTROL = "CONTROL"
NOBODY_LISTENS = "Nobody on the agent's side listens to commands: Agent.isControllable says so before."


@dataclass(frozen=True, slots=True)
class CreateTask:
    """A task for an agent."""

    agent_id: str
    input: str
    conversation_id: str | None = None
    project_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class CreateTaskSuccess:
    """The task, which waits for its agent."""

    task: TaskRow


@dataclass(frozen=True, slots=True)
class CancelTask:
    """A task to be stopped."""

    task_id: str
    reason: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class CancelTaskSuccess:
    """The task as it is now; the command, if an agent has to stop it."""

    task: TaskRow
    command: CommandRow | None


@dataclass(frozen=True, slots=True)
class RetryTask:
    """A task to be tried again."""

    task_id: str
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class RetryTaskSuccess:
    """The new attempt."""

    task: TaskRow


def is_controllable(agent: AgentRow | None) -> bool:
    """Whether an agent takes commands; one that is not there does not."""
    return agent is not None and agent.is_controllable


def can_cancel(task: TaskRow, context: Context, agent: AgentRow | None) -> bool:
    """Whether `cancelTask` would be carried out, or asked for, if this viewer called it now."""
    if CONTROL not in context.viewer.scopes or task.status in FINAL:
        return False
    return task.status == "QUEUED" or is_controllable(agent)


def can_retry(task: TaskRow, context: Context, agent: AgentRow | None) -> bool:
    """Whether `retryTask` would make a new attempt if this viewer called it now."""
    return CONTROL in context.viewer.scopes and _retry_refusal(task) is None and is_controllable(agent)


def _retry_refusal(task: TaskRow) -> str | None:
    """Why a task cannot be tried again; None when it can."""
    if task.status not in RETRYABLE:
        why = "did what was asked: for more, create a task" if task.status == "COMPLETED" else "has not ended"
        return f"The task is {task.status}: it {why}. Only FAILED and CANCELLED tasks are retried."
    if task.content_access != "FULL":
        return f"The task's input is not here any more ({task.content_access}), so that it cannot be asked again."
    return None


async def _agent(transaction: WriteTransaction, agent_id: UUID | None) -> AgentRow | None:
    rows = [] if agent_id is None else await agent_queries.by_id(transaction, [agent_id])
    return rows[0] if rows else None


async def _start(context: Context, transaction: WriteTransaction, kind: str, record: TaskRecord) -> UUID:
    """Write a new task and the command that hands it to its agent."""
    now = record.created_at
    applied = await apply(transaction, Batch(tasks=[record]), now=now, strict=True)
    task_id = applied.task_ids[record.origin, record.external_id]
    await _request(context, transaction, kind, record.agent_id, task_id, None, now)
    return task_id


async def _request(
    context: Context,
    transaction: WriteTransaction,
    kind: str,
    agent_id: UUID | None,
    task_id: UUID,
    reason: str | None,
    now: datetime,
) -> UUID:
    if agent_id is None:
        raise NotControllable(NOBODY_LISTENS)
    return await commands.request(
        transaction,
        kind,
        agent_id=agent_id,
        task_id=task_id,
        requested_by_id=context.viewer.user_id,
        reason=reason,
        now=now,
    )


def _queued(context: Context, agent: AgentRow, now: datetime, asked: str | None, **values: Any) -> TaskRecord:
    return TaskRecord(
        ORIGIN,
        new_id(now).hex,
        "API",
        now,
        now,
        status="QUEUED",
        input=asked,
        owner_id=context.viewer.user_id,
        agent_id=agent.id,
        host_id=agent.host_id,
        **values,
    )


async def create_task(context: Context, wanted: CreateTask) -> CreateTaskSuccess:
    """Make a QUEUED task and ask its agent to start. Raises NotFound, InvalidInput, NotControllable."""
    agent_id = known_id("agent", wanted.agent_id, ("agentId",))
    talk = wanted.conversation_id
    conversation_id = None if talk is None else known_id("conversation", talk, ("conversationId",))
    project = wanted.project_id
    project_id = None if project is None else known_id("project", project, ("projectId",))
    asked = content(wanted.input, ("input",))
    if not asked.strip():
        raise InvalidInput("input is empty; say what the agent is to do.", ("input",))
    now = context.clock()

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        agent = await _agent(transaction, agent_id)
        if agent is None:
            raise not_found("agent", wanted.agent_id, ("agentId",))
        if conversation_id is not None:
            await find_conversation(transaction, conversation_id)
        if project_id is not None and not await access_queries.projects_by_id(transaction, [project_id]):
            raise not_found("project", str(project), ("projectId",))
        if not agent.is_controllable:
            raise NotControllable(NOBODY_LISTENS, ("agentId",))
        record = _queued(
            context,
            agent,
            now,
            asked,
            title=asked,
            conversation=None if conversation_id is None else Ref(id=conversation_id),
            project_id=project_id,
        )
        return {"task": (await _start(context, transaction, "START_TASK", record)).hex}

    written = await once(context, "createTask", wanted, work)
    return CreateTaskSuccess(await find_task(context.reader, UUID(written["task"])))


async def cancel_task(context: Context, wanted: CancelTask) -> CancelTaskSuccess:
    """Cancel a QUEUED task, or ask its agent to stop. Raises NotFound, InvalidTransition, NotControllable.

    A task that is asked to stop stays as it is until its agent's side says that it has stopped. Asking again while
    the agent has not answered gives the same command.
    """
    key = known_id("task", wanted.task_id, TASK_ID)
    reason = optional_content(wanted.reason, ("reason",))
    now = context.clock()

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        locked = await task_writes.lock(transaction, [key])
        if not locked:
            raise not_found("task", wanted.task_id, TASK_ID)
        task = locked[0]
        if task.status in FINAL:
            raise InvalidTransition(f"The task is {task.status}, which is final.", TASK_ID, task_id=key)
        if task.status == "QUEUED":
            record = TaskRecord(
                task.origin, task.external_id, task.source, task.created_at, now, status="CANCELLED", ended_at=now
            )
            await apply(transaction, Batch(tasks=[record]), now=now, strict=True)
            return {"task": key.hex, "command": None}
        if not is_controllable(await _agent(transaction, task.agent_id)):
            raise NotControllable(NOBODY_LISTENS, TASK_ID)
        command = await commands.open_command(transaction, key, "CANCEL_TASK") or await _request(
            context, transaction, "CANCEL_TASK", task.agent_id, key, reason, now
        )
        return {"task": key.hex, "command": command.hex}

    written = await once(context, "cancelTask", wanted, work)
    task = await find_task(context.reader, UUID(written["task"]))
    command = written["command"]
    rows = [] if command is None else await command_queries.by_id(context.reader, [UUID(command)])
    return CancelTaskSuccess(task, rows[0] if rows else None)


async def retry_task(context: Context, wanted: RetryTask) -> RetryTaskSuccess:
    """Make a new attempt of a FAILED or CANCELLED task. Raises NotFound, InvalidTransition, NotControllable."""
    key = known_id("task", wanted.task_id, TASK_ID)
    now = context.clock()

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        task = await find_task(transaction, key)
        refusal = _retry_refusal(task)
        if refusal is not None:
            raise InvalidTransition(refusal, TASK_ID, task_id=key)
        agent = await _agent(transaction, task.agent_id)
        if agent is None or not agent.is_controllable:
            raise NotControllable(NOBODY_LISTENS, TASK_ID)
        told = await task_queries.content_by_id(transaction, [key])
        record = _queued(
            context,
            agent,
            now,
            told[0].input if told else None,
            title=task.title,
            conversation=None if task.conversation_id is None else Ref(id=task.conversation_id),
            project_id=task.project_id,
            flow_id=task.flow_id,
            git_branch=task.git_branch,
            retry_of_id=key,
        )
        return {"task": (await _start(context, transaction, "RETRY_TASK", record)).hex}

    written = await once(context, "retryTask", wanted, work)
    return RetryTaskSuccess(await find_task(context.reader, UUID(written["task"])))
