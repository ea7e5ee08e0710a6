"""For each thing that claude-loop's own dashboard shows, the query that docs/importing.md names answers it."""

import re
from pathlib import Path

from domain.ids import show_id
from tests.client import Server
from tests.importers.loop import Fetch, Project, at, iteration, metrics, prd, story

DOCS = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
ROW = re.compile(r"^\| `GET /api/(\S+?)` \| `(.+?)`", re.MULTILINE)
CACHE = "cache { hits } parallel { isEnabled }"


def _document(text: str, run_id: str) -> str:
    """A query as the documentation writes it, its arguments filled in."""
    filled = text.replace("(id:)", f'(id: "{run_id}")').replace("(first:, after:)", "(first: 5)")
    if filled.startswith("run(") and "{" not in filled:
        filled += f" {{ {CACHE} }}"
    return filled if filled.startswith("subscription") else f"query Q {{ {filled} }}"


async def test_each_endpoint_has_its_query(server: Server, fetch: Fetch, tmp_path: Path) -> None:
    project = Project(server.database, fetch, tmp_path / "shop")
    first, second = story("US-1", passes=True), story("US-2", dependencies=["US-1"])
    project.write("prd.json", prd(first, second))
    project.metrics(metrics(iteration(1, "US-1"), iteration(2, "US-2", status="failure")))
    project.write("progress.txt", f"### Iteration: {at(50)}\n**Story**: US-1 - One\n- Done\n---\n")
    await project.run()
    run_id = show_id("run", (await fetch("SELECT id FROM runs"))[0][0])
    answers = {}
    for endpoint, text in ROW.findall(DOCS):
        if text.startswith(("run", "executionStatus")):
            answers[endpoint] = (await server.query(_document(text, run_id))).popitem()[1]
    assert set(answers) >= {"status", "stories?run_id=", "metrics?run_id=", "history?limit=&offset=", "runs/<run_id>"}
    status = answers["status"]
    assert (status["completedStoryCount"], status["storyCount"], status["progressPercent"]) == (1, 2, 50)
    assert (status["elapsedMs"], status["estimatedRemainingMs"], status["costUsd"]) == (120_000, 120_000, 0.3)
    assert status["run"]["externalId"] == "20260113_200000"
    stories = answers["stories?run_id="]["stories"]
    assert [one["dependsOn"] for one in stories] == [[], [{"key": "US-1"}]]
    logs = answers["logs?run_id=&limit=&offset="]["iterations"]
    assert [len(node["logs"]["nodes"]) for node in logs["nodes"]] == [3, 0]
    told = answers["metrics?run_id="]
    assert [told[f"{name}Count"] for name in ("iteration", "succeededIteration", "failedIteration")] == [2, 1, 1]
    usage = {"inputTokens": 5000, "outputTokens": 2000, "costUsd": 0.15}
    assert [node["usage"] for node in told["iterations"]["nodes"]] == [usage, usage]
    assert answers["history?limit=&offset="]["totalCount"] == 1
    assert answers["runs/<run_id>"] == {"cache": {"hits": 3}, "parallel": {"isEnabled": True}}
