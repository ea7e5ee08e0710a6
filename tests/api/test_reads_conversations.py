"""conversations, conversation, their messages and tasks, from outside."""

from pathlib import Path
from typing import Any

from domain.ids import show_id
from domain.records import Batch, ConversationRecord, MessageRecord, ProjectRecord, Ref, TaskRecord
from tests.client import Server
from tests.storage.build import at

THREAD = (Path(__file__).parents[2] / "graphql/operations/ConversationThread.graphql").read_text()
TITLES = """
query Titles($first: Int, $after: String, $filter: ConversationFilter) {
  conversations(first: $first, after: $after, filter: $filter) {
    nodes { title }
    pageInfo { hasNextPage endCursor }
    totalCount
  }
}
"""
MESSAGES = """
query Messages($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  conversation(id: $id) {
    messages(first: $first, after: $after, last: $last, before: $before) {
      nodes { text }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}
"""


def _talk(n: int, **values: Any) -> ConversationRecord:
    return ConversationRecord("test", f"c{n}", at(n), at(n), title=str(n), **values)


def _message(talk: int, n: int, **values: Any) -> MessageRecord:
    return MessageRecord(Ref("test", f"c{talk}"), "USER", at(n), str(n), f"m{n}", **values)


def _task(talk: int, n: int) -> TaskRecord:
    return TaskRecord(
        "test", f"c{talk}t{n}", "ENGINE", at(n), at(n), title=str(n), conversation=Ref("test", f"c{talk}")
    )


async def _titles(server: Server, **variables: Any) -> list[str]:
    return [node["title"] for node in (await server.query(TITLES, **variables))["conversations"]["nodes"]]


async def _id(server: Server, batch: Batch, talk: int = 0) -> str:
    return show_id("conversation", (await server.write(batch)).conversation_ids["test", f"c{talk}"])


async def test_pages_newest_first_stay_while_conversations_and_messages_arrive(server: Server) -> None:
    await server.write(Batch(conversations=[_talk(n) for n in range(5)]))
    first = (await server.query(TITLES, first=2))["conversations"]
    assert ([node["title"] for node in first["nodes"]], first["totalCount"]) == (["4", "3"], 5)
    later = _message(1, 100)
    await server.write(Batch(conversations=[_talk(9), _talk(1)], messages=[later]))
    after = first["pageInfo"]["endCursor"]
    assert await _titles(server, after=after) == ["2", "1", "0"]
    assert (await _titles(server))[0] == "9"


async def test_filters(server: Server) -> None:
    await server.write(
        Batch(
            projects=[ProjectRecord("k", "one")],
            conversations=[
                _talk(0, tags=("a", "b"), host="laptop", project_key="k"),
                _talk(1, tags=("b",), flow_id="jira:ABC-1"),
                _talk(2),
            ],
        )
    )
    host_and_project = "{ conversations { nodes { title host { id } project { id name } } } }"
    placed = (await server.query(host_and_project))["conversations"]["nodes"][-1]
    assert placed["project"]["name"] == "one"
    assert await _titles(server, filter={"hostId": [placed["host"]["id"]]}) == ["0"]
    assert await _titles(server, filter={"projectId": [placed["project"]["id"]]}) == ["0"]
    assert await _titles(server, filter={"ownerId": ["user_" + "0" * 32]}) == []
    assert await _titles(server, filter={"tag": ["a"]}) == ["0"]
    assert await _titles(server, filter={"tag": ["a", "b"]}) == ["1", "0"]
    assert await _titles(server, filter={"tag": []}) == []
    assert await _titles(server, filter={"tag": None, "flowId": "jira:ABC-1"}) == ["1"]
    assert await _titles(server, filter={"flowId": "jira:\0"}) == []
    assert await _titles(server, filter={"tag": ["b"], "flowId": "jira:ABC-1"}) == ["1"]
    span = {"from": at(0).isoformat(), "to": at(2).isoformat()}
    assert await _titles(server, filter={"updatedAt": {"between": span}}) == ["1", "0"]
    assert await _titles(server, filter={"updatedAt": {"lastMs": 1}}) == []
    error = await server.error(TITLES, filter={"updatedAt": {"lastMs": 0}})
    assert error["extensions"] == {"code": "INVALID_RANGE", "argument": "filter"}


async def test_messages_forwards_and_backwards(server: Server) -> None:
    id_ = await _id(server, Batch(conversations=[_talk(0)], messages=[_message(0, n) for n in range(5)]))

    async def page(**variables: Any) -> tuple[list[str], dict[str, Any]]:
        messages = (await server.query(MESSAGES, id=id_, **variables))["conversation"]["messages"]
        return [node["text"] for node in messages["nodes"]], messages["pageInfo"]

    texts, info = await page(last=2)
    assert (texts, info["hasPreviousPage"], info["hasNextPage"]) == (["3", "4"], True, False)
    newest = info["endCursor"]
    texts, info = await page(last=2, before=info["startCursor"])
    assert (texts, info["hasPreviousPage"], info["hasNextPage"]) == (["1", "2"], True, True)
    texts, info = await page(first=3)
    assert (texts, info["hasPreviousPage"], info["hasNextPage"]) == (["0", "1", "2"], False, True)
    await server.write(Batch(messages=[_message(0, 5)]))
    assert (await page(after=newest))[0] == ["5"]
    for variables in ({"first": 1, "last": 1}, {"last": 101}, {"first": 0}):
        error = await server.error(MESSAGES, id=id_, **variables)
        assert error["extensions"]["code"] == "INVALID_PAGE_SIZE"
    error = await server.error(
        MESSAGES, id=id_, after=(await server.query(EVENT_CURSOR))["conversations"]["eventCursor"]
    )
    assert error["extensions"] == {"code": "INVALID_CURSOR", "argument": "after"}
    assert "event cursor" in error["message"]


EVENT_CURSOR = "{ conversations { eventCursor } }"


async def test_a_thread(server: Server) -> None:
    id_ = await _id(
        server,
        Batch(
            conversations=[_talk(0, tags=("ci",))],
            tasks=[_task(0, 1), _task(0, 0)],
            messages=[_message(0, 0, task=Ref("test", "c0t0"))],
        ),
    )
    found = (await server.query(THREAD, id=id_))["conversation"]
    assert (found["title"], found["tags"], found["usage"]["callCount"]) == ("0", ["ci"], 0)
    assert found["messages"]["nodes"][0]["task"]["id"] == found["tasks"]["nodes"][0]["id"]
    assert ([task["title"] for task in found["tasks"]["nodes"]], found["tasks"]["totalCount"]) == (["0", "1"], 2)
    for unknown in ("conversation_" + "0" * 32, "task_" + "0" * 32, ""):
        assert (await server.query(THREAD, id=unknown))["conversation"] is None


NESTED = """
{
  conversations(first: 50) {
    nodes {
      usage { callCount }
      owner { id } host { id } project { id }
      messages(first: 3) { nodes { text task { id } } }
      tasks(first: 3) { nodes { id agent { id } } totalCount }
    }
  }
}
"""


async def test_statements_do_not_grow_with_conversations(server: Server) -> None:
    def batch(numbers: range) -> Batch:
        return Batch(
            projects=[ProjectRecord("k", "one")],
            conversations=[_talk(n, host="laptop", project_key="k") for n in numbers],
            messages=[_message(n, m, task=Ref("test", f"c{n}t0")) for n in numbers for m in (1, 2)],
            tasks=[_task(n, m) for n in numbers for m in (0, 1)],
        )

    counts = []
    for numbers in (range(1), range(50)):
        await server.write(batch(numbers))
        before = server.statement_count
        nodes = (await server.query(NESTED))["conversations"]["nodes"]
        counts.append(server.statement_count - before)
        assert [len(node["messages"]["nodes"]) for node in nodes] == [2] * len(numbers)
        assert [node["tasks"]["totalCount"] for node in nodes] == [2] * len(numbers)
    assert counts == [8, 8]
