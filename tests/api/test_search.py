"""tasks(filter: {search}): titles and prompts, in any case, by an index; only what is shown, only for who may read."""

import json
from typing import Any

import pytest

from db.queries.tasks import CREATED_AT_DESC, TaskSelection, _count, _page
from db.statements import Statement, raw_statement
from domain.errors import InvalidInput
from domain.records import Batch, TaskRecord
from resolvers.context import Viewer
from resolvers.tasks import TaskFilter
from tests.client import Server
from tests.conftest import Fetch
from tests.storage.build import START

FIND = "query Find($search: String) { tasks(filter: {search: $search}) { nodes { externalId } totalCount } }"
TEXTS = {
    "title": ("Fix the Login page", None),
    "input": (None, "please look why the LOGIN\nfails"),
    "both": ("login", "login"),
    "neither": ("Logout", "log in"),
    "percent": ("100%_done", None),
    "like": ("100 percent done", None),
    "path": (None, r"C:\temp\notes"),
    "words": ("Прочитай журнал", "登录页面坏了"),
}


async def write(server: Server, texts: dict[str, tuple[str | None, str | None]]) -> None:
    tasks = [
        TaskRecord("test", name, "API", START, START, title=title, input=text) for name, (title, text) in texts.items()
    ]
    await server.write(Batch(tasks=tasks))


async def found(server: Server, search: str | None) -> set[str]:
    page = (await server.query(FIND, search=search))["tasks"]
    names = {node["externalId"] for node in page["nodes"]}
    assert page["totalCount"] == len(names)
    return names


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("login", {"title", "input", "both"}),
        ("LOGIN", {"title", "input", "both"}),
        ("  login ", {"title", "input", "both"}),
        ("the Login", {"title", "input"}),
        ("100%", {"percent"}),
        ("100%_d", {"percent"}),
        ("100_", set()),
        ("%100", set()),
        (r"temp\notes", {"path"}),
        ("temp", {"path"}),
        ("журнал", {"words"}),
        ("ЖУРНАЛ", {"words"}),
        ("登录页", {"words"}),
        ("'; DROP TABLE tasks; --", set()),
        ("nowhere", set()),
    ],
)
async def test_what_is_found(server: Server, search: str, names: set[str]) -> None:
    await write(server, TEXTS)
    assert await found(server, search) == names


async def test_without_a_text_all_are_found_and_it_joins_other_fields(server: Server) -> None:
    await write(server, TEXTS)
    assert await found(server, None) == set(TEXTS)
    both = '{ tasks(filter: {search: "login", status: [RUNNING]}) { totalCount } }'
    assert (await server.query(both))["tasks"]["totalCount"] == 0
    summary = 'query Sums($range: TimeRange!) { summary(range: $range, filter: {search: "login"}) { taskCount } }'
    span = {"between": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}}
    assert (await server.query(summary, range=span))["summary"]["taskCount"] == 3


@pytest.mark.parametrize(
    "search", ["", "ab", "  ab  ", "a b c", "---", "%%%", "___", "a" * 201, "ab\x00c", "a" * 5_000]
)
async def test_what_no_index_can_find_is_refused(server: Server, search: str) -> None:
    error = await server.error(FIND, search=search)
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("INVALID_INPUT", "filter")
    assert "search" in error["message"]
    assert len(error["message"]) < 200


async def test_a_text_that_changes_is_found_by_what_it_says_now(server: Server) -> None:
    await write(server, {"t": ("First words", "an input")})
    later = TaskRecord("test", "t", "API", START, START, title="Other words")
    await server.write(Batch(tasks=[later]))
    assert (await found(server, "first words"), await found(server, "other words")) == (set(), {"t"})
    assert await found(server, "an input") == {"t"}


async def test_only_the_beginning_of_a_long_input_is_searched(server: Server) -> None:
    beginning, rest = "x " * 4_990 + "beginning ", "hidden behind"
    await write(server, {"t": (None, beginning + rest)})
    assert (await found(server, "beginning"), await found(server, rest)) == ({"t"}, set())


@pytest.mark.parametrize("access", ["REDACTED", "HIDDEN", "EXPIRED", "NOT_COLLECTED"])
async def test_what_is_not_shown_is_not_found(server: Server, access: str) -> None:
    await write(server, TEXTS)
    hide: Statement[Any] = raw_statement("UPDATE tasks SET content_access = $1 WHERE external_id = 'title'")
    unwatched: Statement[Any] = raw_statement("ALTER TABLE tasks DISABLE TRIGGER test_task_has_event")
    async with server.database.write() as transaction:
        await transaction.fetch(unwatched)
        await transaction.fetch(hide, access)
    assert await found(server, "login") == {"input", "both"}


def test_it_needs_the_scope_of_content() -> None:
    """Who may not read a prompt could ask for it letter by letter."""
    wanted = TaskFilter(TaskSelection(search="login"))
    with pytest.raises(InvalidInput, match="scope READ") as refused:
        wanted.at(START, Viewer("key", frozenset({"METRICS"})))
    assert refused.value.code == "FORBIDDEN"
    assert wanted.at(START, Viewer("key", frozenset({"METRICS", "READ"}))) == wanted.selection


async def explain(server: Server, statement: Statement[Any], *values: Any) -> str:
    explained: Statement[Any] = Statement("EXPLAIN (FORMAT JSON) " + statement.sql, statement.row, statement.order)
    rows = await server.database.read.fetch(explained, *values)
    return json.dumps(json.loads(rows[0][0]) if isinstance(rows[0][0], str) else rows[0][0])


async def test_the_index_is_used(server: Server, fetch: Fetch) -> None:
    """Among 20,000 tasks, for the page and for its count; for stuck tasks too."""
    fill: Statement[Any] = raw_statement(
        "INSERT INTO tasks (id, status, source, origin, external_id, title, input, created_at, updated_at)"
        " SELECT gen_random_uuid(), 'COMPLETED', 'API', 'fill', n::text, 'Task ' || md5(n::text),"
        " repeat(md5((n + 1)::text) || ' ', 8), now() - n * interval '1 minute', now() FROM generate_series(1, 20000) n"
    )
    unwatched: Statement[Any] = raw_statement("ALTER TABLE tasks DISABLE TRIGGER test_task_has_event")
    async with server.database.write() as transaction:
        await transaction.fetch(unwatched)
        await transaction.fetch(fill)
        await transaction.fetch(
            raw_statement(
                "INSERT INTO task_texts (task_id, text) SELECT id, concat_ws(chr(10), title, input) FROM tasks"
            )
        )
    # New entries of the index wait in a list until a vacuum, autovacuum's too, sorts them in.
    await fetch("VACUUM ANALYZE tasks, task_texts")
    searched = TaskSelection(search="c4ca4238a0")
    page = await explain(server, _page(("search",), CREATED_AT_DESC, False, False, None, False), *searched.values(), 51)
    assert "ix_task_texts_text" in page
    count = await explain(server, _count(("search",)), *searched.values(), 10_000)
    assert "ix_task_texts_text" in count
    stuck = await explain(server, _page(("stuck",), CREATED_AT_DESC, False, False, None, False), True, 51)
    assert "ix_tasks_stuck" in stuck
    assert "Seq Scan" not in page + count + stuck
