"""One thread for the work of large documents: the event loop stays free for everybody else.

One alone: Python runs one thread at a time, so a second would only take more from the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Aside:
    """Runs functions beside the event loop, one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "documents")

    async def run(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """What the function returns or raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*arguments, **named))
