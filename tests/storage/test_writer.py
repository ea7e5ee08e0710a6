"""The one writer: what is written once, what joins what, and what is told of it."""

from db.database import Database
from domain.records import AgentRecord, Batch, ProjectRecord
from tests.conftest import Fetch
from tests.storage.build import ORIGIN, at, conversation, log, message, ref, task, tool_call, usage, write


def _full() -> Batch:
    return Batch(
        projects=[ProjectRecord("laptop:/work", "work", "https://example.org/work.git")],
        agents=[AgentRecord("claude", "laptop", "EXECUTOR", "BUSY", at(5))],
        conversations=[
            conversation("s1", seconds=9, title="First", host="laptop", project_key="laptop:/work", tags=("a",))
        ],
        tasks=[
            task("child", seconds=4, parent=ref("t1"), status="COMPLETED", host="laptop", agent_name="Explore"),
            task(
                "t1",
                seconds=8,
                status="RUNNING",
                input="do it",
                title="Do\n it",
                host="laptop",
                agent_name="claude",
                conversation=ref("s1"),
                project_key="laptop:/work",
                git_branch="main",
                model="claude-sonnet-4-5",
            ),
        ],
        messages=[message("s1", "m1", task=ref("t1")), message("s1", "m2", "world", role="ASSISTANT")],
        tool_calls=[tool_call("t1", "c1", name="Read", started_at=at(1), input="{}")],
        usage=[usage("t1", "u1", seconds=6), usage("child", "u2", seconds=3)],
    )


async def test_a_batch_is_written_with_one_event_per_change(database: Database, fetch: Fetch) -> None:
    batch = _full()
    batch.logs = [log("t1", "one"), log("t1", "two")]
    applied, events = await write(database, batch)
    assert (applied.new_tasks, applied.changed_tasks, applied.new_conversations) == (2, 0, 1)
    assert (applied.new_messages, applied.new_log_lines, applied.new_tool_calls, applied.new_calls) == (2, 2, 1, 2)
    assert [(event.topic, event.kind) for event in events] == [
        ("agents", "AgentChanged"),
        ("agents", "AgentChanged"),
        ("conversations", "MessageAdded"),
        ("conversations", "MessageAdded"),
        ("conversations", "ConversationChanged"),
        ("logs", "LogLinesAppended"),
        ("tasks", "TaskChanged"),
        ("tasks", "TaskChanged"),
    ]
    t1, child = applied.task_ids[ORIGIN, "t1"], applied.task_ids[ORIGIN, "child"]
    (row,) = await fetch("SELECT * FROM tasks WHERE id = $1", t1)
    assert (row["revision"], row["status"], row["title"], row["input"]) == (1, "RUNNING", "Do it", "do it")
    assert (row["call_count"], row["input_tokens"], float(row["cost_usd"])) == (1, 10, 0.01)
    facts = {event.facts["id"]: event.facts for event in events if event.topic == "tasks"}
    assert facts[str(child)]["before"] is None
    assert facts[str(child)]["after"]["parent"] == str(t1)
    assert facts[str(t1)] == {
        "id": str(t1),
        "revision": 1,
        "before": None,
        "after": {
            "status": "RUNNING",
            "source": "CLAUDE_CODE",
            "model": "claude-sonnet-4-5",
            "agent": str(row["agent_id"]),
            "agent_type": "EXECUTOR",
            "owner": None,
            "host": str(row["host_id"]),
            "project": str(row["project_id"]),
            "run": None,
            "conversation": str(applied.conversation_ids[ORIGIN, "s1"]),
            "parent": None,
            "flow": None,
            "branch": "main",
        },
    }


async def test_the_same_batch_again_changes_nothing(database: Database, fetch: Fetch) -> None:
    first, _ = await write(database, _full())
    tables = ("hosts", "projects", "agents", "conversations", "tasks", "messages", "tool_calls", "usage_records")
    before = [await fetch(f"SELECT t.*, t.xmin FROM {table} t ORDER BY id") for table in tables]
    again, events = await write(database, _full())
    assert events == []
    assert [await fetch(f"SELECT t.*, t.xmin FROM {table} t ORDER BY id") for table in tables] == before
    assert (again.new_tasks, again.changed_tasks, again.new_messages, again.new_calls) == (0, 0, 0, 0)
    assert (again.task_ids, again.conversation_ids) == (first.task_ids, first.conversation_ids)
    assert again.message_ids == first.message_ids
    assert again.duplicate_calls == 2
