"""How a command that runs in an event loop is told to end."""

from __future__ import annotations

import asyncio
import signal


def end_by_signal() -> None:
    """Have SIGTERM cancel the running task, as `asyncio.Runner` does by SIGINT.

    An exception that a signal raises between two instructions is lost where Python drops exceptions: in a callback of a
    weak reference, in a finalizer. The command would go on as if nobody had told it to end.
    """
    task = asyncio.current_task()
    assert task is not None, "called in a task"  # noqa: S101 - a mistake of ours only
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
