"""The whole way: files → PostgreSQL, once, twice, grown, cut, copied, rewritten."""

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest import group
from ingest.claude_code.files import find_transcripts
from ingest.claude_code.format import ClaudeCode
from ingest.report import Report
from ingest.run import import_files
from tests.importers.build import LATER, SESSION, START, answer, line, prompt, result, row, tokens, use, write
from tests.importers.importer import Fetch, Importer, session_rows

SOON = START + timedelta(minutes=5)


async def test_a_session_becomes_a_conversation_with_a_task(importer: Importer, fetch: Fetch) -> None:
    write(importer.folder / f"{SESSION}.jsonl", session_rows())
    report = await importer.run()
    assert (report.files, report.lines, report.skipped_count) == (1, 5, 0)
    task = (await fetch("SELECT * FROM tasks"))[0]
    assert (task["status"], task["title"], task["result"]) == ("COMPLETED", "Fix the bug", "Tested")
    assert (task["call_count"], task["output_tokens"], task["input_tokens"]) == (2, 14, 6)
    assert task["cost_usd"] > 0
    call = (await fetch("SELECT name, duration_ms, succeeded FROM tool_calls"))[0]
    assert tuple(call) == ("Bash", 1000, True)
    assert [tuple(item) for item in await fetch("SELECT seq, role, text FROM messages ORDER BY seq")] == [
        (1, "USER", "Fix the bug"),
        (2, "ASSISTANT", "Fixed"),
        (3, "ASSISTANT", "Tested"),
    ]
    joined = (
        "SELECT c.title, p.name, h.name FROM conversations c"
        " JOIN projects p ON p.id = project_id JOIN hosts h ON h.id = host_id"
    )
    assert [tuple(item) for item in await fetch(joined)] == [("Fix the bug", "shop", "laptop")]
    assert [event.kind for event in importer.events if event.topic == "tasks"] == ["TaskChanged"]


async def test_importing_twice_changes_nothing(importer: Importer) -> None:
    path = write(importer.folder / f"{SESSION}.jsonl", session_rows())
    write(importer.folder / SESSION / "subagents" / "agent-a1.jsonl", [prompt("x", isSidechain=True)])
    await importer.run()
    before, revisions = await importer.counts(), await importer.tasks("revision, updated_at")
    report = await importer.run()
    assert (report.unchanged_files, report.lines) == (2, 0)
    # Touched without a change, it has nothing new either.
    os.utime(path, (1, 1))
    await importer.run()
    assert await importer.counts() == before
    assert await importer.tasks("revision, updated_at") == revisions


async def test_a_file_that_grew_is_read_on(importer: Importer) -> None:
    rows = [*session_rows(), prompt("q", "Next", 10), answer("d", "Done", seconds=11, usage=tokens(3), message_id="m3")]
    path = write(importer.folder / f"{SESSION}.jsonl", [])
    for count in range(len(rows)):
        write(path, rows[: count + 1])
        report = await importer.run(now=SOON)
        assert report.lines == 1
    assert await importer.tasks("external_id, status, call_count, output_tokens") == [
        ("p", "COMPLETED", 2, 14),
        ("q", "COMPLETED", 1, 3),
    ]
    counts = await importer.counts()
    assert (counts["messages"], counts["log_lines"], counts["tool_calls"]) == (5, 5, 1)


async def test_a_cut_last_line_waits_for_its_rest(importer: Importer) -> None:
    whole = line(answer("a", "Fixed"))
    path = write(importer.folder / "s.jsonl", [prompt("p")])
    with path.open("ab") as file:
        file.write(whole[:40])
    report = await importer.run(now=SOON)
    assert [(waiting.line, report.skipped_count) for waiting in report.waiting] == [(2, 0)]
    with path.open("ab") as file:
        file.write(whole[40:])
    # Whole, though its line feed has not come yet: it is read now, and the line feed later is no line.
    assert (await importer.run(now=SOON)).lines == 1
    assert await importer.tasks() == [("p", "COMPLETED")]
    with path.open("ab") as file:
        file.write(b"\n" + line(prompt("q", "Next", 5)) + b"\nbroken\n")
    report = await importer.run(now=SOON)
    assert report.lines == 2
    assert [(skipped.line, skipped.reason[:8]) for skipped in report.skipped] == [(4, "not JSON")]


async def test_one_bad_line_costs_one_line(importer: Importer) -> None:
    write(importer.folder / "s.jsonl", [prompt("p"), b'{"type": "assi', b"\xff\xfe", b"[]", b"", answer("a", "Fixed")])
    report = await importer.run()
    assert (report.lines, report.skipped_count) == (6, 3)
    assert [skipped.line for skipped in report.skipped] == [2, 3, 4]
    assert await importer.tasks("external_id, result") == [("p", "Fixed")]


async def test_a_file_that_vanished_deletes_nothing(importer: Importer) -> None:
    path = write(importer.folder / "s.jsonl", session_rows())
    write(importer.folder / "t.jsonl", [prompt("q", sessionId="other")])
    await importer.run()
    before = await importer.counts()
    path.unlink()
    await importer.run()
    assert await importer.counts() == before


async def test_a_copy_elsewhere_adds_nothing(importer: Importer, tmp_path: Path) -> None:
    write(importer.folder / "s.jsonl", session_rows())
    await importer.run()
    before = await importer.counts()
    report = await importer.run(write(tmp_path / "backup" / "s.jsonl", session_rows()))
    assert report.repeated_rows == 5
    assert await importer.counts() == before


async def test_a_rewritten_file_is_read_again_and_adds_what_is_new(importer: Importer) -> None:
    path = write(importer.folder / "s.jsonl", session_rows())
    await importer.run()
    before = await importer.counts()
    write(path, [row("mode", None, 0), *session_rows(), prompt("q", "Next", 10), answer("d", "Done", seconds=11)])
    report = await importer.run()
    assert (report.read_again_files, report.repeated_rows) == (1, 5)
    assert await importer.tasks() == [("p", "COMPLETED"), ("q", "COMPLETED")]
    after = await importer.counts()
    assert (after["log_lines"], after["messages"]) == (before["log_lines"] + 1, before["messages"] + 2)


async def test_a_file_that_became_shorter_is_read_again(importer: Importer) -> None:
    path = write(importer.folder / "s.jsonl", session_rows())
    await importer.run()
    before = await importer.counts()
    write(path, session_rows()[:2])
    assert (await importer.run()).read_again_files == 1
    assert await importer.counts() == before


async def test_a_resumed_session_starts_with_a_copy_and_counts_each_call_once(importer: Importer, fetch: Fetch) -> None:
    old = write(importer.folder / "s.jsonl", session_rows())
    os.utime(old, (1, 1))
    copied = [{**item, "sessionId": "resumed"} for item in session_rows()]
    more = [prompt("q", "Go on", 60, sessionId="resumed"), answer("d", "Yes", seconds=61, sessionId="resumed")]
    write(importer.folder / "a.jsonl", [*copied, *more])
    await importer.run()
    assert await importer.tasks("external_id, session_id, call_count") == [("p", SESSION, 2), ("q", "resumed", 0)]
    titles = await fetch("SELECT session_id, title FROM conversations ORDER BY created_at, session_id")
    assert [tuple(item) for item in titles] == [(SESSION, "Fix the bug"), ("resumed", "Go on")]


async def test_the_same_call_under_other_rows_of_another_file_is_counted_once(importer: Importer) -> None:
    usage = tokens(9)
    write(importer.folder / "s.jsonl", [prompt("p"), answer("a", "x", usage=usage, message_id="m", request_id="r")])
    other = answer("z", "x", usage=usage, message_id="other", request_id="r", sessionId="t")
    write(importer.folder / "t.jsonl", [prompt("q", sessionId="t"), other])
    report = await importer.run()
    assert (report.written["new_calls"], report.written["duplicate_calls"]) == (1, 1)
    assert sum(calls for (calls,) in await importer.tasks("call_count")) == 1


# Sub-agents


def launching(agent_id: str = "a1") -> list[Any]:
    return [
        prompt("p"),
        answer("a", use("t", "Agent", subagent_type="Explore", description="Look"), stop="tool_use"),
        result("r", "t", "Found", 9, toolUseResult={"agentId": agent_id, "status": "completed", "prompt": "Look!"}),
        answer("b", "Thanks", seconds=10),
    ]


def agent_rows() -> list[Any]:
    return [
        prompt("x", "Look!", 2, isSidechain=True, agentId="a1"),
        answer("y", "Found", seconds=8, isSidechain=True, agentId="a1", usage=tokens(), message_id="m9"),
    ]


CHILDREN = (
    "tasks.external_id, (SELECT p.external_id FROM tasks p WHERE p.id = tasks.parent_task_id),"
    " (SELECT name FROM agents a WHERE a.id = agent_id), title, call_count, status"
)


@pytest.mark.parametrize("agent_first", [False, True])
@pytest.mark.parametrize("flat", [False, True])
async def test_a_sub_agents_file_is_a_child_of_the_task_that_launched_it(
    importer: Importer, agent_first: bool, flat: bool
) -> None:
    folder = importer.folder if flat else importer.folder / SESSION / "subagents"
    agent = write(folder / "agent-a1.jsonl", agent_rows())
    if agent_first:
        await importer.run(agent)
    write(importer.folder / f"{SESSION}.jsonl", launching())
    await importer.run()
    assert await importer.tasks(CHILDREN) == [
        ("p", None, "claude-code", "Fix the bug", 0, "COMPLETED"),
        (f"{SESSION}/a1", "p", "Explore", "Look", 1, "COMPLETED"),
    ]


async def test_a_sub_agent_that_nobody_names_belongs_to_the_task_of_its_time(importer: Importer) -> None:
    write(
        importer.folder / "s.jsonl", [prompt("p"), answer("a", "ok"), prompt("q", "Next", 20), answer("b", seconds=60)]
    )
    subagents = importer.folder / SESSION / "subagents"
    write(subagents / "agent-acompact-1.jsonl", [prompt("x", "Summarise", 30, isSidechain=True), answer("y", "So")])
    write(subagents / "agent-w.jsonl", [prompt("z", "Warmup", -5, isSidechain=True)])
    await importer.run()
    assert {name: (parent, agent) for name, parent, agent, *_ in await importer.tasks(CHILDREN) if parent} == {
        f"{SESSION}/acompact-1": ("q", "compact"),
        f"{SESSION}/w": ("p", "warm-up"),
    }


async def test_copied_rows_of_a_sub_agent_are_used_only_while_its_file_is_missing(importer: Importer) -> None:
    inner = agent_rows()
    copies = [
        row("progress", f"w{index}", 3, data={"type": "agent_progress", "agentId": "a1", "message": item})
        for index, item in enumerate(inner)
    ]
    rows = launching()
    rows[2:2] = copies
    write(importer.folder / f"{SESSION}.jsonl", rows)
    await importer.run()
    expected = (f"{SESSION}/a1", "p", "Explore", "Look", 1, "COMPLETED")
    assert (await importer.tasks(CHILDREN))[1] == expected
    before = await importer.counts()
    write(importer.folder / SESSION / "subagents" / "agent-a1.jsonl", inner)
    await importer.run()
    assert (await importer.tasks(CHILDREN))[1] == expected
    assert await importer.counts() == before


# Time, trouble


async def test_an_open_turn_is_given_up_though_its_file_is_still(importer: Importer) -> None:
    write(importer.folder / "s.jsonl", [prompt("p"), answer("a", use("t"), stop="tool_use")])
    await importer.run(now=SOON)
    assert await importer.tasks() == [("p", "RUNNING")]
    await importer.run(now=LATER)
    assert await importer.tasks("status, source_status") == [("CANCELLED", "abandoned")]


async def test_work_that_comes_after_giving_up_is_a_task_of_its_own(importer: Importer) -> None:
    rows = [prompt("p"), answer("a", use("t"), stop="tool_use"), result("r", "t"), answer("b", "Fixed", seconds=9_000)]
    path = write(importer.folder / "s.jsonl", rows[:2])
    await importer.run()
    write(path, rows)
    await importer.run()
    assert await importer.tasks("external_id, status, title") == [
        ("p", "CANCELLED", "Fix the bug"),
        ("b", "COMPLETED", "Continued: Fix the bug"),
    ]


async def test_a_question_is_answered_and_the_turn_ends(importer: Importer) -> None:
    rows = [prompt("p"), answer("a", use("t", "AskUserQuestion"), stop="tool_use"), result("r", "t"), answer("b", "ok")]
    path = write(importer.folder / "s.jsonl", rows[:2])
    await importer.run(now=SOON)
    assert await importer.tasks() == [("p", "WAITING_INPUT")]
    write(path, rows)
    await importer.run(now=SOON)
    assert await importer.tasks() == [("p", "COMPLETED")]


async def test_a_file_that_cannot_be_read_is_told_and_the_others_go_on(importer: Importer) -> None:
    write(importer.folder / "s.jsonl", [prompt("p")])
    (importer.folder / "folder.jsonl").mkdir()
    (importer.folder / "gone.jsonl").write_bytes(b"")
    files = find_transcripts([importer.folder, importer.folder / "gone.jsonl"])
    (importer.folder / "gone.jsonl").unlink()
    report = Report()
    await import_files(
        importer.database,
        files,
        ClaudeCode(files),
        host="laptop",
        clock=lambda: LATER,
        publish=importer.publish,
        report=report,
    )
    assert [item.reason for item in report.unreadable] == ["No such file or directory"]
    assert len(await importer.tasks()) == 1


@pytest.mark.parametrize("steps", range(6))
async def test_an_import_that_is_stopped_anywhere_leaves_nothing_half_written(
    importer: Importer, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(group, "LINES_PER_TRANSACTION", 1)  # one file each
    for name in "stu":
        rows = [prompt(name, sessionId=name), answer(f"{name}2", "ok", sessionId=name)]
        write(importer.folder / f"{name}.jsonl", rows)
    left = iter(range(steps))

    def clock() -> datetime:
        # It is asked once for each file and once in each transaction.
        if next(left, None) is None:
            importing.cancel()
        return LATER

    importing = asyncio.create_task(importer.run(clock=clock))
    with pytest.raises(asyncio.CancelledError):
        await importing
    counts = await importer.counts()
    assert counts["tasks"] == counts["log_lines"] == (await importer.fetch("SELECT count(*) FROM import_offsets"))[0][0]
    await importer.run()
    counts = await importer.counts()
    assert (counts["tasks"], counts["log_lines"], counts["messages"]) == (3, 3, 6)
