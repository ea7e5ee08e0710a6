"""Sums over parents and over ranges of time, against sums made here."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from db.queries import usage
from db.queries.tasks import ALL_TASKS, TaskSelection
from loaders.usage import totals_by_conversation
from tests.usage.conftest import T0, Fleet, entry

HOUR = timedelta(hours=1)


async def test_the_sums_of_conversations_are_those_of_their_tasks(fleet: Fleet) -> None:
    first, second, empty = [await fleet.conversation() for _ in range(3)]
    for n, conversation in enumerate((first, first, second)):
        task = await fleet.task(conversation_id=conversation)
        await fleet.tell(
            entry(n, message_id=f"m{n}", output=10**n, task=task),
            entry(n, message_id=f"u{n}", output=0, model="in-house-1", task=task),
        )
    read = fleet.database.read
    before = read.statement_count
    missing = UUID(int=7)
    answers = await totals_by_conversation(read, [empty, second, first, missing, second], None)
    totals = [row for row in answers if row is not None]
    assert read.statement_count == before + 1
    assert [row.output_tokens for row in totals] == [0, 100, 11, 0, 100]
    assert [row.call_count for row in totals] == [0, 2, 4, 0, 2]
    assert [row.unpriced_call_count for row in totals] == [0, 1, 2, 0, 1]
    assert [row.cost_usd for row in totals] == pytest.approx([0, 0.003, 0.001275, 0, 0.003])


async def test_a_circle_of_parents_ends(fleet: Fleet) -> None:
    first = await fleet.task()
    second = await fleet.task(parent_task_id=first)
    await fleet.fetch("UPDATE tasks SET parent_task_id = $1 WHERE id = $2", second, first)
    await fleet.tell(entry(0, message_id="m", task=first), entry(1, message_id="n", task=second))
    rows = await usage.totals_with_descendants(fleet.database.read, [first, second])
    assert [row.call_count for row in rows] == [2, 2]


async def test_a_summary_counts_calls_by_their_own_time(fleet: Fleet) -> None:
    early, late = await fleet.task(T0 - HOUR), await fleet.task(T0, model="opus")
    await fleet.tell(
        *(entry(60 * n, message_id=f"m{n}", output=n, task=early if n % 2 else late) for n in range(10)),
        entry(61, message_id="alone", output=1000),
        entry(62, message_id="unpriced", output=5, model="in-house-1", task=late),
    )

    async def counted(start: float, end: float, selection: TaskSelection = ALL_TASKS) -> tuple[int, int, int, float]:
        low, high = T0 + timedelta(seconds=start), T0 + timedelta(seconds=end)
        row = await usage.summary_usage(fleet.database.read, low, high, selection)
        return row.call_count, row.output_tokens, row.unpriced_call_count, row.cost_usd

    assert (await counted(0, 3600))[:3] == (12, 45 + 1000 + 5, 1)
    assert (await counted(0, 3600))[3] == float(await fleet.cost())
    assert (await counted(60, 120))[:3] == (3, 1 + 1000 + 5, 1)  # the end is not part of it
    assert (await counted(0, 3600, TaskSelection(model=("opus",))))[:3] == (6, 20 + 5, 1)
    assert await counted(0, 3600, TaskSelection(model=())) == (0, 0, 0, 0.0)
    assert await counted(7200, 7300) == (0, 0, 0, 0.0)


async def test_a_summary_counts_tasks_by_their_creation(fleet: Fleet) -> None:
    statuses = ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "CANCELLED", "RUNNING"]
    for n, status in enumerate(statuses):
        task = await fleet.task(T0 + n * HOUR, status, seconds=n + 1 if n < 4 else None)
        await fleet.tell(entry(n * 3600, message_id=f"m{n}", reported_cost_usd=Decimal(n), task=task))
    read = fleet.database.read
    all_of_them = await usage.summary_tasks(read, T0, T0 + 6 * HOUR, ALL_TASKS)
    assert tuple(all_of_them) == (6, 5, 1, 0.75, 2500.0, 2.5)
    assert tuple(await usage.summary_tasks(read, T0 + HOUR, T0 + 3 * HOUR, ALL_TASKS)) == (2, 2, 0, 1.0, 2500.0, 1.5)
    failed = TaskSelection(status=("FAILED",))
    assert tuple(await usage.summary_tasks(read, T0, T0 + 6 * HOUR, failed)) == (1, 1, 1, 0.0, 4000.0, 3.0)
    assert tuple(await usage.summary_tasks(read, T0 + 4 * HOUR, T0 + 6 * HOUR, ALL_TASKS))[3:] == (None, None, 4.5)
    assert tuple(await usage.summary_tasks(read, T0 - HOUR, T0, ALL_TASKS)) == (0, 0, 0, None, None, None)
