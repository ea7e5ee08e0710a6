"""One call is counted once: by its best row, for the task where it happened first."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from db.database import WriteTransaction
from domain.prices import PRICE_VERSION
from domain.records import Ref, Tokens
from domain.usage import apply_usage, lock_usage, plan_usage, write_usage
from domain.usage_calls import lock_numbers, told_row
from tests.usage.conftest import T0, Fleet, add_deltas, entry


async def test_a_call_is_stored_priced_and_counted_for_its_task(fleet: Fleet) -> None:
    task = await fleet.task()
    told = entry(message_id="m", request_id="r", raw={"speed": "standard"}, location="a.jsonl:1")
    told.task = Ref("origin", "t")
    outcome = await fleet.tell(told, tasks={("origin", "t"): task})
    assert (outcome.new_calls, outcome.duplicate_calls) == (1, 0)
    assert outcome.deltas[task].cost_usd == Decimal("0.00075")
    [row] = await fleet.fetch("SELECT * FROM usage_records")
    assert (row["cost_usd"], row["cost_source"], row["price_version"]) == (
        Decimal("0.000750000"),
        "COMPUTED",
        PRICE_VERSION,
    )
    assert (row["task_id"], row["at"], row["message_id"], row["request_id"]) == (task, T0, "m", "r")
    [seen] = await fleet.fetch("SELECT location, usage_record_id FROM usage_evidence")
    assert tuple(seen) == ("a.jsonl:1", row["id"])
    await fleet.check_totals()


async def test_the_larger_row_counts_whichever_comes_first(fleet: Fleet) -> None:
    small, large = entry(0, output=1, message_id="m"), entry(1, output=50, message_id="m")
    for first, second in ((small, large), (large, small)):
        await fleet.clear()
        await fleet.tell(first)
        outcome = await fleet.tell(second)
        assert (outcome.new_calls, outcome.duplicate_calls) == (0, 1)
        assert await fleet.counted() == (100, 0, 0, 0, 50, 0, 1)
        assert len(await fleet.fetch("SELECT FROM usage_evidence")) == 2


async def test_the_same_rows_again_change_nothing(fleet: Fleet) -> None:
    task = await fleet.task()
    rows = [
        entry(0, output=1, message_id="m", task=task),
        entry(1, output=50, message_id="m", request_id="r", task=task),
        entry(2, session_id="s", task=task),
        entry(3, task=task),
        entry(4, dedup_key="d", task=task, reported_cost_usd=Decimal("1.5")),
    ]
    assert (await fleet.tell(*rows)).new_calls == 4
    tables = ("usage_records", "usage_identities", "usage_evidence", "tasks")
    before = [await fleet.fetch(f"SELECT * FROM {table} ORDER BY 1") for table in tables]
    for batch in (rows, rows[1:2], [*rows, *rows]):
        outcome = await fleet.tell(*batch)
        assert (outcome.new_calls, outcome.duplicate_calls, outcome.deltas) == (0, len(batch), {})
    assert [await fleet.fetch(f"SELECT * FROM {table} ORDER BY 1") for table in tables] == before


async def test_rows_that_share_a_request_under_other_message_ids_are_one_call(fleet: Fleet) -> None:
    await fleet.tell(*(entry(n, output=n, message_id=f"m{n}", request_id="r") for n in range(5)))
    assert await fleet.counted() == (100, 0, 0, 0, 4, 0, 1)
    await fleet.tell(entry(9, output=9, message_id="m2", request_id="r2"))
    await fleet.tell(entry(9, output=2, request_id="r2"))
    assert await fleet.counted() == (100, 0, 0, 0, 9, 0, 1)


async def test_two_stored_calls_that_turn_out_to_be_one_are_merged(fleet: Fleet) -> None:
    first, second = await fleet.task(), await fleet.task()
    await fleet.tell(entry(0, output=5, message_id="m", task=first))
    await fleet.tell(entry(1, output=7, request_id="r", task=second))
    assert (await fleet.counted())[-1] == 2
    outcome = await fleet.tell(entry(2, output=6, message_id="m", request_id="r", task=second))
    assert await fleet.counted() == (100, 0, 0, 0, 7, 0, 1)
    assert (outcome.deltas[first].tokens.output, outcome.deltas[first].call_count) == (2, 0)
    assert (outcome.deltas[second].tokens.output, outcome.deltas[second].call_count) == (-7, -1)
    assert outcome.new_calls == 0
    await fleet.check_totals()
    [record] = await fleet.fetch("SELECT id, request_id FROM usage_records")
    assert record["request_id"] == "r"
    for table in ("usage_identities", "usage_evidence"):
        rows = await fleet.fetch(f"SELECT DISTINCT usage_record_id FROM {table}")
        assert [row[0] for row in rows] == [record["id"]]


async def test_no_sidechain_wins_over_a_larger_sidechain_row(fleet: Fleet) -> None:
    main, side = await fleet.task(), await fleet.task()
    rows = [
        entry(0, output=90, message_id="m", is_sidechain=True, task=side),
        entry(5, output=10, message_id="m", task=main),
    ]
    for order in (rows, rows[::-1]):
        await fleet.clear()
        main, side = await fleet.task(), await fleet.task()
        tasks = {True: side, False: main}
        for row in order:
            await fleet.tell(replace(row, task=Ref(id=tasks[row.is_sidechain])))
        assert (await fleet.counted())[4] == 10
        assert await fleet.fetch("SELECT task_id FROM usage_records") == [(main,)]
        await fleet.check_totals()


async def test_a_call_belongs_to_the_task_of_its_earliest_row(fleet: Fleet) -> None:
    old, new = await fleet.task(), await fleet.task()
    rows = [entry(0, output=1, message_id="m", task=old), entry(3, output=9, message_id="m", task=new)]
    await fleet.tell(rows[1])
    outcome = await fleet.tell(rows[0])
    assert outcome.deltas[new].call_count == -1
    assert outcome.deltas[old].tokens == Tokens(input=100, output=9)
    assert await fleet.fetch("SELECT task_id, output_tokens FROM usage_records") == [(old, 9)]
    await fleet.check_totals()


async def test_of_copies_with_one_time_the_first_stored_keeps_the_call(fleet: Fleet) -> None:
    original, fork = await fleet.task(), await fleet.task()
    await fleet.tell(entry(message_id="m", session_id="original", task=original))
    outcome = await fleet.tell(entry(message_id="m", session_id="fork", task=fork))
    assert outcome.deltas == {}
    assert await fleet.fetch("SELECT task_id FROM usage_records") == [(original,)]


async def test_a_call_without_a_task_takes_the_first_one_that_is_told(fleet: Fleet) -> None:
    task = await fleet.task()
    await fleet.tell(entry(0, message_id="m", source="OTLP"))
    outcome = await fleet.tell(entry(1, message_id="m", task=task))
    assert outcome.deltas[task].call_count == 1
    await fleet.check_totals()


async def test_of_equal_rows_the_better_source_counts(fleet: Fleet) -> None:
    sources = ["OTHER", "API", "OTLP", "ENGINE", "CLAUDE_CODE"]
    for n, source in enumerate(sources):
        await fleet.tell(entry(n, message_id="m", source=source))
        assert await fleet.fetch("SELECT source FROM usage_records") == [(source,)]


async def test_rows_without_ids_are_one_call_within_two_seconds(fleet: Fleet) -> None:
    await fleet.tell(entry(0, session_id="s"), entry(1.9, session_id="s"))
    await fleet.tell(entry(3.9, session_id="s"))
    assert (await fleet.counted())[-1] == 1
    await fleet.tell(entry(5.901, session_id="s"))
    assert (await fleet.counted())[-1] == 2
    await fleet.tell(
        entry(0, session_id="other"), entry(0, session_id="s", output=11), entry(0, session_id="s", model="x")
    )
    assert (await fleet.counted())[-1] == 5


async def test_rows_without_ids_and_session_are_only_like_themselves(fleet: Fleet) -> None:
    await fleet.tell(entry(0), entry(0.5))
    await fleet.tell(entry(0), entry(0.5))
    assert (await fleet.counted())[-1] == 2


async def test_telemetry_without_ids_is_evidence_of_the_transcript_s_call(fleet: Fleet) -> None:
    tokens = Tokens(input=3, cache_read=7, cache_write_5m=10, cache_write_1h=90, output=40, reasoning=12)
    flat = Tokens(input=3, cache_read=7, cache_write_5m=100, output=40)  # telemetry tells no tiers
    streamed = [
        entry(0, tokens=replace(tokens, output=2), message_id="m", session_id="s"),
        entry(8, tokens=tokens, message_id="m", session_id="s"),
        entry(11, tokens=tokens, message_id="m", session_id="s"),
    ]
    event = entry(12.5, tokens=flat, session_id="s", source="OTLP", reported_cost_usd=Decimal("0.01"))
    for batches in (([*streamed], [event]), ([event], [*streamed]), ([event, *streamed],)):
        await fleet.clear()
        for batch in batches:
            await fleet.tell(*batch)
        assert await fleet.counted() == (3, 7, 10, 90, 40, 12, 1)
        assert await fleet.fetch("SELECT source, reported_cost_usd FROM usage_records") == [("CLAUDE_CODE", None)]
        assert len(await fleet.fetch("SELECT FROM usage_evidence")) == 4


async def test_a_row_without_ids_never_joins_two_calls_that_have_ids(fleet: Fleet) -> None:
    twins = [entry(0, message_id="a", session_id="s"), entry(1, message_id="b", session_id="s")]
    event = entry(0.9, session_id="s", source="OTLP")
    for batches in ((twins, [event]), ([event], twins), ([twins[0]], [event], [twins[1]]), ([event, *twins],)):
        await fleet.clear()
        for batch in batches:
            await fleet.tell(*batch)
        assert (await fleet.counted())[-1] == 2


async def test_reported_and_computed_cost_are_both_kept(fleet: Fleet) -> None:
    task = await fleet.task()
    await fleet.tell(
        entry(0, message_id="a", reported_cost_usd=Decimal("0.25"), task=task),
        entry(1, message_id="b", model="in-house-1", task=task),
        entry(2, message_id="c", model="in-house-1", reported_cost_usd=Decimal("0.1234567894999"), task=task),
    )
    rows = await fleet.fetch(
        "SELECT cost_usd, reported_cost_usd, computed_cost_usd, cost_source, price_version"
        " FROM usage_records ORDER BY at"
    )
    computed, reported = Decimal("0.000750000"), Decimal("0.123456789")
    assert [tuple(row) for row in rows] == [
        (Decimal("0.25"), Decimal("0.25"), computed, "REPORTED", PRICE_VERSION),
        (None, None, None, "UNPRICED", None),
        (reported, reported, None, "REPORTED", None),
    ]
    [totals] = await fleet.fetch("SELECT call_count, cost_usd, unpriced_call_count FROM tasks")
    assert tuple(totals) == (3, Decimal("0.373456789"), 1)


async def test_fast_mode_is_priced_as_such(fleet: Fleet) -> None:
    await fleet.tell(entry(0, message_id="a", model="claude-opus-4-8", raw={"speed": "fast"}))
    assert await fleet.cost() == Decimal("0.0015")


async def test_times_are_kept_and_compared_in_milliseconds(fleet: Fleet) -> None:
    told = entry(0, message_id="m")
    told.at += timedelta(microseconds=1_999)
    await fleet.tell(told)
    told.at -= timedelta(microseconds=900)
    assert (await fleet.tell(told)).duplicate_calls == 1
    assert len(await fleet.fetch("SELECT FROM usage_evidence")) == 1


async def test_a_plan_names_the_tasks_that_it_will_change_and_writes_nothing(fleet: Fleet) -> None:
    old, new, other = await fleet.task(), await fleet.task(), await fleet.task()
    await fleet.tell(entry(3, message_id="m", task=new))
    rows = [entry(0, message_id="m", task=old), entry(4, message_id="m", task=other)]
    async with fleet.database.write() as transaction:
        await lock_usage(transaction, rows)
        plan = await plan_usage(transaction, rows, task_ids={}, host_ids={}, project_ids={}, now=fleet.now())
        assert plan.touched_task_ids == sorted([old, new])
        assert await fleet.fetch("SELECT task_id FROM usage_records") == [(new,)]
        await write_usage(transaction, plan)
        await add_deltas(transaction, plan.outcome.deltas)
    await fleet.check_totals()


async def test_nothing_told_is_nothing_done(fleet: Fleet) -> None:
    async with fleet.database.write() as transaction:
        await lock_usage(transaction, [])
        outcome = await apply_usage(transaction, [], task_ids={}, host_ids={}, project_ids={}, now=T0)
    assert (outcome.new_calls, outcome.duplicate_calls, outcome.deltas) == (0, 0, {})


async def test_the_number_of_statements_does_not_grow_with_the_batch(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    fetch = WriteTransaction.fetch
    sent = 0

    async def counting(self: WriteTransaction, *arguments: object) -> object:
        nonlocal sent
        sent += 1
        return await fetch(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(WriteTransaction, "fetch", counting)
    for size in (1, 1000):
        await fleet.clear()
        await fleet.tell(*(entry(n, message_id=f"m{n}", session_id="s") for n in range(size)))
        sent = 0
        await fleet.tell(
            *(entry(n, output=20, message_id=f"m{n}", request_id=f"r{n}", session_id="s") for n in range(size)),
            *(entry(n, message_id=f"n{n}", session_id="s") for n in range(size)),
        )
        counts.append(sent)
    assert counts[0] == counts[1] <= 10


async def test_writers_of_the_same_calls_at_the_same_time_count_them_once(fleet: Fleet) -> None:
    task = await fleet.task()
    rows = [entry(n, output=n % 7, message_id=f"m{n // 2}", request_id=f"r{n // 3}", task=task) for n in range(200)]
    halves = [rows[::2], rows[1::2], rows, rows[::-1]]
    outcomes = await asyncio.gather(*(fleet.tell(*half) for half in halves))
    together = await fleet.counted()
    assert sum(outcome.new_calls for outcome in outcomes) >= together[-1]
    assert len(await fleet.fetch("SELECT FROM usage_evidence")) == 200
    await fleet.check_totals()
    await fleet.clear()
    await fleet.task()
    await fleet.tell(*(replace(row, task=None) for row in rows))
    assert await fleet.counted() == together


async def test_a_writer_waits_for_another_that_has_not_committed(fleet: Fleet) -> None:
    rows = [entry(0, message_id="m", request_id="r")]
    later: list[UUID] = []

    async def second() -> None:
        outcome = await fleet.tell(entry(1, output=99, request_id="r"))
        later.extend(outcome.deltas)
        assert outcome.new_calls == 0

    async with fleet.database.write() as transaction:
        await apply_usage(transaction, rows, task_ids={}, host_ids={}, project_ids={}, now=fleet.now())
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.1)
        assert not waiting.done()
    await waiting
    assert await fleet.counted() == (100, 0, 0, 0, 99, 0, 1)


async def test_a_call_that_another_writer_merged_away_meanwhile_is_found_again(fleet: Fleet) -> None:
    await fleet.tell(entry(0, message_id="m0"))
    await fleet.tell(entry(1, message_id="m1", request_id="r"))
    joining, late = entry(2, message_id="m0", request_id="r"), entry(3, output=77, message_id="m1")
    # They take other locks: only the record's own lock makes the writers meet.
    assert not set(lock_numbers([told_row(0, joining)])) & set(lock_numbers([told_row(0, late)]))
    async with fleet.database.write() as transaction:
        await apply_usage(transaction, [joining], task_ids={}, host_ids={}, project_ids={}, now=fleet.now())
        waiting = asyncio.create_task(fleet.tell(late))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert (await waiting).new_calls == 0
    assert await fleet.counted() == (100, 0, 0, 0, 77, 0, 1)
