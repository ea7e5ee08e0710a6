"""GraphQL over server-sent events: one request is one operation; the last id goes on where the stream was cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from local.token import LocalToken
from tests.api.mutate import mutate, new_task
from tests.client import Server
from tests.realtime.conftest import until
from tests.realtime.live import LOG, TASKS, following


class Stream:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.aiter_text()
        self._text = ""

    async def block(self) -> dict[str, str]:
        """The next event's fields; {"": …} for a comment."""
        async with asyncio.timeout(10):
            while "\n\n" not in self._text:
                try:
                    self._text += await anext(self._chunks)
                except StopAsyncIteration:
                    raise EOFError from None
        block, _, self._text = self._text.partition("\n\n")
        fields = (line.partition(":") for line in block.split("\n"))
        return {name: value.removeprefix(" ") for name, _, value in fields}

    async def next(self) -> dict[str, Any]:
        """The next event with its id and data; comments are passed over."""
        while "event" not in (fields := await self.block()):
            pass
        return {**fields, "data": json.loads(fields["data"]) if fields["data"] else None}


@asynccontextmanager
async def streaming(server: Server, document: str, last_id: str = "", **variables: Any) -> AsyncIterator[Stream]:
    headers = {**server.headers, "Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
    payload = {"query": document, "variables": variables}
    async with server.http.stream("POST", "/graphql", json=payload, headers=headers) as response:
        yield Stream(response)


async def test_a_stream_that_is_cut_goes_on_behind_its_last_id(server: Server) -> None:
    task_id = await new_task(server)
    async with streaming(server, TASKS) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert await stream.block() == {"": ""}
        start = await stream.next()
        assert start["data"]["data"]["taskChanged"]["__typename"] == "Checkpoint"
        await mutate(server, "reportTask", taskId=task_id, status="RUNNING")
        event = await stream.next()
        assert event["event"] == "next"
        assert event["data"]["data"]["taskChanged"]["cursor"] == event["id"]
    await until(lambda: server.hub.follower_count("tasks") == 0)
    await mutate(server, "reportTask", taskId=task_id, status="COMPLETED")
    # What the browser sends by itself goes before what the document still says.
    async with streaming(server, TASKS, last_id=event["id"], after=start["id"]) as stream:
        assert (await stream.next())["data"]["data"]["taskChanged"]["task"]["status"] == "COMPLETED"


async def test_a_log_completes(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    async with streaming(server, LOG, taskId=task_id) as stream:
        await stream.next()
        await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": "one\ntwo: \u2028 three"}])
        await mutate(server, "reportTask", taskId=task_id, status="COMPLETED")
        assert (await stream.next())["data"]["data"]["taskLog"]["lines"][0]["text"] == "one\ntwo: \u2028 three"
        assert await stream.next() == {"event": "complete", "data": None}
        with pytest.raises(EOFError):
            await stream.block()


async def test_queries_and_mutations_answer_once(server: Server) -> None:
    async with streaming(server, "{ health { status } }") as stream:
        assert (await stream.next())["data"] == {"data": {"health": {"status": "OK"}}}
        assert (await stream.next())["event"] == "complete"


@pytest.mark.parametrize(
    ("document", "variables", "last_id", "code"),
    [
        ("{ nope }", {}, "", "GRAPHQL_VALIDATION_FAILED"),
        ("{", {}, "", "GRAPHQL_PARSE_FAILED"),
        (TASKS, {"filter": 5}, "", "BAD_USER_INPUT"),
        (TASKS, {}, "nonsense", "INVALID_CURSOR"),
        (LOG, {"taskId": "task_" + "0" * 32}, "", "NOT_FOUND"),
    ],
)
async def test_what_cannot_run_is_told_in_the_stream(
    server: Server, document: str, variables: dict[str, Any], last_id: str, code: str
) -> None:
    async with streaming(server, document, last_id, **variables) as stream:
        assert (await stream.next())["data"]["errors"][0]["extensions"]["code"] == code
        assert (await stream.next())["event"] == "complete"


async def test_who_asks_and_what_is_no_operation_is_refused_by_status(server: Server) -> None:
    headers = {"Accept": "text/event-stream"}
    answer = await server.http.post("/graphql", json={"query": TASKS}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    answer = await server.http.post("/graphql", content=b"5", headers={**server.headers, **headers})
    assert answer.status_code in (400, 415)


async def test_a_new_token_closes_sockets_and_streams(server: Server) -> None:
    sessions = server.app.state.sessions
    async with following(server, TASKS) as socket, streaming(server, TASKS) as stream:
        await socket.next()
        await stream.next()
        assert len(sessions) == 2
        await sessions.check()
        assert len(sessions) == 2
        LocalToken(server.data_dir).renew()
        await sessions.check()
        async with asyncio.timeout(5):
            await socket.socket.wait_closed()
        assert (socket.socket.close_code, socket.socket.close_reason) == (
            4403,
            "Forbidden: the token is no longer valid",
        )
        with pytest.raises(EOFError):
            await stream.next()
    await until(lambda: len(sessions) == 0)


async def test_ready(server: Server) -> None:
    answer = await server.http.get("/ready")
    expected = {"status": "ready", "database": "up", "redis": "up", "migrations": "done", "fallbacks": {}}
    assert (answer.status_code, answer.json()) == (200, expected)
