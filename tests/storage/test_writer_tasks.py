"""Tasks: how records join what is stored, which steps are refused, and who is whose parent."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db.database import Database
from domain.errors import InvalidInput, InvalidTransition, NotFound
from domain.ids import show_id
from domain.records import Batch, Ref
from tests.conftest import Fetch
from tests.storage.build import ORIGIN, START, at, conversation, message, ref, task, usage, write


async def _stored(fetch: Fetch, name: str) -> asyncpg.Record:
    (row,) = await fetch("SELECT * FROM tasks WHERE external_id = $1", name)
    return row


async def test_none_never_erases_and_times_keep_their_ends(database: Database, fetch: Fetch) -> None:
    told = {"title": "Title", "result": "done", "model": "m", "git_branch": "b", "session_id": "s", "host": "laptop"}
    await write(database, Batch(tasks=[task("t", seconds=5, status="RUNNING", started_at=at(2), **told)]))
    before = await _stored(fetch, "t")
    silent = task("t", seconds=3, created_at=at(1), started_at=at(3))
    _, events = await write(database, Batch(tasks=[silent]))
    assert events == []
    assert await _stored(fetch, "t") == before
    await write(database, Batch(tasks=[task("t", seconds=9, created_at=at(-5), started_at=at(1), title="New")]))
    after = await _stored(fetch, "t")
    assert (after["created_at"], after["started_at"], after["updated_at"]) == (at(-5), at(1), at(9))
    assert (after["title"], after["result"], after["revision"]) == ("New", "done", 2)
    assert after["id"] == before["id"]


async def test_an_event_tells_before_and_after(database: Database) -> None:
    await write(database, Batch(tasks=[task("t", status="QUEUED", model="a")]))
    _, (event,) = await write(database, Batch(tasks=[task("t", seconds=1, status="RUNNING", model="b")]))
    assert (event.topic, event.kind, event.facts["revision"]) == ("tasks", "TaskChanged", 2)
    changed = {name for name, value in event.facts["before"].items() if event.facts["after"][name] != value}
    assert changed == {"status", "model"}
    assert (event.facts["before"]["status"], event.facts["after"]["status"]) == ("QUEUED", "RUNNING")


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"status": "FAILED"}, "FAILED"),
        ({"source_status": "in_progress"}, "RUNNING"),
        ({"source_status": "sideways", "started_at": at(1)}, "RUNNING"),
        ({"ended_at": at(1)}, "COMPLETED"),
        ({}, "QUEUED"),
    ],
)
async def test_a_first_sight_has_any_status(
    database: Database, fetch: Fetch, told: dict[str, Any], status: str
) -> None:
    await write(database, Batch(tasks=[task("t", seconds=7, **told)]))
    row = await _stored(fetch, "t")
    assert row["status"] == status
    assert row["source_status"] == told.get("source_status")
    assert (row["ended_at"] is None) == (status in {"QUEUED", "RUNNING"})


async def test_steps_of_one_batch_are_walked_in_order(database: Database, fetch: Fetch) -> None:
    steps = [task("t", seconds=n, status=word) for n, word in enumerate(("QUEUED", "RUNNING", "COMPLETED"))]
    applied, events = await write(database, Batch(tasks=steps))
    assert applied.refused_transitions == []
    assert len(events) == 1
    row = await _stored(fetch, "t")
    assert (row["status"], row["revision"], row["started_at"], row["ended_at"]) == ("COMPLETED", 1, at(1), at(2))
    again, events = await write(database, Batch(tasks=steps))
    assert (again.refused_transitions, events) == ([], [])
    assert await _stored(fetch, "t") == row


async def test_an_importer_may_skip_steps_that_are_allowed_one_by_one(database: Database, fetch: Fetch) -> None:
    await write(database, Batch(tasks=[task("t", status="QUEUED")]))
    skip = Batch(tasks=[task("t", seconds=2, status="COMPLETED")])
    with pytest.raises(InvalidTransition, match="QUEUED, which cannot become COMPLETED"):
        await write(database, skip, strict=True)
    applied, _ = await write(database, skip)
    assert applied.changed_tasks == 1
    assert (await _stored(fetch, "t"))["status"] == "COMPLETED"


async def test_a_refused_step_leaves_status_and_outcome_and_is_listed(database: Database, fetch: Fetch) -> None:
    await write(database, Batch(tasks=[task("t", status="COMPLETED", ended_at=at(1), result="fine")]))
    late = task("t", seconds=5, status="FAILED", error_type="E", error_message="no", ended_at=at(5), title="Told late")
    applied, _ = await write(database, Batch(tasks=[late]))
    assert applied.refused_transitions == [("t", "COMPLETED", "FAILED")]
    row = await _stored(fetch, "t")
    assert (row["status"], row["ended_at"], row["result"]) == ("COMPLETED", at(1), "fine")
    assert (row["error_type"], row["error_message"], row["title"]) == (None, None, "Told late")


async def test_a_strict_caller_is_told_and_nothing_changes(database: Database, fetch: Fetch) -> None:
    applied, _ = await write(database, Batch(tasks=[task("t", status="CANCELLED")]))
    before = await _stored(fetch, "t")
    refused = Batch(tasks=[task("t", seconds=1, status="RUNNING", title="x")], usage=[usage("t", "u")])
    with pytest.raises(InvalidTransition, match=r"^The task is CANCELLED, which is final\.$") as caught:
        await write(database, refused, strict=True)
    assert caught.value.task_id == applied.task_ids[ORIGIN, "t"]
    await write(database, Batch(tasks=[task("q", status="RUNNING")]))
    with pytest.raises(InvalidTransition, match="RUNNING, which cannot become QUEUED"):
        await write(database, Batch(tasks=[task("q", seconds=1, status="QUEUED")]), strict=True)
    assert await _stored(fetch, "t") == before
    assert await fetch("SELECT FROM usage_records") == []


async def test_parents_in_any_order_stored_or_told_later(database: Database, fetch: Fetch) -> None:
    applied, _ = await write(
        database,
        Batch(
            tasks=[
                task("a-grandchild", parent=ref("b-child")),
                task("b-child", parent=ref("c-root")),
                task("c-root"),
                task("d-orphan", parent=ref("e-unseen")),
                task("f-self", parent=ref("f-self")),
            ]
        ),
    )
    ids = {name: id_ for (_, name), id_ in applied.task_ids.items()}
    assert (await _stored(fetch, "a-grandchild"))["parent_task_id"] == ids["b-child"]
    assert (await _stored(fetch, "b-child"))["parent_task_id"] == ids["c-root"]
    assert (await _stored(fetch, "d-orphan"))["parent_task_id"] is None
    assert (await _stored(fetch, "f-self"))["parent_task_id"] is None
    later, events = await write(
        database,
        Batch(tasks=[task("e-unseen"), task("d-orphan", parent=ref("e-unseen")), task("f-self", parent=ref("f-self"))]),
    )
    assert (later.new_tasks, later.changed_tasks, len(events)) == (1, 1, 2)
    orphan = await _stored(fetch, "d-orphan")
    assert (orphan["parent_task_id"], orphan["revision"]) == (later.task_ids[ORIGIN, "e-unseen"], 2)
    by_id = task("g-by-id", parent=Ref(id=ids["c-root"]))
    await write(database, Batch(tasks=[by_id]))
    assert (await _stored(fetch, "g-by-id"))["parent_task_id"] == ids["c-root"]


async def test_ids_carry_the_time_and_microseconds_are_cut(database: Database, fetch: Fetch) -> None:
    odd = START.replace(microsecond=123999)
    record = task("t", created_at=odd, started_at=odd, status="RUNNING")
    record.updated_at = odd
    await write(database, Batch(tasks=[record]))
    row = await _stored(fetch, "t")
    assert row["created_at"] == row["started_at"] == row["updated_at"] == START
    assert row["id"].int >> 80 == int(START.timestamp() * 1000 + 0.5)
    _, events = await write(database, Batch(tasks=[record]))
    assert events == []


async def test_unfit_text_is_cleaned_wherever_it_stands(database: Database, fetch: Fetch) -> None:
    bad = "a\x00b\udc00"
    record = task(bad, title=bad, input=bad, result=bad, error_message=bad, session_id=bad, git_branch=bad, model=bad)
    record.host = record.agent_name = record.project_key = bad
    batch = Batch(tasks=[record], conversations=[conversation(bad, title=bad, tags=(bad,))])
    batch.messages.append(message(bad, bad, bad, task=ref(bad)))
    await write(database, batch)
    _, events = await write(database, batch)
    assert events == []
    row = await _stored(fetch, "a\ufffdb\ufffd")
    assert row["git_branch"] == "a\ufffdb\ufffd"


async def test_calls_count_on_their_task_once_per_revision(database: Database, fetch: Fetch) -> None:
    await write(database, Batch(tasks=[task("t")]))
    calls = [usage("t", f"u{n}", seconds=n) for n in range(3)]
    applied, events = await write(database, Batch(tasks=[task("t", seconds=1, title="x")], usage=calls))
    assert (applied.new_calls, len(events)) == (3, 1)
    row = await _stored(fetch, "t")
    assert (row["revision"], row["call_count"], row["output_tokens"], row["cost_usd"]) == (2, 3, 15, Decimal("0.03"))
    assert row["updated_at"] == at(2)
    _, events = await write(database, Batch(usage=calls))
    assert events == []


async def test_a_call_that_moves_takes_its_cost_from_a_task_outside_the_batch(database: Database, fetch: Fetch) -> None:
    await write(database, Batch(tasks=[task("side"), task("main")]))
    await write(database, Batch(usage=[usage("side", "u", seconds=5, is_sidechain=True)]))
    _, events = await write(database, Batch(usage=[usage("main", "u", seconds=5)]))
    side, main = await _stored(fetch, "side"), await _stored(fetch, "main")
    assert (side["call_count"], side["cost_usd"], side["revision"]) == (0, 0, 3)
    assert (main["call_count"], main["cost_usd"], main["revision"]) == (1, Decimal("0.01"), 2)
    assert len(events) == 2


async def test_a_call_belongs_to_its_task_however_long_its_name_is(database: Database, fetch: Fetch) -> None:
    name = "t" * 300
    await write(database, Batch(tasks=[task(name)], usage=[usage(name, "u")]))
    assert (await fetch("SELECT call_count FROM tasks"))[0][0] == 1


UNKNOWN = UUID(int=7)


@pytest.mark.parametrize(
    ("batch", "error", "says"),
    [
        (Batch(tasks=[task("t", parent=Ref(id=UNKNOWN))]), NotFound, show_id("task", UNKNOWN)),
        (Batch(tasks=[task("t", conversation=Ref(id=UNKNOWN))]), NotFound, show_id("conversation", UNKNOWN)),
        (Batch(usage=[usage("t", "u", task=Ref(id=UNKNOWN))]), NotFound, show_id("task", UNKNOWN)),
        (Batch(usage=[usage("missing", "u")]), InvalidInput, "no task is called 'missing'"),
        (Batch(messages=[message("missing", "m")]), InvalidInput, "no conversation is called 'missing'"),
        (Batch(tasks=[task("t", status="done")]), InvalidInput, "'done' is no status"),
        (Batch(tasks=[task("t", source="HERE")]), InvalidInput, "'HERE' is no source"),
    ],
)
async def test_what_does_not_exist_is_an_error(
    database: Database, fetch: Fetch, batch: Batch, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        await write(database, batch)
    assert await fetch("SELECT FROM tasks") == []
