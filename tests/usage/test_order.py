"""What is counted does not depend on the order in which rows arrive, nor on how they are cut into batches."""

import itertools
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.prices import cost
from domain.records import Ref, UsageEntry
from tests.usage.conftest import Fleet, entry

TASKS = 3


@st.composite
def rows(draw: st.DrawFn) -> UsageEntry:
    """A row of few possible ids, times and counts, so that rows often are one call.

    A time decides the task, since of equal times the first stored row does. Sidechain rows are in a session of their
    own: a row without ids that is no sidechain could win over a larger sidechain row, or over another that it equals.
    """
    at = draw(st.integers(0, 80)) / 4
    told: dict[str, Any] = {
        "message_id": draw(st.none() | st.sampled_from(["m1", "m2", "m3", "m4", "m5"])),
        "request_id": draw(st.none() | st.sampled_from(["r1", "r2", "r3", "r4", "r5"])),
        "dedup_key": draw(st.none() | st.none() | st.sampled_from(["d1", "d2"])),
    }
    has_keys = any(told.values())
    is_sidechain = has_keys and draw(st.booleans())
    row = entry(
        at,
        output=draw(st.integers(0, 3)),
        source=draw(st.sampled_from(["CLAUDE_CODE", "ENGINE", "OTLP", "API"])),
        session_id="side" if is_sidechain else draw(st.sampled_from(["s", None])),
        is_sidechain=is_sidechain,
        **told,
    )
    if has_keys:
        row.task = Ref("test", str(int(at * 4) % TASKS))
    return row


def keys(row: UsageEntry) -> set[tuple[str, str | None]]:
    return {(kind, value) for kind in ("message_id", "request_id", "dedup_key") if (value := getattr(row, kind))}


def alike(left: UsageEntry, right: UsageEntry) -> bool:
    if left.session_id is None or right.session_id is None:
        return left == right
    return (left.session_id, left.model, left.tokens) == (right.session_id, right.model, right.tokens) and abs(
        (left.at - right.at).total_seconds()
    ) <= 2


def joined(told: list[UsageEntry], same: Any) -> list[list[UsageEntry]]:
    calls: list[list[UsageEntry]] = []
    for row in told:
        found = [call for call in calls if any(same(row, other) for other in call)]
        calls = [call for call in calls if call not in found] + [[row, *itertools.chain.from_iterable(found)]]
    return calls


def recount(told: list[UsageEntry]) -> tuple[int, int, Decimal]:
    """Output tokens, calls and dollars by the rules told again: all rows at once, compared in pairs."""
    calls = joined([row for row in told if keys(row)], lambda left, right: keys(left) & keys(right))
    named = [row for call in calls for row in call]
    for cluster in joined([row for row in told if not keys(row)], alike):
        if not any(alike(row, other) for row in cluster for other in named if other.session_id):
            calls.append(cluster)
    output, dollars = 0, Decimal(0)
    for call in calls:
        best = max([row for row in call if not row.is_sidechain] or call, key=lambda row: row.tokens.total)
        output += best.tokens.output
        dollars += cost(best.model, best.provider, best.tokens, best.at).usd or 0
    return output, len(calls), dollars


def cut(told: list[UsageEntry], places: list[int]) -> list[list[UsageEntry]]:
    edges = [0, *sorted(place % (len(told) + 1) for place in places), len(told)]
    return [told[low:high] for low, high in itertools.pairwise(edges)]


async def count(fleet: Fleet, batches: list[list[UsageEntry]]) -> list[Any]:
    """Tell batches to an empty store. Returns what each task was charged, and what all records sum up to."""
    await fleet.clear()
    tasks = {("test", str(n)): await fleet.task() for n in range(TASKS)}
    for batch in batches:
        await fleet.tell(*batch, tasks=tasks)
    await fleet.check_totals()
    charged = [
        await fleet.fetch("SELECT call_count, output_tokens, cost_usd FROM tasks WHERE id = $1", task)
        for task in tasks.values()
    ]
    *_, output, _, calls = await fleet.counted()
    return [charged, (output, calls, await fleet.cost())]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(rows(), max_size=14),
    shuffles=st.lists(
        st.tuples(st.randoms(use_true_random=False), st.lists(st.integers(0, 50), max_size=4)), max_size=3
    ),
)
async def test_order_and_batches_do_not_matter(fleet: Fleet, told: list[UsageEntry], shuffles: list[Any]) -> None:
    first = await count(fleet, [told])
    assert first[1] == recount(told)
    for random, places in shuffles:
        again = [replace(row) for row in told]
        random.shuffle(again)
        assert await count(fleet, cut(again, places)) == first


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(rows(), max_size=12), places=st.lists(st.integers(0, 50), max_size=3))
async def test_telling_twice_changes_nothing(fleet: Fleet, told: list[UsageEntry], places: list[int]) -> None:
    batches = cut(told, places)
    assert await count(fleet, batches) == await count(fleet, [*batches, *batches, told])
