"""Sub-agents are children of the task that launched them, wherever their rows stand."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.records import Ref
from ingest.claude_code.reader import Reader
from tests.importers.build import (
    ORIGIN,
    SESSION,
    START,
    Row,
    answer,
    at,
    by_name,
    launch,
    make_reader,
    one,
    prompt,
    read,
    result,
    row,
    tokens,
    use,
)

SOON = START + timedelta(minutes=5)


def test_a_launch_makes_a_child_task() -> None:
    child = by_name(read(*launch(status="completed", agentType="Explore")))[f"{SESSION}/a1"]
    assert (child.parent, child.agent_name, child.status) == (Ref(ORIGIN, "p"), "Explore", "COMPLETED")
    assert (child.title, child.input, child.result) == ("Look", "Look around", "Found it")
    assert child.created_at == START + timedelta(seconds=1)


def test_an_old_launch_names_its_agent_in_the_text() -> None:
    rows = launch()
    rows[2] = result("r", "t", [{"type": "text", "text": "ok\nagentId: abc12 (for resuming)"}], 3)
    assert by_name(read(*rows))[f"{SESSION}/abc12"].status == "COMPLETED"


def test_a_background_agent_ends_with_its_notification() -> None:
    notice = "<task-notification><task-id>a1</task-id><status>killed</status></task-notification>"
    rows = launch(status="async_launched")
    assert by_name(read(*rows, now=SOON))[f"{SESSION}/a1"].status == "RUNNING"
    assert by_name(read(*rows))[f"{SESSION}/a1"].source_status == "abandoned"
    child = by_name(read(*rows, row("queue-operation", None, 9, content=notice)))[f"{SESSION}/a1"]
    assert (child.status, child.source_status) == ("CANCELLED", "killed")


def agent_reader(name: str = "a1", **values: Any) -> Reader:
    return make_reader(path=f"agent-{name}.jsonl", agent_id=name, **values)


def test_a_sub_agents_file_is_one_task() -> None:
    batch = read(
        prompt("p", "Look around", isSidechain=True, agentId="a1"),
        answer("a", "Looking", use("t"), stop=None, isSidechain=True),
        result("r", "t", isSidechain=True),
        prompt("q", "Also there", 3, isSidechain=True),
        answer("b", "Found it", seconds=4, stop=None, isSidechain=True, usage=tokens()),
        reader=agent_reader(),
    )
    task = one(batch)
    assert (task.external_id, task.title, task.status) == (f"{SESSION}/a1", "Look around", "COMPLETED")
    assert (task.agent_name, task.result, batch.messages) == ("sub-agent", "Found it", [])
    assert batch.usage[0].is_sidechain


@pytest.mark.parametrize(
    ("name", "text", "agent"), [("acompact-1", "Summarise", "compact"), ("w1", "Warmup", "warm-up")]
)
def test_helpers_are_named_for_what_they_do(name: str, text: str, agent: str) -> None:
    assert one(read(prompt("p", text, isSidechain=True), reader=agent_reader(name))).agent_name == agent


def helper_rows() -> list[Row]:
    """Rows without the flag of a session."""
    return [{key: value for key, value in item.items() if key != "isSidechain"} for item in (prompt("p"), answer("a"))]


def test_what_is_known_of_a_sub_agent_is_not_described_again() -> None:
    reader = agent_reader()
    question = reader.question(helper_rows()[0])
    assert question is not None
    assert (question.task, question.session_id, question.at) == (f"{SESSION}/a1", SESSION, START)
    reader.answer(UUID(int=7), born=True)
    assert reader.question(helper_rows()[0]) is None
    task = one(read(*helper_rows(), reader=reader))
    assert (task.parent, task.agent_name, task.title) == (Ref(id=UUID(int=7)), None, None)


def nested(uuid: str, message: Row, kind: str = "user", seconds: float = 2) -> Row:
    inner = {"type": kind, "uuid": uuid, "timestamp": at(seconds), "message": message}
    return row("progress", "w" + uuid, seconds, data={"type": "agent_progress", "agentId": "a1", "message": inner})


def test_copies_of_a_sub_agents_rows_count_only_without_its_file() -> None:
    rows = [
        *launch(status="completed")[:2],
        nested("n1", {"role": "user", "content": "Look around"}),
        nested("n2", {"role": "assistant", "model": "m", "content": "Here", "usage": tokens()}, "assistant", 3),
    ]
    batch = read(*rows)
    child = by_name(batch)[f"{SESSION}/a1"]
    assert (child.parent, child.title, child.result) == (Ref(ORIGIN, "p"), "Look around", "Here")
    assert len(batch.usage) == 1
    there = read(*rows, reader=make_reader(present_agents=frozenset({"a1"})))
    assert (list(by_name(there)), there.usage) == (["p"], [])


def test_sidechains_of_version_1_stand_in_the_sessions_file() -> None:
    def side(item: Row, parent: str | None) -> Row:
        return {**item, "isSidechain": True, "parentUuid": parent}

    batch = read(
        prompt("p"),
        side(prompt("s1", "First", 1), None),
        side(prompt("s2", "Second", 1), None),
        side(answer("s3", "one", seconds=2), "s1"),
        side(answer("s4", "two", seconds=2), "s2"),
        answer("a", "both", seconds=3),
    )
    results = {name: (task.result, task.parent) for name, task in by_name(batch).items()}
    assert results == {
        "p": ("both", None),
        f"{SESSION}/sidechain-s1": ("one", Ref(ORIGIN, "p")),
        f"{SESSION}/sidechain-s2": ("two", Ref(ORIGIN, "p")),
    }
