"""A limit of time for work that is short and frequent: one timer for all, where asyncio.timeout takes one each."""

from __future__ import annotations

import asyncio
from types import TracebackType

STEPS = 10  # looks in the time allowed: what is over it is stopped at most a tenth later


class Deadlines:
    """``with deadlines: await work()`` raises TimeoutError when it takes over `seconds`; in any number of tasks."""

    __slots__ = ("_due", "_over", "_seconds", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[asyncio.Task[object], tuple[float, int]] = {}  # with the cancellations that others asked for
        self._over: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None or task in self._due:
            raise RuntimeError("a task has one deadline at a time")
        loop = asyncio.get_running_loop()
        self._due[task] = loop.time() + self._seconds, task.cancelling()
        if self._timer is None:
            self._timer = loop.call_later(self._seconds / STEPS, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        _, cancelling = self._due.pop(task)
        if task in self._over:
            self._over.discard(task)
            if task.uncancel() <= cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, (due, _) in self._due.items():
            if due <= now and task not in self._over:
                self._over.add(task)
                task.cancel()
        self._timer = loop.call_later(self._seconds / STEPS, self._look) if self._due else None
