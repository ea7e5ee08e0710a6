"""What a mutation commits reaches those who follow it, over Redis and WebSocket."""

import asyncio
from typing import Any

import pytest

from domain.ids import parse_id
from tests.api.mutate import mutate, new_conversation, new_task
from tests.client import Server

TASKS = "subscription { taskChanged { ... on TaskChanged { taskId isNew task { status conversation { id } } } } }"
LOG = "subscription Log($id: ID!) { taskLog(taskId: $id) { ... on LogLinesAppended { lines { seq text } } } }"


async def test_followers_of_tasks_see_reports_usage_and_links(server: Server) -> None:
    task_id, conversation_id = await new_task(server), await new_conversation(server)
    async with asyncio.timeout(20), server.subscribe("tasks", TASKS) as changes:
        await mutate(server, "reportTask", taskId=task_id, status="RUNNING")
        event = (await changes.next())["data"]["taskChanged"]
        assert event == {"taskId": task_id, "isNew": False, "task": {"status": "RUNNING", "conversation": None}}
        await mutate(server, "reportTask", taskId=task_id, status="QUEUED")  # refused: no event
        await mutate(server, "linkTask", taskId=task_id, conversationId=conversation_id)
        linked = (await changes.next())["data"]["taskChanged"]
        assert linked["task"] == {"status": "RUNNING", "conversation": {"id": conversation_id}}


async def test_followers_of_a_log_see_its_lines_in_order_until_the_task_ends(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    topic = f"log:{parse_id('task', task_id)}"
    async with asyncio.timeout(20), server.subscribe(topic, LOG, id=task_id) as log:
        for n in range(3):
            await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": f"{n}a"}, {"text": f"{n}b"}])
        await mutate(server, "reportTask", taskId=task_id, status="COMPLETED")
        lines: list[dict[str, Any]] = []
        while len(lines) < 6:
            lines += (await log.next())["data"]["taskLog"]["lines"]
        with pytest.raises(EOFError):
            await log.next()
    texts = ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert lines == [{"seq": n, "text": text} for n, text in enumerate(texts, start=1)]
