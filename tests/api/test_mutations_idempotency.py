"""Idempotency keys, from outside: once, the same answer again, waiting for the first, and conflicts."""

import asyncio
from typing import Any

import pytest

from tests.api.mutate import document, events, mutate, new_conversation, new_task
from tests.client import Server

KEY = "9b2f6a8e-client"


async def requests(server: Server) -> list[tuple[str, dict[str, Any]]]:
    """Each mutation with an input that it accepts."""
    task_id, conversation_id = await new_task(server, status="RUNNING"), await new_conversation(server)
    return [
        ("reportTask", {"taskId": task_id, "status": "WAITING_INPUT"}),
        ("appendTaskLog", {"taskId": task_id, "lines": [{"text": "a"}, {"text": "b"}]}),
        ("createConversation", {"title": "new"}),
        ("addMessage", {"conversationId": conversation_id, "role": "USER", "text": "hi"}),
        ("linkTask", {"taskId": task_id, "conversationId": conversation_id}),
    ]


async def all_events(server: Server) -> list[Any]:
    return [await events(server, topic) for topic in ("tasks", "conversations", "logs")]


async def test_the_same_request_again_is_answered_and_not_done_twice(server: Server) -> None:
    for name, values in await requests(server):
        first = await mutate(server, name, **values, idempotencyKey=KEY)
        assert first["__typename"].endswith("Success"), (name, first)
        told = await all_events(server)
        assert await mutate(server, name, **values, idempotencyKey=KEY) == first, name
        assert await all_events(server) == told


async def test_without_a_key_it_is_done_twice(server: Server) -> None:
    first, second = [await mutate(server, "createConversation", title="x") for _ in range(2)]
    assert first["conversation"]["id"] != second["conversation"]["id"]


async def test_another_input_with_the_same_key_is_a_conflict(server: Server) -> None:
    others: dict[str, dict[str, Any]] = {
        "reportTask": {"status": "FAILED"},
        "appendTaskLog": {"lines": [{"text": "b"}, {"text": "a"}]},
        "createConversation": {"title": "newer"},
        "addMessage": {"role": "SYSTEM"},
        "linkTask": {"conversationId": await new_conversation(server, "other")},
    }
    for name, values in await requests(server):
        await mutate(server, name, **values, idempotencyKey=KEY)
        told = await all_events(server)
        answer = await mutate(server, name, **{**values, **others[name]}, idempotencyKey=KEY)
        assert (answer["__typename"], answer["code"]) == ("IdempotencyConflict", "IDEMPOTENCY_CONFLICT"), name
        assert answer["path"] == ["idempotencyKey"]
        assert await all_events(server) == told


async def test_an_absent_field_and_null_are_the_same_request(server: Server) -> None:
    first = await mutate(server, "createConversation", title="x", idempotencyKey=KEY)
    assert first == await mutate(server, "createConversation", title="x", tags=None, flowId=None, idempotencyKey=KEY)


async def test_the_answer_shows_the_rows_of_now(server: Server) -> None:
    task_id = await new_task(server)
    asked = {"taskId": task_id, "status": "RUNNING", "idempotencyKey": KEY}
    await mutate(server, "reportTask", **asked)
    await mutate(server, "reportTask", taskId=task_id, status="COMPLETED")
    assert (await mutate(server, "reportTask", **asked))["task"]["status"] == "COMPLETED"


async def test_a_failure_leaves_the_key_free(server: Server) -> None:
    task_id = await new_task(server, status="QUEUED")
    refused = await mutate(server, "reportTask", taskId="task_" + "0" * 32, status="RUNNING", idempotencyKey=KEY)
    assert refused["code"] == "NOT_FOUND"
    done = await mutate(server, "reportTask", taskId=task_id, status="RUNNING", idempotencyKey=KEY)
    assert done["__typename"] == "ReportTaskSuccess"


async def test_one_key_serves_every_mutation_apart(server: Server) -> None:
    answers = [await mutate(server, name, **values, idempotencyKey=KEY) for name, values in await requests(server)]
    assert all(answer["__typename"].endswith("Success") for answer in answers)


@pytest.mark.parametrize("name", ["appendTaskLog", "createConversation", "addMessage"])
async def test_of_many_at_once_one_is_done_and_all_get_its_answer(server: Server, name: str) -> None:
    values = dict(await requests(server))[name]
    before = await all_events(server)
    answers = await asyncio.gather(*(mutate(server, name, **values, idempotencyKey=KEY) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["__typename"].endswith("Success")
    after = await all_events(server)
    assert sum(map(len, after)) - sum(map(len, before)) == {"appendTaskLog": 1, "addMessage": 2}.get(name, 1)


async def test_of_two_at_once_with_different_inputs_one_is_a_conflict(server: Server) -> None:
    answers = await asyncio.gather(
        *(mutate(server, "createConversation", title=title, idempotencyKey=KEY) for title in ("a", "b"))
    )
    assert sorted(answer["__typename"] for answer in answers) == ["CreateConversationSuccess", "IdempotencyConflict"]


async def test_two_mutations_of_one_document_are_two_transactions(server: Server) -> None:
    task_id = await new_task(server, status="COMPLETED")
    both = f"""mutation {{
      first: createConversation(input: {{title: "kept"}}) {{ __typename }}
      second: reportTask(input: {{taskId: "{task_id}", status: RUNNING}}) {{ __typename }}
    }}"""
    answer = await server.query(both)
    assert answer == {
        "first": {"__typename": "CreateConversationSuccess"},
        "second": {"__typename": "InvalidTransition"},
    }
    assert len(await events(server, "conversations")) == 1


async def test_a_token_is_needed(server: Server) -> None:
    payload = {"query": document("createConversation"), "variables": {"input": {}}}
    assert (await server.http.post("/graphql", json=payload)).status_code == 401
