"""One Redis connection from a URL: options that fit every server from Redis 7.0, and failures in words.

Plain connections, not redis-py's client: its PubSub reconnects silently, and a gap must be seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from pubsub.errors import RedisUnavailable

CONNECT_TIMEOUT_S = 5.0  # a server in the same network answers in milliseconds; a dead address never does
ANSWER_TIMEOUT_S = 5.0

URL_FORMS = "redis://[user:password@]host:6379/0, rediss://… (TLS) or unix:///path/to/socket"


def new_connection(url: str) -> AbstractConnection:
    """A connection that is not yet open. Raises RedisUnavailable when the URL cannot be used.

    No retries of its own (the caller must learn of each gap), RESP2 (which Redis 7.0 and every fork speak alike, and
    which has no push messages), and neither CLIENT SETINFO (7.2) nor maintenance notifications.
    """
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError as error:
        raise RedisUnavailable(f"REDIS_URL is no Redis URL; it should look like {URL_FORMS}") from error
    options.update(
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
        decode_responses=False,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
    )
    connection_class: type[AbstractConnection] = options.pop("connection_class", Connection)
    try:
        return connection_class(**options)
    except (TypeError, ValueError, RedisError) as error:
        raise RedisUnavailable(
            f"REDIS_URL has an option that is not known or not valid ({error}); it should look like {URL_FORMS}"
        ) from error


async def call(connection: AbstractConnection, *words: str | bytes) -> Any:
    """One command's answer; connects first when needed."""
    await connection.send_command(*words)
    return await connection.read_response()


async def call_all(connection: AbstractConnection, commands: Sequence[Sequence[str | bytes]]) -> list[Any]:
    """The answers of several commands sent in one go; an answer may be a ResponseError."""
    await connection.send_packed_command(connection.pack_commands(commands))
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(await connection.read_response())
        except ResponseError as error:
            answers.append(error)
    return answers


async def check_server(url: str) -> str:
    """Connect, and see that a usable Redis or Valkey answers. Returns name and version. Raises RedisUnavailable."""
    connection = new_connection(url)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S + ANSWER_TIMEOUT_S):
            if await call(connection, "PING") != b"PONG":
                raise RedisUnavailable(_not_redis(url))
            return await _look_at_server(connection, url)
    except (RedisError, OSError) as error:
        raise explain(error, url) from error
    finally:
        await close(connection)


async def _look_at_server(connection: AbstractConnection, url: str) -> str:
    """Name and version, such as `Valkey 9.1.2`, as far as it tells them; refuses cluster mode."""
    try:
        answer = await call(connection, "INFO", "server")
    except ResponseError:
        return "Redis"  # an account that may not ask; subscribing will tell
    if not isinstance(answer, bytes):
        return "Redis"
    told = dict(line.split(":", 1) for line in answer.decode(errors="replace").splitlines() if ":" in line)
    if told.get("redis_mode") == "cluster":
        raise RedisUnavailable(
            f"the Redis at {describe(url)} runs in cluster mode, which is not supported yet (pub/sub would need another"
            " client); set REDIS_URL to a standalone server"
        )
    valkey = told.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {told.get('redis_version', '')}".strip()


async def close(connection: AbstractConnection) -> None:
    """Cut a connection without waiting for its last bytes."""
    try:
        await connection.disconnect(nowait=True)
    except (RedisError, OSError):
        return


def describe(url: str) -> str:
    """The URL without its password and options, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _not_redis(url: str) -> str:
    return f"what answers at {describe(url)} is no Redis; correct REDIS_URL"


def explain(error: BaseException, url: str) -> RedisUnavailable:
    """One line about why a Redis cannot be used, and what to do."""
    where = describe(url)
    if isinstance(error, RedisUnavailable):
        return error
    silent = isinstance(error, OSError | RedisTimeoutError)
    while isinstance(error.__cause__, RedisError | OSError):  # redis-py wraps what a new connection was refused with
        error = error.__cause__
        silent = silent or isinstance(error, OSError | RedisTimeoutError)
    text = str(error)
    if isinstance(error, NoPermissionError):
        said = "does not allow this account to use pub/sub; give it +ping +publish +subscribe and our channels"
    elif isinstance(error, AuthenticationError):
        wanted = "required" in text
        said = (
            "wants a password; put it into REDIS_URL" if wanted else "refused the user or password; correct REDIS_URL"
        )
    elif isinstance(error, BusyLoadingError):
        said = "is still loading its data; try again in a moment"
    elif isinstance(error, ResponseError):
        said = f"cannot be used ({text}); correct REDIS_URL"
    elif silent or "connecting to" in text:
        return RedisUnavailable(f"no Redis answers at {where}; start Redis or Valkey there, or correct REDIS_URL")
    else:
        return RedisUnavailable(_not_redis(url))
    return RedisUnavailable(f"the Redis at {where} {said}")
