"""Counts and sums in batches: what plain SQL says, per key, in key order."""

from uuid import UUID

import pytest

from db.handles import Handle
from db.models.tasks import TaskRow
from db.pages import PageRequest
from db.queries.agents import ALL_AGENTS, AgentSelection
from db.queries.conversations import ALL_CONVERSATIONS, ConversationSelection
from db.queries.tasks import TaskCount, TaskSelection
from loaders import agents, conversations, tasks, usage
from tests.batching.fleet import LENGTHS, Fleet, jumbled

TALKS = len(LENGTHS)
PARENT = "parent_task_id"


async def test_counts_of_agents(fleet: Fleet) -> None:
    one_host = AgentSelection(host_id=(fleet.keys["hosts"][0],))
    busy = AgentSelection(status=("BUSY",), type=("EXECUTOR", "CUSTOM"))
    none = AgentSelection(status=())
    asked = [one_host, ALL_AGENTS, busy, none, ALL_AGENTS, one_host]
    assert await agents.counts(fleet.database.read, asked, 100) == [1, TALKS, TALKS, 0, TALKS, 1]
    assert await agents.counts(fleet.database.read, [ALL_AGENTS], 2) == [2]


async def test_counts_of_conversations(fleet: Fleet) -> None:
    rows = await fleet.every("conversations")
    middle = sorted(row["updated_at"] for row in rows)[TALKS // 2]
    early = ConversationSelection(updated_to=middle)
    late = ConversationSelection(updated_from=middle)
    tagged = ConversationSelection(tag=("even", "nobody has it"))
    asked = [late, ALL_CONVERSATIONS, early, tagged, late]
    before = sum(row["updated_at"] < middle for row in rows)
    expected = [TALKS - before, TALKS, before, TALKS // 2, TALKS - before]
    assert await conversations.counts(fleet.database.read, asked, 100) == expected
    assert await conversations.counts(fleet.database.read, [ALL_CONVERSATIONS], 3) == [3]


@pytest.mark.parametrize(
    ("column", "parents", "is_unfinished"),
    [(PARENT, "tasks", False), ("conversation_id", "conversations", False), ("agent_id", "agents", True)],
)
async def test_counts_of_tasks_by_parent(fleet: Fleet, column: str, parents: str, is_unfinished: bool) -> None:
    asked = jumbled(fleet.keys[parents][:TALKS])
    where = "status IN ('QUEUED', 'RUNNING', 'WAITING_INPUT')" if is_unfinished else "true"
    expected = [len(await fleet.rows("tasks", column, key, where)) for key in asked]
    keys = [TaskCount(column=column, parent=key, unfinished=is_unfinished) for key in asked]
    before = fleet.database.read.statement_count
    assert await tasks.counts(fleet.database.read, keys, 100) == expected
    assert fleet.database.read.statement_count - before == 1
    assert await tasks.counts(fleet.database.read, keys, 2) == [min(n, 2) for n in expected]


async def test_counts_of_tasks_of_every_kind_at_once(fleet: Fleet) -> None:
    talk, parent = fleet.keys["conversations"][0], fleet.keys["tasks"][0]
    keys = [
        TaskCount(column=PARENT, parent=parent),
        TaskCount(TaskSelection(status=())),
        TaskCount(),
        TaskCount(column="conversation_id", parent=talk),
        TaskCount(TaskSelection(conversation_id=(talk,))),
    ]
    expected = [LENGTHS[0], 0, len(fleet.keys["tasks"]), LENGTHS[0], LENGTHS[0]]
    assert await tasks.counts(fleet.database.read, keys, 1000) == expected
    assert await tasks.counts(fleet.database.read, [*reversed(keys), *keys], 1000) == [*reversed(expected), *expected]


async def _tasks(database: Handle, keys: list[UUID]) -> list[TaskRow]:
    return [row for row in await tasks.by_id(database, keys, None) if row is not None]


async def test_totals_of_tasks(fleet: Fleet) -> None:
    """The first parents have calls of their own; their children have none."""
    rows = await _tasks(fleet.database.read, fleet.keys["tasks"][:TALKS])
    asked = [rows[1], rows[0], rows[3], rows[1], rows[2]]
    for with_children in (False, True):
        totals = await usage.totals_of_task(fleet.database.read, asked, with_children)
        assert [total["call_count"] for total in totals] == [LENGTHS[i] for i in (1, 0, 3, 1, 2)]
        assert [total["input_tokens"] for total in totals] == [sum(range(LENGTHS[i])) for i in (1, 0, 3, 1, 2)]
        assert [total["cost_usd"] for total in totals] == [LENGTHS[i] / 100 for i in (1, 0, 3, 1, 2)]


async def test_totals_of_tasks_with_all_below_them(fleet: Fleet) -> None:
    """`root` has calls only two levels below."""
    root, middle = await _tasks(fleet.database.read, fleet.keys["tasks"][-2:])
    before = fleet.database.read.statement_count
    totals = await usage.totals_of_task(fleet.database.read, [middle, root, middle], True)
    assert fleet.database.read.statement_count - before == 1
    assert [total["call_count"] for total in totals] == [1, 1, 1]
    alone = await usage.totals_of_task(fleet.database.read, [middle, root], False)
    assert [total["call_count"] for total in alone] == [0, 0]


async def test_totals_of_conversations(fleet: Fleet) -> None:
    talks = fleet.keys["conversations"]
    asked = jumbled(talks)
    before = fleet.database.read.statement_count
    totals = await usage.totals_by_conversation(fleet.database.read, asked, None)
    assert fleet.database.read.statement_count - before == 1
    expected = {key: len(await fleet.rows("tasks", "conversation_id", key)) for key in talks}
    assert [None if total is None else total.call_count for total in totals] == [expected.get(key, 0) for key in asked]
    assert [None if total is None else total.input_tokens for total in totals] == [
        10 * expected.get(key, 0) for key in asked
    ]


async def test_a_page_counts_what_it_pages_through(fleet: Fleet) -> None:
    keys = fleet.keys["conversations"]
    pages = await tasks.by_conversation(fleet.database.read, keys, PageRequest(2))
    counts = await tasks.counts(fleet.database.read, [page.selection for page in pages], 100)
    assert counts == list(LENGTHS)
