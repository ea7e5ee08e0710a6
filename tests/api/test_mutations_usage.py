"""reportUsage, from outside: every record stands alone, every call counts once."""

from typing import Any

import pytest

from tests.api.mutate import events, mutate, new_task
from tests.client import Server

USAGE = """query Usage($id: ID!) { task(id: $id) {
  revision usage { inputTokens cacheReadTokens cacheWrite5mTokens cacheWrite1hTokens outputTokens reasoningTokens
                   callCount costUsd unpricedCallCount }
  usageRecords { nodes { at model provider costUsd reportedCostUsd costSource } } } }"""


def call(key: str, **values: Any) -> dict[str, Any]:
    """A record that is fine."""
    return {
        "dedupKey": key,
        "at": "2026-11-20T12:00:00Z",
        "model": "claude-sonnet-4-5",
        "provider": "anthropic",
        "inputTokens": 10,
        "outputTokens": 20,
        **values,
    }


async def test_a_call_is_counted_on_its_task(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    tokens = {"cacheReadTokens": 3, "cacheWrite5mTokens": 4, "cacheWrite1hTokens": 5, "reasoningTokens": 6}
    answer = await mutate(
        server, "reportUsage", records=[call("a", taskId=task_id, reportedCostUsd=0.123456789, **tokens)]
    )
    assert answer == {"__typename": "ReportUsageSuccess", "writtenCount": 1, "duplicateCount": 0, "rejected": []}
    task = (await server.query(USAGE, id=task_id))["task"]
    assert task["usage"] == {
        "inputTokens": 10,
        "outputTokens": 20,
        **tokens,
        "callCount": 1,
        "costUsd": 0.123456789,
        "unpricedCallCount": 0,
    }
    (record,) = task["usageRecords"]["nodes"]
    assert (record["at"], record["costSource"], record["reportedCostUsd"]) == (
        "2026-11-20T12:00:00.000Z",
        "REPORTED",
        0.123456789,
    )
    assert len(await events(server, "tasks")) == 2


async def test_the_same_key_again_counts_nothing(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    records = [call("a", taskId=task_id), call("b", taskId=task_id)]
    assert (await mutate(server, "reportUsage", records=records))["writtenCount"] == 2
    before = await server.query(USAGE, id=task_id)
    again = await mutate(
        server, "reportUsage", records=[*records, call("c", taskId=task_id), call("c", taskId=task_id)]
    )
    assert (again["writtenCount"], again["duplicateCount"], again["rejected"]) == (1, 3, [])
    after = await server.query(USAGE, id=task_id)
    assert after["task"]["usage"]["callCount"] == before["task"]["usage"]["callCount"] + 1 == 3


async def test_bad_records_are_rejected_one_by_one(server: Server) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"model": ""}, "model"),
        ({"model": "m" * 201}, "model"),
        ({"provider": "\x00"}, "provider"),
        ({"dedupKey": " "}, "dedupKey"),
        ({"dedupKey": "k" * 201}, "dedupKey"),
        ({"inputTokens": -1}, "inputTokens"),
        ({"cacheWrite1hTokens": 2**53 - 1}, "cacheWrite1hTokens"),
        ({"reasoningTokens": 100_000_001}, "reasoningTokens"),
        ({"reportedCostUsd": -0.01}, "reportedCostUsd"),
        ({"reportedCostUsd": 10_000.5}, "reportedCostUsd"),
        ({"at": "1970-01-01T00:00:00Z"}, "at"),
        ({"taskId": "task_" + "0" * 32}, "taskId"),
        ({"taskId": "no id"}, "taskId"),
    ]
    records = [call("good 1"), *(call(f"bad {n}", **values) if "dedupKey" not in values else {**call(""), **values}
                                 for n, (values, _) in enumerate(bad)), call("good 2", model="of-my-own")]  # fmt: skip
    answer = await mutate(server, "reportUsage", records=records)
    assert (answer["writtenCount"], answer["duplicateCount"]) == (2, 0)
    assert [entry["path"] for entry in answer["rejected"]] == [
        ["records", str(n), field] for n, (_, field) in enumerate(bad, start=1)
    ]
    assert {entry["code"] for entry in answer["rejected"]} == {"INVALID_INPUT"}


async def test_nothing_is_written_when_all_are_rejected(server: Server) -> None:
    answer = await mutate(server, "reportUsage", records=[call("a", inputTokens=-5)])
    assert (answer["writtenCount"], len(answer["rejected"])) == (0, 1)
    assert (await mutate(server, "reportUsage", records=[call("a")]))["writtenCount"] == 1


async def test_a_full_batch(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    answer = await mutate(server, "reportUsage", records=[call(f"call {n}", taskId=task_id) for n in range(1_000)])
    assert (answer["writtenCount"], answer["rejected"]) == (1_000, [])
    usage = (await server.query(USAGE, id=task_id))["task"]["usage"]
    assert (usage["callCount"], usage["inputTokens"]) == (1_000, 10_000)


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_of_records_has_a_size(server: Server, count: int) -> None:
    answer = await mutate(server, "reportUsage", records=[call("a")] * count)
    assert (answer["__typename"], answer["code"], answer["path"]) == ("InvalidInput", "INVALID_INPUT", ["records"])
