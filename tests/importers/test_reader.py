"""What rows mean: prompts become tasks, turns end, what was read goes on."""

from datetime import timedelta
from typing import Any

import pytest

from domain.records import Ref, TaskRecord
from tests.importers.build import (
    LATER,
    ORIGIN,
    SESSION,
    START,
    Row,
    answer,
    by_name,
    command,
    launch,
    make_reader,
    one,
    prompt,
    read,
    result,
    row,
    tokens,
    use,
)

SOON = START + timedelta(minutes=5)


def test_a_prompt_with_its_answer_is_a_completed_task() -> None:
    batch = read(
        prompt("p", "Fix the bug\nplease"), answer("a", {"type": "thinking", "thinking": "hm"}, "Fixed.", seconds=4)
    )
    task = one(batch)
    assert (task.external_id, task.title, task.input) == ("p", "Fix the bug", "Fix the bug\nplease")
    assert (task.status, task.source_status, task.result, task.model) == (
        "COMPLETED",
        "end_turn",
        "Fixed.",
        "claude-sonnet-4-5-20250929",
    )
    assert (task.created_at, task.ended_at) == (START, START + timedelta(seconds=4))
    assert (task.agent_name, task.git_branch, task.project_key) == ("claude-code", "main", "laptop:/home/ada/shop")
    assert task.conversation == Ref(ORIGIN, SESSION)
    assert [(message.role, message.text, message.external_id) for message in batch.messages] == [
        ("USER", "Fix the bug\nplease", "p"),
        ("ASSISTANT", "Fixed.", "a"),
    ]
    assert [(log.stream, log.text) for log in batch.logs] == [("THINKING", "hm"), ("STDOUT", "Fixed.")]
    assert [(project.key, project.name) for project in batch.projects] == [("laptop:/home/ada/shop", "shop")]
    assert [(agent.name, agent.type) for agent in batch.agents] == [("claude-code", "EXECUTOR")]


def test_the_project_is_the_folder_that_the_session_was_started_in() -> None:
    batch = read(prompt("p"), answer("a", "ok", cwd="/home/ada/shop/src"), prompt("q", cwd="/home/ada/shop/src"))
    assert {task.project_key for task in batch.tasks} == {"laptop:/home/ada/shop"}


def test_tool_calls_have_results_and_lines() -> None:
    batch = read(
        prompt("p"),
        answer("a", use("t1"), stop="tool_use"),
        result("r", "t1", [{"type": "text", "text": "No such file"}], seconds=3, error=True),
        answer("b", "Sorry", seconds=4),
    )
    begun, ended = batch.tool_calls
    assert (begun.external_id, begun.name, begun.input, begun.succeeded) == ("t1", "Bash", '{"command":"ls"}', None)
    assert (ended.name, ended.output, ended.succeeded) == ("Bash", "No such file", False)
    assert ended.started_at == START + timedelta(seconds=1)
    assert ended.ended_at == START + timedelta(seconds=3)
    assert [(log.stream, log.level) for log in batch.logs][:2] == [("TOOL_CALL", "INFO"), ("TOOL_RESULT", "ERROR")]
    assert batch.logs[0].text == 'Bash {"command":"ls"}'


def test_a_result_without_its_call_is_kept() -> None:
    call = read(result("r", "t9", seconds=1), answer("a", use("t1"), stop="tool_use"), result("s", "t8", seconds=3))
    assert [(record.external_id, record.name) for record in call.tool_calls] == [("t1", "Bash"), ("t8", "unknown")]


@pytest.mark.parametrize("output", ["x" * 100_000, "\x00nul"])
def test_tool_output_is_bounded_and_storable(output: str) -> None:
    batch = read(prompt("p"), answer("a", use("t1"), stop="tool_use"), result("r", "t1", output))
    text = batch.tool_calls[-1].output
    assert text is not None
    assert len(text) < 66_000
    assert "\x00" not in text


def test_work_before_the_first_prompt_is_a_task() -> None:
    task = one(read(answer("a", "still here")))
    assert (task.external_id, task.title, task.input) == ("a", "Work before the first prompt", None)


def test_rows_without_time_take_the_time_before() -> None:
    bare = answer("b", "ok")
    del bare["timestamp"]
    assert one(read(prompt("p", seconds=9), bare)).ended_at == START + timedelta(seconds=9)


def test_timestamps_may_go_back() -> None:
    task = one(read(prompt("p", seconds=5), answer("a", "ok", seconds=2)))
    assert (task.created_at, task.ended_at) == (START + timedelta(seconds=5), START + timedelta(seconds=5))


# How turns end


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([prompt("i", "[Request interrupted by user]", 2)], ("CANCELLED", "interrupted")),
        ([answer("a", "Error", isApiErrorMessage=True, model="<synthetic>")], ("FAILED", "api_error")),
        ([answer("a", use("t"), stop="tool_use")], ("CANCELLED", "abandoned")),
        ([answer("a", "text", stop=None)], ("COMPLETED", "answered")),
        ([answer("a", "text", stop="max_tokens")], ("COMPLETED", "max_tokens")),
        ([row("system", "s", 2, subtype="api_error", error={"status": 529})], ("FAILED", "api_error")),
        (
            [answer("a", "text", stop=None), row("system", "s", 2, subtype="turn_duration", durationMs=5)],
            ("COMPLETED", "turn_duration"),
        ),
        ([], ("CANCELLED", "abandoned")),
    ],
)
def test_a_turn_ends_as_its_last_rows_say(rows: list[Row], expected: tuple[str, str]) -> None:
    task = one(read(prompt("p"), *rows))
    assert (task.status, task.source_status) == expected
    assert task.ended_at is not None


def test_a_turn_that_is_silent_for_a_while_is_running() -> None:
    task = one(read(prompt("p"), answer("a", use("t"), stop="tool_use"), now=SOON))
    assert (task.status, task.ended_at) == ("RUNNING", None)


def test_a_question_waits_for_input_and_its_answer_goes_on() -> None:
    reader = make_reader()
    asked = read(prompt("p"), answer("a", use("t", "AskUserQuestion"), stop="tool_use"), reader=reader, now=SOON)
    assert one(asked).status == "WAITING_INPUT"
    assert reader.is_open
    assert one(read(result("r", "t", seconds=400), reader=reader, now=SOON)).status == "RUNNING"


def test_an_open_turn_is_given_up_by_time_alone() -> None:
    reader = make_reader()
    read(prompt("p"), reader=reader, now=SOON)
    reader = make_reader(state=reader.state())
    assert (one(read(reader=reader)).status, reader.is_open) == ("CANCELLED", False)


def test_an_api_error_names_its_type_and_shows_the_retry() -> None:
    inner = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
    batch = read(
        prompt("p"),
        row(
            "system",
            "s",
            1,
            subtype="api_error",
            level="error",
            error={"status": 429, "error": inner},
            retryInMs=1500,
            retryAttempt=2,
            maxRetries=10,
        ),
        answer("a", "API Error", isApiErrorMessage=True, model="<synthetic>", usage=tokens(0)),
    )
    task = one(batch)
    assert (task.error_type, task.error_message, task.model) == ("rate_limit_error", "API Error", None)
    assert [(log.level, log.text) for log in batch.logs] == [
        ("ERROR", "API error 429 rate_limit_error: Slow down (retry 2 of 10 in 1.5 s)"),
        ("ERROR", "API Error"),
    ]
    assert batch.usage == []


def test_work_after_a_stopped_turn_is_a_task_of_its_own() -> None:
    notice = "<task-notification><task-id>b1</task-id><status>completed</status><summary>Build done</summary>"
    batch = read(
        prompt("p"),
        prompt("i", "[Request interrupted by user]", 1),
        prompt("n", notice + "</task-notification>", 2),
        answer("a", "The build is done", seconds=3),
        answer("x", "Failed", seconds=4, isApiErrorMessage=True),
        answer("y", "Going on", seconds=5),
    )
    assert [(task.external_id, task.status, task.title) for task in batch.tasks] == [
        ("p", "CANCELLED", "Fix the bug"),
        ("n", "COMPLETED", "Build done"),
    ]


def test_a_notification_goes_on_with_the_turn_that_started_it() -> None:
    batch = read(
        prompt("p"),
        answer("a", "Started"),
        prompt("n", "<task-notification><summary>Build done</summary></task-notification>", 2),
        answer("b", "It is done", seconds=3),
    )
    assert one(batch).result == "It is done"
    assert [log.text for log in batch.logs] == ["Started", "Build done", "It is done"]


# Commands


def test_a_command_that_the_agent_works_on_is_a_prompt() -> None:
    batch = read(
        command("c", "review"), prompt("m", "Look at the diff", 1, isMeta=True), answer("a", "Fine", seconds=2)
    )
    task = one(batch)
    assert (task.external_id, task.title) == ("c", "/review")
    assert [message.text for message in batch.messages] == ["/review", "Fine"]


def test_a_command_of_the_interface_is_none() -> None:
    batch = read(
        prompt("p"),
        answer("a", "ok"),
        command("c", "model"),
        prompt("e", "<local-command-stdout>Set model</local-command-stdout>", 1),
        prompt("q", "Next", 2),
        answer("b", "ok", seconds=3),
    )
    assert list(by_name(batch)) == ["p", "q"]
    assert "Set model" in [log.text for log in batch.logs]


def test_a_command_with_an_echo_and_instructions_is_a_prompt() -> None:
    batch = read(
        command("c", "goal"),
        prompt("e", "<local-command-stdout>Goal set</local-command-stdout>", 1),
        prompt("m", "A Stop hook is now active", 1, isMeta=True),
        answer("a", "done", seconds=2),
    )
    assert one(batch).title == "/goal"


def test_a_prompt_typed_during_the_turn_is_a_message() -> None:
    attachment = {"type": "queued_command", "prompt": "and the tests", "commandMode": "prompt"}
    queued = row("queue-operation", None, 2, operation="enqueue", content="and the tests")
    batch = read(prompt("p"), queued, row("attachment", "q", 3, attachment=attachment), answer("a", "ok", seconds=4))
    one(batch)
    assert [message.text for message in batch.messages] == ["Fix the bug", "and the tests", "ok"]


# Conversations


def test_the_best_title_wins_and_of_those_the_last() -> None:
    titles = [
        {"type": "summary", "summary": "of another session, above the first row"},
        prompt("p"),
        {"type": "ai-title", "aiTitle": "one", "sessionId": SESSION},
        {"type": "custom-title", "customTitle": "mine", "sessionId": SESSION},
        {"type": "ai-title", "aiTitle": "two", "sessionId": SESSION},
        {"type": "summary", "summary": "a summary"},
    ]
    assert read(*titles).conversations[0].title == "mine"
    assert read(*titles[:3], titles[4]).conversations[0].title == "two"
    assert read(titles[1]).conversations[0].title == "Fix the bug"


def test_several_sessions_may_share_a_file() -> None:
    batch = read(prompt("p"), prompt("q", "Other", 1, sessionId="other"), answer("a", "ok", seconds=2))
    assert {record.external_id for record in batch.conversations} == {SESSION, "other"}
    assert by_name(batch)["p"].result == "ok"


def test_unknown_kinds_and_odd_rows_never_fail() -> None:
    odd: list[Any] = [
        row("atis-latch", "u", 1, latch={"a": 1}),
        row("assistant", "v", 1, message="text"),
        row("assistant", "w", 1, message={"content": [None, "x", {"type": 3}, {"type": "text", "text": None}]}),
        row("user", "x", 1, message={"contenst": []}),
        row("user", "y", 1, message={"role": "user", "content": ["wow"]}, toolUseResult="text"),
        row("system", "z", 1, subtype=7, content=[]),
        row("progress", "o", 1, data="x"),
        row("attachment", "n", 1, attachment=None),
        row("queue-operation", None, 1, content=None),
        {"type": "ai-title", "aiTitle": 5},
        {"type": "user", "sessionId": 5, "timestamp": 7, "uuid": [], "message": {"content": "x"}},
    ]
    batch = read(prompt("p"), *odd)
    assert "atis-latch" in (batch.logs[0].text or "")
    assert batch.logs[0].level == "DEBUG"


# Usage


def test_each_usage_row_is_told_with_its_ids_and_its_place() -> None:
    batch = read(
        prompt("p"),
        answer("a", "x", usage=tokens(1, speed="standard"), message_id="m", request_id="r", stop=None),
        answer("b", "y", usage=tokens(5), message_id="m", request_id="r"),
        answer("c", "z", usage=tokens(9), model="<synthetic>"),
    )
    first, second = batch.usage
    assert (first.message_id, first.request_id, first.location, first.raw) == (
        "m",
        "r",
        "a.jsonl:2",
        {"speed": "standard"},
    )
    assert (second.tokens.output, second.location, second.session_id) == (5, "a.jsonl:3", SESSION)
    assert first.task == Ref(ORIGIN, "p")


def test_legacy_rows_report_their_cost() -> None:
    legacy = {"message": {"role": "assistant", "usage": tokens()}, "costUSD": 0.12, "sessionId": "s"}
    entry = read(legacy).usage[0]
    assert (str(entry.reported_cost_usd), entry.model) == ("0.12", "unknown")


# Reading on, and reading again


def test_reading_on_from_the_state_is_like_reading_through() -> None:
    rows = [
        *launch(status="async_launched"),
        command("c", "review"),
        answer("b", use("t2"), seconds=5, stop="tool_use"),
        result("s", "t2", seconds=6),
        answer("d", "End", seconds=7),
    ]
    through = make_reader()
    whole = by_name(read(*rows, reader=through))
    reader = make_reader()
    joined: dict[str, TaskRecord] = {}
    for item in rows:
        batch = read(item, reader=reader, now=None)
        joined |= by_name(batch)
        reader = make_reader(state=reader.state())
    joined |= by_name(read(reader=reader))
    assert {name: task.status for name, task in joined.items()} == {name: task.status for name, task in whole.items()}
    assert reader.state() == through.state()


def test_rows_that_are_known_write_nothing() -> None:
    rows = [*launch(status="completed"), answer("b", "End", seconds=7, usage=tokens()), prompt("q", "Next", 8)]
    batch = read(*rows, known={"p", "a", "r", "b", "q"})
    assert len(batch) == 0


def test_a_fork_adds_only_what_it_has_more() -> None:
    history = [prompt("p", sessionId="fork"), answer("a", "old", sessionId="fork", usage=tokens())]
    batch = read(*history, answer("b", "new", seconds=9, sessionId="fork"), known={"p", "a"})
    task = one(batch)
    assert (task.external_id, task.title, task.input, task.conversation) == ("p", None, None, None)
    assert [message.text for message in batch.messages] == ["new"]
    assert batch.usage == []
    assert task.updated_at < LATER
