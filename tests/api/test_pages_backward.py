"""last and before, on every connection: the same list, read from its end."""

from datetime import timedelta
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from domain.ids import show_id
from domain.records import AgentRecord, Batch, ConversationRecord, MessageRecord, Ref, TaskRecord
from schema.root import build_schema
from tests.api.board import Board
from tests.client import Server
from tests.storage.build import START

SCHEMA = build_schema()
CONNECTIONS = sorted(
    f"{parent.name}.{name}"
    for parent in SCHEMA.type_map.values()
    if isinstance(parent, GraphQLObjectType) and not parent.name.startswith("__")
    for name, field in parent.fields.items()
    if get_named_type(field.type).name.endswith("Connection")
)
PAGE = "first: $first, after: $after, last: $last, before: $before"
INFO = "edges { cursor node { %s } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
ORDERS = [
    f"{{field: {field}, direction: {way}}}" for field in ("CREATED_AT", "UPDATED_AT", "COST") for way in ("ASC", "DESC")
]
# How each connection is reached, and what tells its rows apart. Of a nested one: the parent's id by its name.
LISTS: dict[str, tuple[str, str, str | None]] = {
    **{f"tasks {order}": (f"tasks(orderBy: {order}, {PAGE})", "id", None) for order in ORDERS},
    "tasks of a filter": (f"tasks(filter: {{status: [FAILED, QUEUED]}}, {PAGE})", "id", None),
    "agents": (f"agents({PAGE})", "id", None),
    "conversations": (f"conversations({PAGE})", "id", None),
    "Task.children": (f"... on Task {{ children({PAGE}) }}", "id", "deep"),
    "Task.logs": (f"... on Task {{ logs({PAGE}) }}", "seq", "deep"),
    "Task.toolCalls": (f"... on Task {{ toolCalls({PAGE}) }}", "id", "deep"),
    "Task.usageRecords": (f"... on Task {{ usageRecords({PAGE}) }}", "id", "deep"),
    "Conversation.tasks": (f"... on Conversation {{ tasks({PAGE}) }}", "id", "c0"),
    "Agent.currentTasks": (f"... on Agent {{ currentTasks({PAGE}) }}", "id", "a0"),
}
ARGUMENTS = "$first: Int, $after: String, $last: Int, $before: String"


def _document(name: str) -> str:
    call, leaf, parent = LISTS[name]
    info = INFO % leaf
    if parent is None:
        return f"query Page({ARGUMENTS}) {{ page: {call} {{ {info} }} }}"
    opening, _, field = call.partition("{ ")
    field = field.removesuffix(" }")
    return f"query Page($id: ID!, {ARGUMENTS}) {{ node(id: $id) {{ {opening} {{ page: {field} {{ {info} }} }} }} }}"


async def _page(server: Server, name: str, parent_id: str | None, **arguments: Any) -> dict[str, Any]:
    if parent_id is not None:
        arguments["id"] = parent_id
    data = await server.query(_document(name), **arguments)
    return dict((data if parent_id is None else data["node"])["page"])


def _rows(page: dict[str, Any]) -> list[Any]:
    return [next(iter(edge["node"].values())) for edge in page["edges"]]


async def _check(server: Server, name: str, parent_id: str | None, size: int) -> None:
    whole = await _page(server, name, parent_id, first=100)
    expected = _rows(whole)
    assert len(expected) > size
    assert not whole["pageInfo"]["hasNextPage"]
    pages: list[list[Any]] = []
    before = None
    while True:
        page = await _page(server, name, parent_id, last=size, before=before)
        info, edges = page["pageInfo"], page["edges"]
        assert (info["startCursor"], info["endCursor"]) == (edges[0]["cursor"], edges[-1]["cursor"])
        assert info["hasNextPage"] is (before is not None)
        pages.append(_rows(page))
        if not info["hasPreviousPage"]:
            break
        assert len(edges) == size
        before = info["startCursor"]
    assert [row for rows in reversed(pages) for row in rows] == expected
    assert _rows(await _page(server, name, parent_id, last=100)) == expected
    # A cursor is a place: what lies before it and behind it, and itself, are all.
    middle = whole["edges"][len(expected) // 2]["cursor"]
    in_front = _rows(await _page(server, name, parent_id, last=100, before=middle))
    behind = _rows(await _page(server, name, parent_id, first=100, after=middle))
    assert [*in_front, expected[len(expected) // 2], *behind] == expected


@pytest.mark.parametrize("name", list(LISTS))
async def test_from_the_end(board: Board, name: str) -> None:
    parent = LISTS[name][2]
    await _check(board.server, name, None if parent is None else board.ids[parent], 3)


async def test_messages_from_the_end(server: Server) -> None:
    LISTS["Conversation.messages"] = (f"... on Conversation {{ messages({PAGE}) }}", "id", "talk")
    messages = [
        MessageRecord(Ref("test", "talk"), "USER", START + timedelta(seconds=n // 3), f"message {n}") for n in range(10)
    ]
    applied = await server.write(
        Batch(conversations=[ConversationRecord("test", "talk", START, START)], messages=messages)
    )
    await _check(server, "Conversation.messages", show_id("conversation", applied.conversation_ids["test", "talk"]), 3)


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_every_connection_takes_the_four_arguments(connection: str) -> None:
    type_name, field_name = connection.split(".")
    parent = SCHEMA.type_map[type_name]
    assert isinstance(parent, GraphQLObjectType)
    arguments = parent.fields[field_name].args
    assert {name: str(arguments[name].type) for name in ("first", "after", "last", "before")} == {
        "first": "Int",
        "after": "String",
        "last": "Int",
        "before": "String",
    }


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"first": 1, "last": 1}, "first"),
        ({"first": 1, "before": "x"}, "first"),
        ({"after": "x", "last": 1}, "first"),
        ({"last": 0}, "last"),
        ({"last": 101}, "last"),
    ],
)
@pytest.mark.parametrize("name", ["agents", "Agent.currentTasks", "Task.toolCalls"])
async def test_what_cannot_be_asked(board: Board, name: str, arguments: dict[str, Any], argument: str) -> None:
    parent = LISTS[name][2]
    values = arguments if parent is None else {**arguments, "id": board.ids[parent]}
    error = await board.server.error(_document(name), **values)
    assert error["extensions"] == {"code": "INVALID_PAGE_SIZE", "argument": argument}


async def test_a_cursor_of_another_order_or_list_is_refused(board: Board) -> None:
    by_update = (await _page(board.server, f"tasks {ORDERS[3]}", None, first=1))["pageInfo"]["endCursor"]
    for name in (f"tasks {ORDERS[2]}", f"tasks {ORDERS[0]}", "agents"):
        error = await board.server.error(_document(name), last=1, before=by_update)
        assert error["extensions"] == {"code": "INVALID_CURSOR", "argument": "before"}


async def test_by_update_is_by_what_changed_last(server: Server) -> None:
    await server.write(Batch(agents=[AgentRecord("a", None)]))
    tasks = [
        TaskRecord("test", f"t{n}", "API", START, START + timedelta(minutes=n), status="RUNNING") for n in range(5)
    ]
    await server.write(Batch(tasks=tasks))
    await server.write(Batch(tasks=[TaskRecord("test", "t1", "API", START, START + timedelta(hours=1), title="now")]))
    document = "{ tasks(orderBy: {field: UPDATED_AT, direction: DESC}) { nodes { externalId } } }"
    names = [node["externalId"] for node in (await server.query(document))["tasks"]["nodes"]]
    assert names == ["t1", "t4", "t3", "t2", "t0"]
