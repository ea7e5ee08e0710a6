"""The limit: for each question one hand-written SQL statement that returns the JSON, and nothing around it.

Bare ASGI on uvicorn and asyncpg: no GraphQL, no schema, no token, no limits. What a server in Python could reach.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
import uvloop

from commands.serve import uvicorn_config
from db.database import connect_arguments

POOL_SIZE = 10

_FIELDS = """t.id, t.revision, t.status, t.title, t.source, t.model, t.created_at AS "createdAt",
    t.started_at AS "startedAt", t.ended_at AS "endedAt", t.cost_usd::float8 AS "costUsd",
    t.input_tokens AS "inputTokens", t.output_tokens AS "outputTokens" """
# The page in an inner query: what stands beside LIMIT is evaluated for rows too many.
_PAGE = "(SELECT * FROM tasks WHERE status = $1 ORDER BY created_at DESC, id DESC LIMIT 50) t"

STATEMENTS = {
    "q1": f"""
        SELECT json_build_object('data', json_build_object('task', (SELECT row_to_json(x) FROM (
            SELECT {_FIELDS}, json_build_object('id', a.id, 'name', a.name, 'status', a.status) AS agent
            FROM tasks t LEFT JOIN agents a ON a.id = t.agent_id WHERE t.id = $1) x)))::text""",  # noqa: S608
    "q2": f"""
        SELECT json_build_object('data', json_build_object('tasks', coalesce((SELECT json_agg(row_to_json(x)) FROM (
            SELECT {_FIELDS}, json_build_object('name', a.name) AS agent,
                   CASE WHEN c.id IS NOT NULL THEN json_build_object('title', c.title) END AS conversation
            FROM {_PAGE} LEFT JOIN agents a ON a.id = t.agent_id LEFT JOIN conversations c ON c.id = t.conversation_id
            ORDER BY t.created_at DESC, t.id DESC) x), '[]')))::text""",  # noqa: S608
    "q3": f"""
        SELECT json_build_object('data', json_build_object('tasks', coalesce((SELECT json_agg(row_to_json(x)) FROM (
            SELECT t.id, t.title, t.status, (
                SELECT coalesce(json_agg(row_to_json(l)), '[]') FROM (
                    SELECT seq, at, stream, text FROM log_lines WHERE task_id = t.id ORDER BY seq LIMIT 10) l) AS logs
            FROM {_PAGE} ORDER BY t.created_at DESC, t.id DESC) x), '[]')))::text""",  # noqa: S608
}


async def _no_reset(_connection: Any) -> None:
    """The service's own pool does not send RESET either."""


class Application:
    """The ASGI application."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        request = orjson.loads(body)
        variables = request["variables"]
        value = UUID(variables["id"]) if "id" in variables else variables["status"]
        async with self._pool.acquire() as connection:
            answer = (await connection.fetchval(STATEMENTS[request["query"]], value)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def open_pool(url: str, size: int = POOL_SIZE) -> asyncpg.Pool[Any]:
    """Connections as the service has them."""
    settings = {"jit": "off", "timezone": "UTC"}
    return await asyncpg.create_pool(
        min_size=size, max_size=size, reset=_no_reset, server_settings=settings, **connect_arguments(url)
    )


async def _serve(listener: socket.socket) -> None:
    pool = await open_pool(os.environ["DATABASE_URL"])
    server = uvicorn.Server(uvicorn_config(Application(pool)))
    gc.collect()
    gc.freeze()
    await server.serve(sockets=[listener])


def main() -> None:
    """Serve on PORT."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", int(os.environ["PORT"])))
    listener.listen(2048)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(listener))


if __name__ == "__main__":
    main()
