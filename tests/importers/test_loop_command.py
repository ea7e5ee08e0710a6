"""`fleetgraph import claude-loop`: what it says."""

import io
from pathlib import Path

import pytest

from commands.import_claude_loop import import_claude_loop
from ingest.claude_loop.files import find_loops
from ingest.formats import NothingToRead
from tests.importers.loop import LATER, Project, prd, story, whole


async def test_a_folder_without_runs(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(NothingToRead, match="nothing of claude-loop"):
        find_loops([tmp_path])
    with pytest.raises(NothingToRead, match="does not exist"):
        find_loops([tmp_path / "nowhere"])


async def test_the_command_says_what_it_did(project: Project) -> None:
    whole(project)
    project.write("templates/prd-x.json", prd(story("{{ID}}")))
    project.write("README.md", "x")
    output, errors = io.StringIO(), io.StringIO()
    code = await import_claude_loop(
        project.database,
        find_loops([project.root]),
        host="laptop",
        zone=None,
        clock=lambda: LATER,
        publish=project.publish,
        output=output,
        errors=errors,
    )
    said = output.getvalue().splitlines()
    assert (code, errors.getvalue()) == (0, "")
    assert said[0].startswith("Read 5 of 5 files in ")
    assert said[1].startswith("Wrote 1 runs, 3 stories, 2 tasks, 6 log lines, 0 tool calls, 2 model calls;")
    assert said[2] == "Passed over 1 files that are none of claude-loop's"
    assert said[3] == "Skipped 1 files or lines:"
    assert said[4].endswith("prd-x.json: a template: {{ID}} was never filled in")
    assert said[5].startswith("In the store from laptop: 1 runs with 3 stories (1 completed), 2 iterations, $0.30 by")
    assert said[5].endswith("; $0.30 by the runs' own sums")


async def test_a_file_that_vanishes_is_named(project: Project) -> None:
    whole(project)
    found = find_loops([project.root])
    (project.root / "prd.json").unlink()
    output, errors = io.StringIO(), io.StringIO()
    code = await import_claude_loop(
        project.database,
        found,
        host="laptop",
        zone=None,
        clock=lambda: LATER,
        publish=project.publish,
        output=output,
        errors=errors,
    )
    assert code == 1
    assert f"Could not be read: {project.root / 'prd.json'}: No such file or directory" in output.getvalue()
    assert len(await project.tasks()) == 2
