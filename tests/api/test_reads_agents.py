"""agents, agent, agentByName and currentTasks, from outside."""

from pathlib import Path
from typing import Any

import pytest

from domain.records import AgentRecord, Batch, TaskRecord
from tests.client import Server
from tests.storage.build import START, at

AGENT_LIST = (Path(__file__).parents[2] / "graphql/operations/AgentList.graphql").read_text()
NAMES = """
query Names($first: Int, $after: String, $filter: AgentFilter) {
  agents(first: $first, after: $after, filter: $filter) {
    nodes { name }
    edges { cursor node { name } }
    pageInfo { hasNextPage hasPreviousPage endCursor }
    totalCount
  }
}
"""
BY_NAME_HOST = "query Host($name: String!) { agentByName(name: $name) { host { id } } }"
BY_NAME = "query ByName($name: String!, $hostId: ID) { agentByName(name: $name, hostId: $hostId) { id host { name } } }"


def _agent(name: str, host: str | None = "laptop", **values: Any) -> AgentRecord:
    return AgentRecord(name, host, **values)


async def _names(server: Server, **variables: Any) -> list[str]:
    return [node["name"] for node in (await server.query(NAMES, **variables))["agents"]["nodes"]]


async def test_pages_in_order_of_name_stay_while_agents_arrive(server: Server) -> None:
    await server.write(Batch(agents=[_agent(name) for name in ("b", "d", "f", "h", "h" * 200)]))
    first = (await server.query(NAMES, first=2))["agents"]
    assert ([node["name"] for node in first["nodes"]], first["totalCount"]) == (["b", "d"], 5)
    assert [edge["node"] for edge in first["edges"]] == first["nodes"]
    assert first["pageInfo"]["endCursor"] == first["edges"][-1]["cursor"]
    await server.write(Batch(agents=[_agent("a"), _agent("e"), _agent("f", "server")]))
    second = (await server.query(NAMES, first=4, after=first["pageInfo"]["endCursor"]))["agents"]
    assert [node["name"] for node in second["nodes"]] == ["e", "f", "f", "h"]
    assert (second["pageInfo"]["hasPreviousPage"], second["pageInfo"]["hasNextPage"]) == (True, True)
    third = (await server.query(NAMES, after=second["pageInfo"]["endCursor"]))["agents"]
    assert ([node["name"] for node in third["nodes"]], third["pageInfo"]["hasNextPage"]) == (["h" * 200], False)
    assert await _names(server, after=third["pageInfo"]["endCursor"]) == []


async def test_filters(server: Server) -> None:
    await server.write(
        Batch(
            agents=[
                _agent("a", type="PLANNING", status="BUSY"),
                _agent("b", type="EXECUTOR", status="IDLE"),
                _agent("c", "server", type="EXECUTOR", status="BUSY"),
            ]
        )
    )
    host_id = (await server.query(BY_NAME_HOST, name="c"))["agentByName"]["host"]["id"]
    assert await _names(server, filter={"type": ["EXECUTOR"]}) == ["b", "c"]
    assert await _names(server, filter={"type": ["EXECUTOR", "PLANNING"], "status": ["BUSY"]}) == ["a", "c"]
    assert await _names(server, filter={"hostId": [host_id, "nonsense"]}) == ["c"]
    assert await _names(server, filter={"hostId": ["nonsense"]}) == []
    assert await _names(server, filter={"status": []}) == []
    assert await _names(server, filter={"status": None}) == ["a", "b", "c"]
    assert await _names(server, filter=None) == ["a", "b", "c"]


async def test_by_name(server: Server) -> None:
    await server.write(
        Batch(
            agents=[
                _agent("claude", "old", last_seen_at=at(1)),
                _agent("claude", "new", last_seen_at=at(2)),
                _agent("claude", "silent"),
                _agent("only", "old", last_seen_at=at(1)),
            ]
        )
    )
    assert (await server.query(BY_NAME, name="only"))["agentByName"]["host"]["name"] == "old"
    assert (await server.query(BY_NAME, name="claude"))["agentByName"]["host"]["name"] == "new"
    await server.write(Batch(agents=[_agent("claude", None)]))
    assert (await server.query(BY_NAME, name="claude"))["agentByName"]["host"] is None
    old = (await server.query(BY_NAME_HOST, name="only"))["agentByName"]["host"]["id"]
    found = (await server.query(BY_NAME, name="claude", hostId=old))["agentByName"]
    assert found["host"]["name"] == "old"
    assert (await server.query("query One($id: ID!) { agent(id: $id) { id name } }", id=found["id"]))["agent"] == {
        "id": found["id"],
        "name": "claude",
    }


@pytest.mark.parametrize(
    "variables",
    [{"name": "Claude"}, {"name": "cl\0aude"}, {"name": ""}, {"name": "claude", "hostId": "host_" + "0" * 32}],
)
async def test_a_name_that_nobody_has(server: Server, variables: dict[str, str]) -> None:
    await server.write(Batch(agents=[_agent("claude")]))
    assert (await server.query(BY_NAME, **variables))["agentByName"] is None
    assert (await server.query('{ agent(id: "agent_x") { id } }'))["agent"] is None


def _task(n: int, agent: str, status: str) -> TaskRecord:
    return TaskRecord(
        "test", f"{agent}/{n}", "ENGINE", at(n), at(n), status=status, agent_name=agent, host="laptop", title=str(n)
    )


async def test_current_tasks_are_those_that_have_not_ended_newest_first(server: Server) -> None:
    statuses = ("QUEUED", "COMPLETED", "RUNNING", "FAILED", "WAITING_INPUT", "CANCELLED")
    tasks = [_task(n, "claude", status) for n, status in enumerate(statuses)]
    await server.write(Batch(agents=[_agent("claude")], tasks=tasks))
    (agent,) = (await server.query(AGENT_LIST, tasks=2))["agents"]["nodes"]
    assert [task["title"] for task in agent["currentTasks"]["nodes"]] == ["4", "2"]
    assert agent["currentTasks"]["totalCount"] == 3


async def test_statements_do_not_grow_with_agents(server: Server) -> None:
    await server.write(Batch(agents=[_agent("a0", last_seen_at=START)], tasks=[_task(0, "a0", "RUNNING")]))
    before = server.statement_count
    assert len((await server.query(AGENT_LIST))["agents"]["nodes"]) == 1
    for_one = server.statement_count - before
    names = [f"a{n}" for n in range(50)]
    await server.write(
        Batch(agents=[_agent(name) for name in names], tasks=[_task(n, a, "RUNNING") for a in names for n in (1, 2)])
    )
    before = server.statement_count
    assert len((await server.query(AGENT_LIST))["agents"]["nodes"]) == 50
    assert server.statement_count - before == for_one == 5
