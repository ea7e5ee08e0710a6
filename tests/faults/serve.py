"""An API process to be killed: ``python -m tests.faults.serve PORT DATA_DIR DATABASE_URL REDIS_URL PREFIX``.

While the file DATA_DIR/die exists it kills itself (-9) between the commit of a change and its publishing.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from app import open_service
from commands.serve import uvicorn_config
from pubsub.bus import Bus
from settings import Settings


class DyingBus(Bus):
    """Takes the whole process with it when it is told to."""

    die: Path

    async def publish(self, *told: Any, **more: Any) -> None:
        if self.die.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        await super().publish(*told, **more)


async def serve(port: int, settings: Settings, database_url: str, redis_url: str) -> None:
    DyingBus.die = settings.data_dir / "die"
    async with open_service(settings, database_url, redis_url, has_jobs=False) as app:
        app.state.bus.__class__ = DyingBus
        config = uvicorn_config(app)
        config.host, config.port = "127.0.0.1", port
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    number, data_dir, database, redis, prefix = sys.argv[1:]
    chosen = Settings(data_dir=Path(data_dir), redis_prefix=prefix)
    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(serve(int(number), chosen, database, redis))
