"""node, nodes, viewer and health, from outside."""

from datetime import datetime, timedelta

import pytest

from db.models.access import UserRow
from db.models.base import Row
from db.statements import Statement, raw_statement
from domain.ids import new_id, show_id
from resolvers.access import is_viewer
from resolvers.context import SCOPES, Context, Viewer
from settings import VERSION, now
from tests.batching.fleet import records
from tests.client import Server

NODES = "query Nodes($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on User { name isViewer } } }"
NODE = "query Node($id: ID!) { node(id: $id) { __typename id } }"
TABLES = {
    "Task": "tasks",
    "ToolCall": "tool_calls",
    "Agent": "agents",
    "Conversation": "conversations",
    "Message": "messages",
    "UsageRecord": "usage_records",
    "User": "users",
    "Host": "hosts",
    "Project": "projects",
}
PREFIXES = {"ToolCall": "tool", "UsageRecord": "usage"}
NEW_USER = raw_statement(
    "INSERT INTO users (id, subject, name, created_at) VALUES ($1, 'ada', 'Ada', now())"
    " RETURNING id, subject, name, email, created_at",
    UserRow,
)


async def _user(server: Server) -> UserRow:
    async with server.database.write() as transaction:
        (row,) = await transaction.fetch(NEW_USER, new_id(now()))
    return row


async def _ids(server: Server) -> dict[str, str]:
    """An id per type."""
    await server.write(records())
    await _user(server)
    ids = {}
    for name, table in TABLES.items():
        one: Statement[Row] = raw_statement(f"SELECT id FROM {table} ORDER BY id LIMIT 1")
        (row,) = await server.database.read.fetch(one)
        ids[name] = show_id(PREFIXES.get(name, name.lower()), row["id"])
    return ids


async def test_anything_by_its_id(server: Server) -> None:
    ids = await _ids(server)
    for name, id_ in ids.items():
        assert (await server.query(NODE, id=id_))["node"] == {"__typename": name, "id": id_}


async def test_nodes_answer_each_id_in_order_by_one_statement_per_kind(server: Server) -> None:
    ids = await _ids(server)
    asked = [*ids.values(), "nonsense", *reversed(ids.values()), "story_" + "0" * 32, "task_" + "0" * 32]
    before = server.statement_count
    nodes = (await server.query(NODES, ids=asked))["nodes"]
    assert server.statement_count - before == len(ids) + 1  # the story is asked for, and is not there
    known = set(ids.values())
    assert [node and node["id"] for node in nodes] == [id_ if id_ in known else None for id_ in asked]
    assert [node["name"] for node in nodes if node and node["__typename"] == "User"] == ["Ada", "Ada"]
    assert (await server.query(NODES, ids=[]))["nodes"] == []


@pytest.mark.parametrize(
    "id_",
    ["", "task", "task_", "task_0", "0" * 32, "run_" + "0" * 32, "Task_" + "0" * 32, "task_" + "g" * 32, "t\0"],
)
async def test_what_is_no_id_finds_nothing(server: Server, id_: str) -> None:
    assert (await server.query(NODE, id=id_))["node"] is None


async def test_a_hundred_nodes_at_most(server: Server) -> None:
    assert (await server.query(NODES, ids=["x"] * 100))["nodes"] == [None] * 100
    error = await server.error(NODES, ids=["x"] * 101)
    assert error["extensions"] == {"code": "INVALID_INPUT", "argument": "ids"}
    assert "up to 100" in error["message"]


async def test_the_viewer(server: Server) -> None:
    viewer = (await server.query("{ viewer { user { id } scopes } }"))["viewer"]
    assert viewer == {"user": None, "scopes": list(SCOPES)}
    ada = await _user(server)
    (node,) = (await server.query(NODES, ids=[show_id("user", ada.id)]))["nodes"]
    assert (node["name"], node["isViewer"]) == ("Ada", False)


async def test_a_user_is_the_viewer_who_signed_in_as_them(server: Server) -> None:
    ada = await _user(server)
    for user_id, expected in ((ada.id, True), (new_id(now()), False), (None, False)):
        viewer = Viewer("key", frozenset(SCOPES), user_id)
        context = Context(viewer, server.database, server.bus, server.hub, now, "0")
        assert is_viewer(ada, context) is expected


async def test_health_tells_that_redis_is_away(server: Server) -> None:
    document = "{ health { status version at } }"
    health = (await server.query(document))["health"]
    assert (health["status"], health["version"]) == ("OK", VERSION)
    assert now() - timedelta(minutes=1) < datetime.fromisoformat(health["at"]) <= now()
    await server.bus.close()
    assert (await server.query(document))["health"]["status"] == "DEGRADED"
