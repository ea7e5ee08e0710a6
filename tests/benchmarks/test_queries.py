"""The suite of bench/ on a tiny fleet: its data set and questions; the limit answers what the service answers.

The peers are left to the suite itself, which compares all answers before it measures: they need npm.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from bench import compare, limit, memory, questions, report
from bench.growth import last_before
from bench.kinds import Kind
from bench.questions import Case, plain
from bench.servers import check_plans
from bench.stores import Scale, Stores
from db.database import connect_arguments
from db.queries.tasks import CREATED_AT_DESC
from local import StoreUrls
from resolvers.pages import encode_cursor
from settings import Settings
from tests.client import Server
from tests.serving import listening, serving

TINY = Scale(tasks=400, lines_per_task=12, conversations=50, messages=100, usage_records=100)


@pytest.fixture(scope="module")
async def stores(store_urls: StoreUrls, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return Stores(tmp_path_factory.mktemp("bench"), store_urls)


@pytest.fixture(scope="module")
async def data_set(stores: Stores) -> str:
    """The URL of a data set of the suite."""
    return stores.url(await stores.data_set(TINY))


@pytest.fixture(scope="module")
async def service(
    data_set: str, store_urls: StoreUrls, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), redis_prefix="bench")
    async with serving(settings, data_set, store_urls.redis_url) as running:
        yield running


async def answer(service: Server, question: str, case: Case) -> list[Any]:
    """The service's answer in the suite's form."""
    found = (await service.post(questions.OURS[question], case.variables("ours", is_ours=True))).json()
    assert service.app.state.operations.fallbacks == {}
    return plain(found)


async def test_a_data_set_has_what_was_asked_for_and_all_its_indexes(
    stores: Stores, data_set: str, database_url: str
) -> None:
    assert stores.url(await stores.data_set(TINY)) == data_set  # it is found again
    made, migrated = [await asyncpg.connect(**connect_arguments(url)) for url in (data_set, database_url)]
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE 'test%' ORDER BY 1"
    assert await made.fetch(indexes) == await migrated.fetch(indexes)
    counts = {name: await made.fetchval(f"SELECT count(*) FROM {name}") for name in ("tasks", "log_lines", "messages")}
    assert counts == {"tasks": 400, "log_lines": 400 * 12 + 200 * 50, "messages": 100}
    for connection in (made, migrated):
        await connection.close()


async def test_the_limit_answers_what_the_service_answers(service: Server, data_set: str) -> None:
    pool = await limit.open_pool(data_set, size=1)
    async with listening(limit.Application(pool)) as port, httpx.AsyncClient() as http:
        for question, cases in (await compare.cases(data_set)).items():
            for case in cases[:10]:
                body = {"query": questions.LIMIT[question], "variables": case.variables("limit", is_ours=False)}
                reached = plain((await http.post(f"http://127.0.0.1:{port}", json=body)).json())
                assert await answer(service, question, case) == reached
                assert reached[0]
    await pool.close()


async def test_a_page_further_down_begins_where_the_one_before_it_ended(service: Server, data_set: str) -> None:
    row = await last_before(data_set, 2)
    assert row is not None
    first, second = [
        await answer(service, "q2", Case(status="COMPLETED", after=after))
        for after in (None, {"ours": encode_cursor(CREATED_AT_DESC, row)})
    ]
    assert first[-1]["id"] == row.id
    assert len(second) == 50
    assert first[-1]["createdAt"] > second[0]["createdAt"]


async def test_the_documents_of_the_memory_measurement_have_plans(service: Server, data_set: str) -> None:
    tasks = [case.task for case in (await compare.cases(data_set))["q1"] if case.task]
    bodies = memory.documents(tasks)
    assert len({body["query"] for body in bodies}) == 1_000
    for body in bodies[:20]:
        assert "errors" not in (await service.post(body["query"], body["variables"])).json()
    assert service.app.state.operations.fallbacks == {}


def test_answers_that_differ_in_form_only_are_equal() -> None:
    one = {"data": {"task": {"id": f"task_{'0' * 32}", "usage": {"costUsd": 0.5}, "createdAt": "2026-01-01T00:00:00Z"}}}
    other = {"id": "00000000-0000-0000-0000-000000000000", "costUsd": "0.500", "createdAt": "2026-01-01T01:00:00+01:00"}
    assert plain(one) == plain({"data": {"task": other}})
    assert plain(one) != plain({"data": {"task": other | {"costUsd": "0.501"}}})
    with pytest.raises(ValueError, match="broken"):
        plain({"data": None, "errors": [{"message": "broken"}]})


@pytest.mark.parametrize("report", ['{"fallbacks": {"condition": 3}}', '{"fallbacks": null}', None])
def test_a_measurement_fails_when_a_plan_fell_back(tmp_path: Path, report: str | None) -> None:
    kind = Kind("ours", questions.OURS, [], report=tmp_path / "report.json")
    if report is not None:
        (tmp_path / "report.json").write_text(report)
    with pytest.raises(RuntimeError, match="Fleetgraph"):
        check_plans(kind)
    (tmp_path / "report.json").write_text('{"fallbacks": {}}')
    check_plans(kind)


def test_a_section_of_the_results_replaces_only_itself(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    for name, text in (("realtime", "fan-out"), ("queries", "old"), ("queries", "new\n\n| a |")):
        report.write_section(name, text, results)
    text = results.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Queries", "## Subscriptions"]
    assert "new\n\n| a |\n" in text
    assert "old" not in text
    assert "fan-out" in text
