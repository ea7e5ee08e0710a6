"""createTask, cancelTask and retryTask, from outside: asking is not having it, and every refusal is told before."""

from typing import Any
from uuid import UUID

import pytest

from db.models.base import TASK_STATUSES
from db.queries import tasks
from domain.errors import InvalidTransition, NotFound
from domain.ids import parse_id, show_id
from domain.records import AgentRecord, Batch, ConversationRecord, ProjectRecord, TaskRecord
from domain.writing.commands import advance
from resolvers.context import Context, Viewer
from resolvers.control import can_cancel, can_retry
from tests.api.mutate import events, mutate
from tests.client import Server
from tests.storage.build import START

FINAL = ("COMPLETED", "FAILED", "CANCELLED")
COMMAND = "query Command($id: ID!) { node(id: $id) { id ... on AgentCommand { status reason requestedBy { id } } } }"
ABLE = "query Able($id: ID!) { task(id: $id) { status viewerCanCancel viewerCanRetry agent { isControllable } } }"


async def agent(server: Server, *, listens: bool = True) -> str:
    """An agent's id."""
    name = "listens" if listens else "deaf"
    await server.write(Batch(agents=[AgentRecord(name, "host", "EXECUTOR", "IDLE", is_controllable=listens)]))
    found = await server.query("query Find($name: String!) { agentByName(name: $name) { id } }", name=name)
    return str(found["agentByName"]["id"])


async def task(server: Server, status: str, *, listens: bool = True, **values: Any) -> str:
    """The id of a task of an agent that listens, or not."""
    await agent(server, listens=listens)
    name = f"{status}{listens}"
    record = TaskRecord(
        "test",
        name,
        "ENGINE",
        START,
        START,
        status=status,
        agent_name="listens" if listens else "deaf",
        host="host",
        title="A title",
        input="do it",
        **values,
    )
    applied = await server.write(Batch(tasks=[record]))
    return show_id("task", applied.task_ids["test", name])


async def command_of(server: Server, command_id: str) -> dict[str, Any]:
    """The command as it is now."""
    return dict((await server.query(COMMAND, id=command_id))["node"])


async def commands_told(server: Server) -> list[tuple[str, str]]:
    """Kinds and statuses of commands, in the order in which they were told."""
    told = await events(server, "agents")
    return [(facts["kind"], facts["status"]) for kind, facts in told if kind == "AgentCommandChanged"]


async def say(server: Server, command_id: str, status: str) -> None:
    """What the agent's side says of a command."""
    key = parse_id("command", command_id)
    assert key is not None
    async with server.database.write() as transaction:
        await advance(transaction, key, status, START)


async def test_a_task_is_created_queued_and_its_agent_is_asked_to_start(server: Server) -> None:
    agent_id = await agent(server)
    applied = await server.write(
        Batch(
            conversations=[ConversationRecord("test", "talk", START, START)], projects=[ProjectRecord("p", "A project")]
        )
    )
    talk = show_id("conversation", applied.conversation_ids["test", "talk"])
    created = await mutate(server, "createTask", agentId=agent_id, input="Fix the\nlogin", conversationId=talk)
    made = created["task"]
    assert (made["status"], made["input"], made["title"]) == ("QUEUED", "Fix the\nlogin", "Fix the login")
    assert (made["agent"]["id"], made["conversation"]["id"]) == (agent_id, talk)
    assert (made["startedAt"], made["retryOf"]) == (None, None)
    assert (made["viewerCanCancel"], made["viewerCanRetry"]) == (True, False)
    assert await commands_told(server) == [("START_TASK", "REQUESTED")]
    ((kind, facts),) = await events(server, "tasks")
    assert (kind, facts["after"]["agent"]) == ("TaskChanged", str(UUID(agent_id.removeprefix("agent_"))))
    # The agent's side begins: that it reports the task is its answer.
    await mutate(server, "reportTask", taskId=made["id"], status="RUNNING")
    assert await commands_told(server) == [("START_TASK", "REQUESTED"), ("START_TASK", "DONE")]


async def test_what_nobody_listens_to_is_not_created(server: Server) -> None:
    answer = await mutate(server, "createTask", agentId=await agent(server, listens=False), input="x")
    assert (answer["__typename"], answer["code"], answer["path"]) == (
        "NotControllable",
        "NOT_CONTROLLABLE",
        ["agentId"],
    )
    assert "isControllable" in answer["message"]
    assert await events(server, "tasks") == []


@pytest.mark.parametrize(
    ("values", "typename", "path"),
    [
        ({"agentId": "agent_" + "0" * 32}, "NotFound", "agentId"),
        ({"agentId": "task_" + "0" * 32}, "NotFound", "agentId"),
        ({"conversationId": "conversation_" + "0" * 32}, "NotFound", "conversationId"),
        ({"conversationId": "x"}, "NotFound", "conversationId"),
        ({"projectId": "project_" + "0" * 32}, "NotFound", "projectId"),
        ({"input": " \n"}, "InvalidInput", "input"),
        ({"input": "x" * (256 * 1024 + 1)}, "InvalidInput", "input"),
        ({"idempotencyKey": ""}, "InvalidInput", "idempotencyKey"),
    ],
)
async def test_bad_input_creates_nothing(server: Server, values: dict[str, str], typename: str, path: str) -> None:
    answer = await mutate(server, "createTask", **{"agentId": await agent(server), "input": "x", **values})
    assert (answer["__typename"], answer["path"]) == (typename, [path])
    assert await events(server, "tasks") == []


@pytest.mark.parametrize("listens", [True, False])
async def test_a_queued_task_is_cancelled_at_once(server: Server, listens: bool) -> None:
    task_id = await task(server, "QUEUED", listens=listens)
    answer = await mutate(server, "cancelTask", taskId=task_id)
    assert (answer["task"]["status"], answer["command"]) == ("CANCELLED", None)
    assert answer["task"]["endedAt"] is not None
    assert answer["task"]["viewerCanCancel"] is False
    assert answer["task"]["viewerCanRetry"] is listens


async def test_a_start_that_was_not_taken_is_refused_when_its_task_is_cancelled(server: Server) -> None:
    created = await mutate(server, "createTask", agentId=await agent(server), input="x")
    await mutate(server, "cancelTask", taskId=created["task"]["id"])
    assert await commands_told(server) == [("START_TASK", "REQUESTED"), ("START_TASK", "REFUSED")]


@pytest.mark.parametrize("status", ["RUNNING", "WAITING_INPUT"])
async def test_an_agent_is_asked_to_stop_and_nothing_is_done_before_it_says_so(server: Server, status: str) -> None:
    task_id = await task(server, status)
    answer = await mutate(server, "cancelTask", taskId=task_id, reason="wrong branch")
    command = answer["command"]
    assert (answer["task"]["status"], answer["task"]["revision"]) == (status, 1)
    assert (command["status"], command["reason"]) == ("REQUESTED", "wrong branch")
    again = await mutate(server, "cancelTask", taskId=task_id, reason="hurry")
    assert again["command"] == command
    await say(server, command["id"], "ACKNOWLEDGED")
    assert (await command_of(server, command["id"]))["status"] == "ACKNOWLEDGED"
    assert (await server.query(ABLE, id=task_id))["task"]["status"] == status
    await mutate(server, "reportTask", taskId=task_id, status="CANCELLED")
    assert (await command_of(server, command["id"]))["status"] == "DONE"
    assert await commands_told(server) == [("CANCEL_TASK", word) for word in ("REQUESTED", "ACKNOWLEDGED", "DONE")]


async def test_a_task_that_ends_before_it_could_be_stopped_refuses_the_command(server: Server) -> None:
    task_id = await task(server, "RUNNING")
    command = (await mutate(server, "cancelTask", taskId=task_id))["command"]
    await mutate(server, "reportTask", taskId=task_id, status="COMPLETED")
    assert (await command_of(server, command["id"]))["status"] == "REFUSED"


async def test_a_command_takes_allowed_steps_only(server: Server) -> None:
    command = (await mutate(server, "cancelTask", taskId=await task(server, "RUNNING")))["command"]
    with pytest.raises(InvalidTransition, match="REQUESTED, which cannot become DONE"):
        await say(server, command["id"], "DONE")
    await say(server, command["id"], "ACKNOWLEDGED")
    await say(server, command["id"], "ACKNOWLEDGED")  # said twice: nothing new
    await say(server, command["id"], "REFUSED")
    with pytest.raises(InvalidTransition):
        await say(server, command["id"], "DONE")
    with pytest.raises(NotFound):
        await say(server, "command_" + "0" * 32, "DONE")
    assert [status for _, status in await commands_told(server)] == ["REQUESTED", "ACKNOWLEDGED", "REFUSED"]


@pytest.mark.parametrize("status", TASK_STATUSES)
@pytest.mark.parametrize("listens", [True, False])
async def test_what_may_be_asked_is_said_before(server: Server, status: str, listens: bool) -> None:
    task_id = await task(server, status, listens=listens)
    able = (await server.query(ABLE, id=task_id))["task"]
    assert able["agent"]["isControllable"] is listens
    retried = await mutate(server, "retryTask", taskId=task_id)
    assert able["viewerCanRetry"] is (retried["__typename"] == "RetryTaskSuccess")
    cancelled = await mutate(server, "cancelTask", taskId=task_id)
    assert able["viewerCanCancel"] is (cancelled["__typename"] == "CancelTaskSuccess")
    if status in FINAL:
        assert (cancelled["code"], cancelled["path"]) == ("INVALID_TRANSITION", ["taskId"])
        assert cancelled["currentTask"] == {"id": task_id, "status": status}
    elif status != "QUEUED" and not listens:
        assert cancelled["code"] == "NOT_CONTROLLABLE"
    if status not in ("FAILED", "CANCELLED"):
        assert (retried["code"], retried["currentTask"]["status"]) == ("INVALID_TRANSITION", status)
    elif not listens:
        assert retried["code"] == "NOT_CONTROLLABLE"


async def test_without_the_scope_nothing_can_be_asked(server: Server) -> None:
    key = parse_id("task", await task(server, "QUEUED"))
    assert key is not None
    (row,) = await tasks.by_id(server.database.read, [key])
    for scopes, able in ((frozenset({"METRICS", "READ", "WRITE"}), False), (frozenset({"CONTROL"}), True)):
        context = Context(Viewer("key", scopes), server.database, server.bus, server.hub, lambda: START, "0")
        assert can_cancel(row, context, None) is able
        assert not can_retry(row, context, None)


async def test_a_task_without_an_agent_has_nobody_who_listens(server: Server) -> None:
    record = TaskRecord("test", "alone", "API", START, START, status="RUNNING")
    applied = await server.write(Batch(tasks=[record]))
    task_id = show_id("task", applied.task_ids["test", "alone"])
    able = (await server.query(ABLE, id=task_id))["task"]
    assert able == {"status": "RUNNING", "viewerCanCancel": False, "viewerCanRetry": False, "agent": None}
    assert (await mutate(server, "cancelTask", taskId=task_id))["code"] == "NOT_CONTROLLABLE"


async def test_a_retry_is_a_new_task_with_the_same_question(server: Server) -> None:
    await server.write(Batch(conversations=[ConversationRecord("test", "talk", START, START)]))
    task_id = await task(server, "FAILED", flow_id="jira:FG-1", git_branch="main", error_type="Exit")
    answer = await mutate(server, "retryTask", taskId=task_id)
    made = answer["task"]
    assert made["id"] != task_id
    assert (made["status"], made["retryOf"]["id"], made["input"]) == ("QUEUED", task_id, "do it")
    assert (made["title"], made["errorType"], made["startedAt"]) == ("A title", None, None)
    found = await server.query(
        "query Both($ids: [ID!]!) { nodes(ids: $ids) { ... on Task"
        " { status flowId gitBranch agent { id } host { id } project { id } conversation { id } } } }",
        ids=[task_id, made["id"]],
    )
    old, new = found["nodes"]
    assert (old.pop("status"), new.pop("status")) == ("FAILED", "QUEUED")
    assert old == new
    assert await commands_told(server) == [("RETRY_TASK", "REQUESTED")]


@pytest.mark.parametrize("name", ["cancelTask", "retryTask"])
@pytest.mark.parametrize("task_id", ["task_" + "0" * 32, "agent_" + "0" * 32, "", "x" * 5_000])
async def test_unknown_tasks_are_not_found(server: Server, name: str, task_id: str) -> None:
    answer = await mutate(server, name, taskId=task_id)
    assert (answer["code"], answer["path"]) == ("NOT_FOUND", ["taskId"])


async def test_a_key_makes_it_safe_to_ask_again(server: Server) -> None:
    agent_id, running, failed = await agent(server), await task(server, "RUNNING"), await task(server, "FAILED")
    requests = [
        ("createTask", {"agentId": agent_id, "input": "x"}, {"input": "y"}),
        ("cancelTask", {"taskId": running, "reason": "a"}, {"reason": "b"}),
        ("retryTask", {"taskId": failed}, {"taskId": running}),
    ]
    for name, values, other in requests:
        first = await mutate(server, name, **values, idempotencyKey="key")
        told = [await events(server, topic) for topic in ("tasks", "agents")]
        assert await mutate(server, name, **values, idempotencyKey="key") == first
        assert [await events(server, topic) for topic in ("tasks", "agents")] == told
        conflict = await mutate(server, name, **{**values, **other}, idempotencyKey="key")
        assert conflict["code"] == "IDEMPOTENCY_CONFLICT"
