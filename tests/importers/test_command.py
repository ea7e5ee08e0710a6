"""`fleetgraph import claude-code`: what it says, and which files it reads."""

import io
from pathlib import Path

import pytest

from commands.import_claude_code import find, import_claude_code
from db.database import WriteTransaction
from ingest import group
from ingest.claude_code.files import default_directories, find_transcripts
from ingest.formats import NothingToRead
from tests.importers.build import LATER, answer, prompt, tokens, write
from tests.importers.importer import Fetch, Importer, session_rows


async def command(importer: Importer, *folders: Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
    output = io.StringIO()
    try:
        transcripts = find(folders, environment or {})
    except NothingToRead as error:
        return 1, f"{error}\n"
    code = await import_claude_code(
        importer.database,
        transcripts,
        host="laptop",
        clock=lambda: LATER,
        publish=importer.publish,
        show_progress=False,
        output=output,
        errors=output,
    )
    return code, output.getvalue()


async def test_the_command_tells_what_it_did(importer: Importer) -> None:
    path = write(importer.folder / "s.jsonl", [*session_rows(), b"oops"])
    code, text = await command(importer, importer.folder)
    assert code == 0
    assert "Read 6 lines" in text
    assert "Wrote 1 tasks, 1 conversations, 3 messages, 4 log lines, 1 tool calls" in text
    assert f"{path}:6: not JSON" in text
    assert "In the store from laptop: 1 tasks in 1 conversations, 2 model calls, $0.00" in text
    code, text = await command(importer, importer.folder)
    assert "1 files had nothing new" in text
    assert "Wrote 0 tasks" in text


async def test_an_unknown_model_is_named(importer: Importer) -> None:
    write(importer.folder / "s.jsonl", [prompt("p"), answer("a", usage=tokens(), model="frontier-9", message_id="m")])
    assert (
        "No price is known for: frontier-9; their calls cost null, not 0"
        in (await command(importer, importer.folder))[1]
    )


async def test_a_folder_that_does_not_exist_is_one_line(importer: Importer, tmp_path: Path) -> None:
    code, text = await command(importer, tmp_path / "nowhere")
    assert (code, text.count("\n")) == (1, 1)
    assert f"{tmp_path / 'nowhere'} does not exist" in text
    (tmp_path / "empty").mkdir()
    code, text = await command(importer, tmp_path / "empty")
    assert (code, text.count("\n")) == (1, 1)
    assert "no transcript (*.jsonl) in" in text


@pytest.mark.parametrize("content", [b"hello\nworld\n", b"hello", b'{"a": 1}\n[2]\n', bytes(range(256))])
def test_a_file_that_is_no_transcript_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(NothingToRead, match=r"notes\.txt is no transcript of Claude Code"):
        find_transcripts([tmp_path / "notes.txt"])
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_bytes(content)
    with pytest.raises(NothingToRead, match="none of the 2 files is a transcript"):
        find_transcripts([tmp_path])
    write(tmp_path / "c.jsonl", [b"oops", prompt("p")])
    assert len(find_transcripts([tmp_path])) == 3


@pytest.mark.parametrize("content", [b"", b'{"type": "us', b'\xef\xbb\xbf{"type": "user"}\n'])
def test_a_file_that_may_become_a_transcript_is_one(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_bytes(content)
    assert len(find_transcripts([tmp_path])) == 1


async def test_a_database_that_goes_away_is_one_line(
    importer: Importer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "LINES_PER_TRANSACTION", 1)  # one file each
    write(importer.folder / "s.jsonl", session_rows())
    write(importer.folder / "t.jsonl", [prompt("q", sessionId="t")])
    keep = importer.publish

    async def cut(_transaction: WriteTransaction) -> None:
        await fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fleetgraph'")
        await fetch("ALTER TABLE imported_rows RENAME TO gone")

    importer.publish = cut  # type: ignore[assignment, method-assign]
    code, text = await command(importer, importer.folder)
    assert (code, text.count("\n")) == (1, 1)
    assert text.startswith("The import stopped: ")
    await fetch("ALTER TABLE gone RENAME TO imported_rows")
    importer.publish = keep  # type: ignore[method-assign]
    code, text = await command(importer, importer.folder)
    assert (code, await importer.tasks("external_id")) == (0, [("p",), ("q",)])


async def test_without_folders_the_places_of_claude_code_are_read(importer: Importer, tmp_path: Path) -> None:
    code, text = await command(importer, environment={"HOME": str(tmp_path)})
    assert code == 1
    assert "name the folder: fleetgraph import claude-code DIR" in text
    write(tmp_path / ".config" / "claude" / "projects" / "x" / "s.jsonl", [prompt("p")])
    code, text = await command(importer, environment={"HOME": str(tmp_path)})
    assert "Wrote 1 tasks" in text


def test_the_configured_folders_are_a_comma_list() -> None:
    home = Path("/home/ada")
    assert default_directories(home, {"CLAUDE_CONFIG_DIR": "/a, /b/projects"}) == [
        Path("/a/projects"),
        Path("/b/projects"),
    ]
    assert default_directories(home, {}) == [home / ".claude/projects", home / ".config/claude/projects"]


def test_a_file_that_is_reached_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a" / "s.jsonl", [prompt("p")])
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert len(find_transcripts([tmp_path / "a", tmp_path / "link", tmp_path / "a" / "s.jsonl"])) == 1
    with pytest.raises(NothingToRead):
        find_transcripts([])
