"""createConversation, addMessage and linkTask, from outside."""

from typing import Any

import pytest

from db.models.access import ProjectRow
from db.statements import raw_statement
from domain.ids import parse_id, show_id
from domain.records import Batch, ProjectRecord
from tests.api.mutate import document, events, mutate, new_conversation, new_task
from tests.client import Server

NOBODY = "conversation_" + "0" * 32


ONE_PROJECT = raw_statement("SELECT id, key, name, repository, created_at FROM projects", ProjectRow)


async def new_project(server: Server) -> str:
    """A project's id."""
    await server.write(Batch(projects=[ProjectRecord("host:/work", "work")]))
    (row,) = await server.database.read.fetch(ONE_PROJECT)
    return show_id("project", row.id)


async def test_a_conversation_is_made(server: Server) -> None:
    answer = await mutate(
        server,
        "createConversation",
        title="  Fix\nthe build ",
        flowId="github:owner/repo#7",
        tags=["ci", "urgent", "ci"],
        projectId=(project_id := await new_project(server)),
    )
    conversation = answer["conversation"]
    assert answer["__typename"] == "CreateConversationSuccess"
    assert conversation["project"] == {"id": project_id}
    assert (conversation["title"], conversation["flowId"]) == ("Fix the build", "github:owner/repo#7")
    assert (conversation["tags"], conversation["revision"]) == (["ci", "urgent"], 1)
    assert [kind for kind, _ in await events(server, "conversations")] == ["ConversationChanged"]


async def test_all_of_a_conversation_is_optional(server: Server) -> None:
    first, second = [await mutate(server, "createConversation") for _ in range(2)]
    assert first["conversation"]["id"] != second["conversation"]["id"]
    nulls = await mutate(server, "createConversation", title=None, tags=None, flowId=None, projectId=None)
    assert (nulls["conversation"]["title"], nulls["conversation"]["tags"]) == (None, [])


@pytest.mark.parametrize(
    ("values", "code", "path"),
    [
        ({"title": "x" * 301}, "INVALID_INPUT", ["title"]),
        ({"flowId": "x" * 301}, "INVALID_INPUT", ["flowId"]),
        ({"flowId": ""}, "INVALID_INPUT", ["flowId"]),
        ({"tags": ["fine", ""]}, "INVALID_INPUT", ["tags", "1"]),
        ({"tags": ["x"] * 51}, "INVALID_INPUT", ["tags"]),
        ({"projectId": "project_" + "0" * 32}, "NOT_FOUND", ["projectId"]),
        ({"projectId": NOBODY}, "NOT_FOUND", ["projectId"]),
    ],
)
async def test_a_bad_conversation_is_not_made(
    server: Server, values: dict[str, Any], code: str, path: list[str]
) -> None:
    answer = await mutate(server, "createConversation", **values)
    assert (answer["code"], answer["path"]) == (code, path)
    assert await events(server, "conversations") == []


async def test_a_message_is_added_at_the_end(server: Server) -> None:
    conversation_id, task_id = await new_conversation(server), await new_task(server)
    first = await mutate(server, "addMessage", conversationId=conversation_id, role="USER", text="Hello?")
    second = await mutate(
        server, "addMessage", conversationId=conversation_id, role="ASSISTANT", text="Yes\x00!", taskId=task_id
    )
    asked = first["addedMessage"]
    assert (asked["role"], asked["text"], asked["task"]) == ("USER", "Hello?", None)
    assert (second["addedMessage"]["text"], second["addedMessage"]["task"]["id"]) == ("Yes\ufffd!", task_id)
    assert [node["text"] for node in second["conversation"]["messages"]["nodes"]] == ["Hello?", "Yes\ufffd!"]
    assert second["conversation"]["revision"] == first["conversation"]["revision"] + 1
    told = [facts["id"] for kind, facts in await events(server, "conversations") if kind == "MessageAdded"]
    assert told == [str(parse_id("message", answer["addedMessage"]["id"])) for answer in (first, second)]


@pytest.mark.parametrize(
    ("values", "code", "path"),
    [
        ({"conversationId": NOBODY}, "NOT_FOUND", ["conversationId"]),
        ({"conversationId": "task_" + "0" * 32}, "NOT_FOUND", ["conversationId"]),
        ({"taskId": "task_" + "0" * 32}, "NOT_FOUND", ["taskId"]),
        ({"taskId": "nonsense"}, "NOT_FOUND", ["taskId"]),
        ({"text": " \n"}, "INVALID_INPUT", ["text"]),
        ({"text": "x" * (256 * 1024 + 1)}, "INVALID_INPUT", ["text"]),
    ],
)
async def test_a_bad_message_is_not_added(server: Server, values: dict[str, Any], code: str, path: list[str]) -> None:
    conversation_id = await new_conversation(server)
    asked = {"conversationId": conversation_id, "role": "USER", "text": "hi", **values}
    answer = await mutate(server, "addMessage", **asked)
    assert (answer["code"], answer["path"]) == (code, path)
    assert len(await events(server, "conversations")) == 1


async def test_a_message_may_have_256_kib(server: Server) -> None:
    conversation_id = await new_conversation(server)
    answer = await mutate(server, "addMessage", conversationId=conversation_id, role="TOOL", text="x" * 256 * 1024)
    assert len(answer["addedMessage"]["text"]) == 256 * 1024


async def test_a_task_moves_to_a_conversation_and_both_hear_of_it(server: Server) -> None:
    task_id = await new_task(server)
    first, second = await new_conversation(server, "1"), await new_conversation(server, "2")
    linked = await mutate(server, "linkTask", taskId=task_id, conversationId=first)
    assert linked["task"]["conversation"]["id"] == linked["conversation"]["id"] == first
    moved = await mutate(server, "linkTask", taskId=task_id, conversationId=second)
    assert moved["task"]["conversation"]["id"] == second
    told = [(facts["before"] or {}).get("conversation") for _, facts in await events(server, "tasks")]
    keys = [str(parse_id("conversation", first)), str(parse_id("conversation", second))]
    assert told == [None, None, keys[0]]
    heard = [facts["id"] for _, facts in await events(server, "conversations")]
    assert sorted(heard) == sorted([*keys, keys[0], *keys])
    count = len(await events(server, "tasks"))
    again = await mutate(server, "linkTask", taskId=task_id, conversationId=second)
    assert again["task"]["revision"] == moved["task"]["revision"]
    assert len(await events(server, "tasks")) == count


async def test_linking_needs_both(server: Server) -> None:
    task_id, conversation_id = await new_task(server), await new_conversation(server)
    no_task = await mutate(server, "linkTask", taskId="task_" + "1" * 32, conversationId=conversation_id)
    assert (no_task["code"], no_task["path"]) == ("NOT_FOUND", ["taskId"])
    no_conversation = await mutate(server, "linkTask", taskId=task_id, conversationId=NOBODY)
    assert (no_conversation["code"], no_conversation["path"]) == ("NOT_FOUND", ["conversationId"])


async def test_linking_answers_a_bad_key_as_an_error(server: Server) -> None:
    asked = {"taskId": await new_task(server), "conversationId": await new_conversation(server), "idempotencyKey": ""}
    error = await server.error(document("linkTask"), input=asked)
    assert error["extensions"] == {"code": "INVALID_INPUT", "argument": "idempotencyKey"}
