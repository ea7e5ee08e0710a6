"""Runs the service as `fleetgraph serve` does, in this process, on a free port of loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import uvicorn

from app import open_service
from commands.serve import uvicorn_config
from local.token import LocalToken
from pubsub.hub import DEFAULT_PACE, Pace
from settings import Settings, now
from tests.client import Server


@asynccontextmanager
async def listening(app: Any, **chosen: Any) -> AsyncIterator[int]:
    """An ASGI application behind uvicorn, as the command runs it but for what is `chosen`; yields its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn_config(app)
        for name, value in chosen.items():
            setattr(config, name, value)
        running = uvicorn.Server(config)
        # serve() would take the signals of pytest. It listens already: nobody has to wait.
        task = asyncio.create_task(running._serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            running.should_exit = True
            await task


@asynccontextmanager
async def serving(
    settings: Settings,
    database_url: str,
    redis_url: str,
    *,
    clock: Callable[[], datetime] = now,
    has_jobs: bool = False,
    pace: Pace = DEFAULT_PACE,
) -> AsyncIterator[Server]:
    """The service over stores that run; the database must be migrated. Its sweeper changes tasks behind a test."""
    async with (
        open_service(settings, database_url, redis_url, clock=clock, has_jobs=has_jobs, pace=pace) as app,
        listening(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
    ):
        token = LocalToken(settings.data_dir).read()
        yield Server(port, token, http, app.state.database, app.state.bus, app.state.hub, app, settings.data_dir)
