"""Erasing a host takes all that it brought, and nothing of others."""

from db.database import Database
from domain.erase import Erased, erase_host
from domain.records import AgentRecord, Batch
from tests.conftest import Fetch
from tests.storage.build import ORIGIN, START, at, conversation, log, message, ref, task, tool_call, usage, write

TABLES = (
    "hosts",
    "projects",
    "agents",
    "conversations",
    "messages",
    "runs",
    "tasks",
    "tool_calls",
    "log_lines",
    "usage_records",
    "usage_identities",
    "usage_evidence",
    "import_offsets",
    "imported_rows",
)


def _work_of(host: str) -> Batch:
    return Batch(
        agents=[AgentRecord("claude", host, last_seen_at=at(1))],
        conversations=[conversation(f"{host}-s", host=host, project_key=f"{host}:/own")],
        tasks=[
            task(
                f"{host}-{name}",
                host=host,
                agent_name="claude",
                conversation=ref(f"{host}-s"),
                project_key=project,
                parent=parent,
            )
            for name, project, parent in (
                ("t1", f"{host}:/own", None),
                ("t2", "https://example.org/shared", ref(f"{host}-t1")),
            )
        ],
        messages=[message(f"{host}-s", "m1", task=ref(f"{host}-t1"))],
        logs=[log(f"{host}-t1", "one"), log(f"{host}-t1", "two")],
        tool_calls=[tool_call(f"{host}-t1", "c", name="Read")],
        usage=[usage(f"{host}-t1", f"{host}-u", host=host, project_key=f"{host}:/own")],
    )


async def _note_files(database: Database, host: str) -> None:
    async with database.write() as transaction:
        await transaction.connection.execute(
            "INSERT INTO import_offsets (id, importer, host, path, updated_at)"
            " VALUES (gen_random_uuid(), 'claude-code', $1, '/a.jsonl', $2)",
            host,
            START,
        )
        await transaction.connection.execute("INSERT INTO imported_rows VALUES ($1, gen_random_uuid())", host)


async def test_a_host_goes_with_all_that_it_brought(database: Database, fetch: Fetch) -> None:
    async def contents() -> dict[str, list[tuple[object, ...]]]:
        return {table: [tuple(row) for row in await fetch(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in TABLES}

    await write(database, _work_of("laptop"))
    await _note_files(database, "laptop")
    before = await contents()
    applied, _ = await write(database, _work_of("sample"))
    await _note_files(database, "sample")
    async with database.write() as transaction:
        erased = await erase_host(transaction, "sample")
    assert erased == Erased(
        tasks=2, log_lines=2, tool_calls=1, calls=1, conversations=1, messages=1, agents=1, projects=1, files=1
    )
    assert await contents() == before
    assert len(await fetch("SELECT FROM topics WHERE name LIKE 'log:%'")) == 1
    told = [event for event in transaction.emitted if event.kind == "TaskDeleted"]
    assert {event.facts["id"] for event in told} == {str(id_) for id_ in applied.task_ids.values()}
    assert all(event.facts["after"] is None and event.facts["before"]["source"] for event in told)
    assert {event.kind for event in transaction.emitted} == {"TaskDeleted", "ConversationDeleted", "AgentDeleted"}

    again, _ = await write(database, _work_of("sample"))
    assert (again.new_tasks, again.new_messages, again.new_calls) == (2, 1, 1)
    async with database.write() as transaction:
        await erase_host(transaction, "sample")
    assert await contents() == before


async def test_a_task_of_another_host_is_let_go_and_told(database: Database, fetch: Fetch) -> None:
    await write(database, _work_of("sample"))
    guest = task("guest", host="laptop", parent=ref("sample-t1"), conversation=ref("sample-s"), status="RUNNING")
    applied, _ = await write(database, Batch(tasks=[guest]))
    async with database.write() as transaction:
        await erase_host(transaction, "sample")
    (row,) = await fetch("SELECT * FROM tasks")
    assert (row["parent_task_id"], row["conversation_id"], row["revision"]) == (None, None, 2)
    guest_id = str(applied.task_ids[ORIGIN, "guest"])
    (facts,) = [event.facts for event in transaction.emitted if event.facts["id"] == guest_id]
    assert facts["before"]["parent"] == str(applied.task_ids[ORIGIN, "sample-t1"])
    assert (facts["after"]["parent"], facts["after"]["conversation"], facts["after"]["status"]) == (
        None,
        None,
        "RUNNING",
    )


async def test_a_host_that_does_not_exist_is_nothing_to_erase(database: Database) -> None:
    async with database.write() as transaction:
        assert await erase_host(transaction, "nobody") == Erased()
    assert transaction.emitted == []
