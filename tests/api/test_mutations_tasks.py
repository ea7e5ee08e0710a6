"""reportTask and appendTaskLog, from outside."""

from uuid import UUID

import pytest

from domain.text import MAX_LINE_BYTES
from tests.api.mutate import events, mutate, new_task
from tests.client import Server

NOBODY = "task_" + "0" * 32


async def test_report_runs_and_ends_a_task(server: Server) -> None:
    task_id = await new_task(server)
    running = await mutate(server, "reportTask", taskId=task_id, status="RUNNING", at="2026-11-20T12:00:00Z")
    assert running["__typename"] == "ReportTaskSuccess"
    assert running["task"]["status"] == running["task"]["sourceStatus"] == "RUNNING"
    assert running["task"]["startedAt"] == "2026-11-20T12:00:00.000Z"
    ended = await mutate(
        server,
        "reportTask",
        taskId=task_id,
        status="FAILED",
        result="half of it",
        errorType="Timeout",
        errorMessage="took too long",
        at="2026-11-20T12:01:00+00:00",
    )
    task = ended["task"]
    assert (task["status"], task["result"], task["errorType"]) == ("FAILED", "half of it", "Timeout")
    assert (task["errorMessage"], task["endedAt"]) == ("took too long", "2026-11-20T12:01:00.000Z")
    assert task["startedAt"] == "2026-11-20T12:00:00.000Z"
    assert task["revision"] == running["task"]["revision"] + 1
    told = await events(server, "tasks")
    assert [facts["after"]["status"] for _, facts in told] == ["QUEUED", "RUNNING", "FAILED"]


async def test_report_adds_a_result_to_an_ended_task_and_leaves_its_end(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    first = await mutate(server, "reportTask", taskId=task_id, status="COMPLETED", at="2026-11-20T12:00:00Z")
    second = await mutate(server, "reportTask", taskId=task_id, status="COMPLETED", result="done")
    assert second["task"]["endedAt"] == first["task"]["endedAt"] == "2026-11-20T12:00:00.000Z"
    assert second["task"]["result"] == "done"


@pytest.mark.parametrize(
    ("before", "after"), [("COMPLETED", "RUNNING"), ("CANCELLED", "COMPLETED"), ("RUNNING", "QUEUED")]
)
async def test_a_step_that_is_not_allowed_changes_nothing(server: Server, before: str, after: str) -> None:
    task_id = await new_task(server, status=before)
    answer = await mutate(server, "reportTask", taskId=task_id, status=after, result="late")
    assert (answer["__typename"], answer["code"]) == ("InvalidTransition", "INVALID_TRANSITION")
    assert before in answer["message"]
    assert answer["currentTask"] == {"id": task_id, "status": before}
    assert len(await events(server, "tasks")) == 1


async def test_report_needs_something_to_say(server: Server) -> None:
    answer = await mutate(server, "reportTask", taskId=await new_task(server), status=None, result=None)
    assert answer["code"] == "INVALID_INPUT"
    assert "status" in answer["message"]


@pytest.mark.parametrize(
    "task_id", [NOBODY, "task_1", "conversation_" + "0" * 32, "", "x" * 5_000, "task_\x00", "task_é"]
)
async def test_unknown_tasks_are_not_found(server: Server, task_id: str) -> None:
    report = await mutate(server, "reportTask", taskId=task_id, status="RUNNING")
    log = await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": "hi"}])
    for answer in (report, log):
        assert (answer["__typename"], answer["code"], answer["path"]) == ("NotFound", "NOT_FOUND", ["taskId"])
        assert len(answer["message"]) < 200


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"at": "1999-12-31T23:59:59Z"}, ["at"]),
        ({"at": "2999-01-01T00:00:00Z"}, ["at"]),
        ({"at": "0001-01-01T00:00:00Z"}, ["at"]),
        ({"result": "é" * (128 * 1024 + 1)}, ["result"]),
        ({"errorMessage": "x" * (256 * 1024 + 1)}, ["errorMessage"]),
        ({"errorType": "x" * 201}, ["errorType"]),
        ({"errorType": " "}, ["errorType"]),
        ({"errorType": "a\x00b"}, ["errorType"]),
        ({"idempotencyKey": ""}, ["idempotencyKey"]),
        ({"idempotencyKey": "x" * 201}, ["idempotencyKey"]),
        ({"idempotencyKey": "a\x00b"}, ["idempotencyKey"]),
    ],
)
async def test_report_names_the_field_at_fault(server: Server, values: dict[str, str], path: list[str]) -> None:
    task_id = await new_task(server)
    answer = await mutate(server, "reportTask", taskId=task_id, status="RUNNING", **values)
    assert (answer["__typename"], answer["code"], answer["path"]) == ("InvalidInput", "INVALID_INPUT", path)
    assert len(await events(server, "tasks")) == 1


async def test_hostile_text_is_kept_as_text(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    answer = await mutate(server, "reportTask", taskId=task_id, result="<script>\x00\u202e'; DROP TABLE tasks;--")
    assert answer["task"]["result"] == "<script>\ufffd\u202e'; DROP TABLE tasks;--"


LOG = "query Log($id: ID!) { task(id: $id) { logs(first: 1000) { nodes { seq at level stream text truncated } } } }"


async def test_lines_keep_the_clients_order_and_are_numbered(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    first = await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": f"line {n}"} for n in range(1_000)])
    assert (first["lastSeq"], first["task"]["id"]) == (1_000, task_id)
    late = {"text": "", "at": "2026-11-20T12:00:00.5Z", "level": "ERROR", "stream": "STDERR"}
    second = await mutate(server, "appendTaskLog", taskId=task_id, lines=[late])
    assert second["lastSeq"] == 1_001
    assert second["task"]["revision"] == first["task"]["revision"] == 1
    lines = (await server.query(LOG, id=task_id))["task"]["logs"]["nodes"]
    assert [line["text"] for line in lines] == [f"line {n}" for n in range(1_000)]
    assert [line["seq"] for line in lines] == list(range(1, 1_001))
    assert (lines[0]["level"], lines[0]["stream"], lines[0]["truncated"]) == ("INFO", "STDOUT", False)
    key = str(UUID(task_id.removeprefix("task_")))
    assert await events(server, "logs") == [
        ("LogLinesAppended", {"task": key, "first": 1, "last": 1_000}),
        ("LogLinesAppended", {"task": key, "first": 1_001, "last": 1_001}),
    ]


async def test_a_long_line_is_cut_and_marked(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": "x" + "é" * MAX_LINE_BYTES}])
    (line,) = (await server.query(LOG, id=task_id))["task"]["logs"]["nodes"]
    assert line["truncated"]
    assert line["text"] == "x" + "é" * (MAX_LINE_BYTES // 2 - 1)


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_of_lines_has_a_size(server: Server, count: int) -> None:
    answer = await mutate(server, "appendTaskLog", taskId=await new_task(server), lines=[{"text": "x"}] * count)
    assert (answer["code"], answer["path"]) == ("INVALID_INPUT", ["lines"])


async def test_a_bad_line_is_named_and_nothing_is_appended(server: Server) -> None:
    task_id = await new_task(server)
    lines = [{"text": "a"}, {"text": "b", "at": "1970-01-01T00:00:00Z"}]
    answer = await mutate(server, "appendTaskLog", taskId=task_id, lines=lines)
    assert (answer["code"], answer["path"]) == ("INVALID_INPUT", ["lines", "1", "at"])
    assert await events(server, "logs") == []
