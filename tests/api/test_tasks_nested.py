"""task(id) and the lists below it: logs forwards and backwards, children, tool calls and model calls, with cursors."""

from typing import Any

import pytest

from domain.ids import show_id
from domain.records import Batch, LogRecord, Ref, TaskRecord
from tests.api.board import DEEP, NOW, ORIGIN, Board
from tests.client import Server

INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
LOGS = (
    "query Logs($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $filter: LogFilter) {"
    " task(id: $id) { logs(first: $first, after: $after, last: $last, before: $before, filter: $filter) {"
    f" nodes {{ taskId seq level stream text truncated }} edges {{ cursor }} eventCursor {INFO} }} }} }}"
)
# Each list in one direction, and what tells its rows apart.
LISTS = {"children": "createdAt id", "toolCalls": "startedAt id", "usageRecords": "at id"}


def _document(name: str) -> str:
    return (
        f"query List($id: ID!, $first: Int, $after: String) {{ task(id: $id) {{ {name}(first: $first, after: $after) {{"
        f" nodes {{ {LISTS[name]} }} edges {{ cursor node {{ id }} }} {INFO} }} }} }}"
    )


async def _logs(board: Board, **variables: Any) -> tuple[list[int], dict[str, Any]]:
    """The seqs of a page, and its pageInfo."""
    page = (await board.server.query(LOGS, id=board.ids["deep"], **variables))["task"]["logs"]
    cursors = [edge["cursor"] for edge in page["edges"]]
    info = page["pageInfo"]
    assert (info["startCursor"], info["endCursor"]) == ((cursors[0], cursors[-1]) if cursors else (None, None))
    return [node["seq"] for node in page["nodes"]], info


async def test_a_log_forwards(board: Board) -> None:
    seen: list[int] = []
    info: dict[str, Any] = {"endCursor": None, "hasNextPage": True}
    while info["hasNextPage"]:
        seqs, info = await _logs(board, first=10, after=info["endCursor"])
        assert info["hasPreviousPage"] is bool(seen)
        seen += seqs
    assert seen == list(range(1, DEEP + 1))


async def test_a_log_backwards(board: Board) -> None:
    seen: list[int] = []
    info: dict[str, Any] = {"startCursor": None, "hasPreviousPage": True}
    while info["hasPreviousPage"]:
        seqs, info = await _logs(board, last=10, before=info["startCursor"])
        assert info["hasNextPage"] is bool(seen)
        seen = seqs + seen
    assert seen == list(range(1, DEEP + 1))


async def test_a_log_to_and_fro(board: Board) -> None:
    _, info = await _logs(board, first=10)
    seqs, info = await _logs(board, first=5, after=info["endCursor"])
    assert seqs == [11, 12, 13, 14, 15]
    assert (await _logs(board, last=3, before=info["startCursor"]))[0] == [8, 9, 10]
    assert (await _logs(board, before=info["startCursor"]))[0] == list(range(1, 11))
    assert (await _logs(board, after=info["endCursor"]))[0] == list(range(16, 26))
    assert (await _logs(board))[0] == list(range(1, 11))
    assert (await _logs(board, first=1_000))[0] == (await _logs(board, last=1_000))[0] == list(range(1, DEEP + 1))


async def test_the_lines(board: Board) -> None:
    page = (await board.server.query(LOGS, id=board.ids["deep"], first=2))["task"]["logs"]
    assert page["nodes"] == [
        {
            "taskId": board.ids["deep"],
            "seq": n + 1,
            "level": ("INFO", "ERROR")[n],
            "stream": ("STDOUT", "STDERR")[n],
            "text": f"Line {n}: Größe 50% _done_",
            "truncated": False,
        }
        for n in range(2)
    ]


LEVELS = {n + 1: ("INFO", "ERROR", "WARN")[n % 3] for n in range(DEEP)}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"level": ["ERROR"]}, [seq for seq, level in LEVELS.items() if level == "ERROR"]),
        ({"level": ["ERROR", "WARN"]}, [seq for seq, level in LEVELS.items() if level != "INFO"]),
        (
            {"level": ["ERROR"], "stream": ["STDERR"]},
            [seq for seq, level in LEVELS.items() if level == "ERROR" and seq % 2 == 0],
        ),
        ({"level": ["DEBUG"]}, []),
        ({"level": []}, []),
        ({"level": None, "stream": None, "search": None}, list(LEVELS)),
        ({"search": "line 7:"}, [8]),
        ({"search": "GRÖßE"}, list(LEVELS)),
        ({"search": "GRÖSSE"}, []),
        ({"search": "größe 50% _"}, list(LEVELS)),
        ({"search": "5_%"}, []),
        ({"search": "\\"}, []),
        ({"search": ""}, list(LEVELS)),
        ({"search": "line\0"}, []),
    ],
    ids=str,
)
async def test_some_lines_only(board: Board, chosen: dict[str, Any], expected: list[int]) -> None:
    seqs, info = await _logs(board, first=1_000, filter=chosen)
    assert (seqs, info["hasNextPage"]) == (expected, False)
    if len(expected) > 1:
        seqs, info = await _logs(board, last=1, filter=chosen)
        assert (seqs, info["hasPreviousPage"]) == (expected[-1:], True)
        assert (await _logs(board, last=1, before=info["startCursor"], filter=chosen))[0] == expected[-2:-1]


@pytest.mark.parametrize("size", [4, 100])
@pytest.mark.parametrize("name", LISTS)
async def test_a_list(board: Board, name: str, size: int) -> None:
    """In order, with ties, each row once."""
    seen: list[tuple[str, str]] = []
    after, more = None, True
    while more:
        variables = {"id": board.ids["deep"], "first": size, "after": after}
        page = (await board.server.query(_document(name), **variables))["task"][name]
        assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in page["nodes"]]
        assert page["edges"][-1]["cursor"] == page["pageInfo"]["endCursor"]
        seen += [(node[LISTS[name].split()[0]], node["id"]) for node in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert seen == sorted(seen)
    assert len({id_ for _, id_ in seen}) == len(seen) == DEEP
    assert len({at for at, _ in seen}) < DEEP


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_has_ten_rows_unless_more_are_asked_for(board: Board, name: str) -> None:
    page = (await board.server.query(_document(name), id=board.ids["deep"]))["task"][name]
    assert (len(page["nodes"]), page["pageInfo"]["hasNextPage"]) == (10, True)


async def test_one_cursor_for_the_same_list_of_many_parents(board: Board) -> None:
    """The arguments of a field are those of all parents: the place is looked for in each list."""
    document = """
    query Many($ids: [ID!]!, $after: String) {
      nodes(ids: $ids) { ... on Task { children(first: 100, after: $after) { nodes { createdAt } } } }
    }
    """
    alone = _document("children")
    first = (await board.server.query(alone, id=board.ids["t00"], first=3))["task"]["children"]
    after, place = first["pageInfo"]["endCursor"], first["nodes"][-1]["createdAt"]
    ids = [board.ids[name] for name in ("t00", "t01", "t02", "deep")]
    for id_, node in zip(ids, (await board.server.query(document, ids=ids, after=after))["nodes"], strict=True):
        rest = (await board.server.query(alone, id=id_, first=100, after=after))["task"]["children"]["nodes"]
        assert [row["createdAt"] for row in rest] == [row["createdAt"] for row in node["children"]["nodes"]]
        assert all(row["createdAt"] >= place for row in rest)


PLACES = [
    *((name, arguments) for name in LISTS for arguments in ("first: 0", "first: 101", "first: -1")),
    ("logs", "first: 0"),
    ("logs", "first: 1001"),
    ("logs", "last: 0"),
    ("logs", "last: 1001"),
    ("logs", "first: 1, last: 1"),
    ("logs", 'first: 1, before: "x"'),
    ("logs", 'after: "x", last: 1'),
    ("logs", 'after: "x", before: "x"'),
]


@pytest.mark.parametrize(("name", "arguments"), PLACES)
async def test_a_page_that_cannot_be(board: Board, name: str, arguments: str) -> None:
    document = f"query Bad($id: ID!) {{ task(id: $id) {{ {name}({arguments}) {{ nodes {{ __typename }} }} }} }}"
    error = await board.server.error(document, id=board.ids["deep"])
    assert error["extensions"]["code"] == "INVALID_PAGE_SIZE"
    assert error["extensions"]["argument"] in ("first", "last")
    assert error["path"] == ["task", name]


@pytest.mark.parametrize("name", [*LISTS, "logs"])
async def test_a_cursor_of_another_list(board: Board, name: str) -> None:
    cursor = (await board.server.query("{ tasks(first: 1) { pageInfo { endCursor } eventCursor } }"))["tasks"]
    document = LOGS if name == "logs" else _document(name)
    for after in (cursor["pageInfo"]["endCursor"], cursor["eventCursor"], "garbage", ""):
        error = await board.server.error(document, id=board.ids["deep"], after=after)
        assert error["extensions"] == {"code": "INVALID_CURSOR", "argument": "after"}
    if name == "logs":
        error = await board.server.error(LOGS, id=board.ids["deep"], before="garbage")
        assert error["extensions"] == {"code": "INVALID_CURSOR", "argument": "before"}


async def test_an_empty_list_is_a_page(board: Board) -> None:
    for name in LISTS:
        page = await board.server.query(_document(name), id=board.ids["t00" if name == "toolCalls" else "deep/1"])
        assert page["task"][name]["nodes"] == []
        assert set(page["task"][name]["pageInfo"].values()) == {False, None}


@pytest.mark.parametrize("id_", ["", "x", "task_", "task_" + "0" * 32, "task_" + "0" * 31, "TASK_" + "0" * 32, "\0"])
async def test_an_id_that_nothing_has(board: Board, id_: str) -> None:
    assert (await board.server.query("query One($id: ID!) { task(id: $id) { id } }", id=id_))["task"] is None


@pytest.mark.parametrize("name", ["a0", "h0", "p0", "c0", "u0"])
async def test_an_id_of_another_kind(board: Board, name: str) -> None:
    document = "query One($id: ID!) { task(id: $id) { id } agent(id: $id) { id } conversation(id: $id) { id } }"
    found = await board.server.query(document, id=board.ids[name])
    own = {"a0": "agent", "c0": "conversation"}.get(name)
    assert found == {kind: {"id": board.ids[name]} if kind == own else None for kind in found}


async def test_an_integer_is_an_id_too(board: Board) -> None:
    """GraphQL's ID takes integers; ours are never one."""
    assert (await board.server.query("{ task(id: 7) { id } }"))["task"] is None


async def test_a_log_grows_behind_its_last_cursor(server: Server) -> None:
    lines = [LogRecord(Ref(ORIGIN, "t"), NOW, "INFO", "STDOUT", str(n)) for n in range(3)]
    applied = await server.write(Batch(tasks=[TaskRecord(ORIGIN, "t", "API", NOW, NOW)], logs=lines))
    id_ = show_id("task", applied.task_ids[ORIGIN, "t"])
    page = (await server.query(LOGS, id=id_))["task"]["logs"]
    await server.write(Batch(logs=[LogRecord(Ref(ORIGIN, "t"), NOW, "INFO", "STDOUT", "x" * 70_000)]))
    grown = (await server.query(LOGS, id=id_, after=page["pageInfo"]["endCursor"]))["task"]["logs"]
    assert [(node["seq"], len(node["text"]), node["truncated"]) for node in grown["nodes"]] == [(4, 65_536, True)]
    assert grown["eventCursor"] != page["eventCursor"]
