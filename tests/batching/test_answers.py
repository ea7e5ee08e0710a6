"""A batch function answers once per key, in key order, for shuffled, doubled and missing keys, by one statement."""

import inspect
import pkgutil
from dataclasses import replace
from importlib import import_module

import pytest

import loaders
from db.pages import PageRequest
from tests.batching.cases import PAGES, ROWS, SUMS, PageCase, RowCase
from tests.batching.fleet import Fleet, jumbled


def test_every_batch_function_has_a_case() -> None:
    modules = [import_module(f"loaders.{module.name}") for module in pkgutil.iter_modules(loaders.__path__)]
    written = {
        function
        for module in modules
        for function in vars(module).values()
        if inspect.iscoroutinefunction(function)
        and function.__module__ == module.__name__
        and not function.__name__.startswith("_")
    }
    assert written == {case.load for case in (*ROWS, *PAGES)} | set(SUMS)


@pytest.mark.parametrize("case", ROWS, ids=str)
async def test_a_row_per_id(fleet: Fleet, case: RowCase) -> None:
    known = fleet.keys[case.table]
    asked = jumbled(known)
    before = fleet.database.read.statement_count
    answers = await case.load(fleet.database.read, asked, None)
    assert fleet.database.read.statement_count - before == 1
    assert [None if row is None else row.id for row in answers] == [key if key in known else None for key in asked]
    for key, answer in zip(asked, answers, strict=True):
        assert [answer] == list(await case.load(fleet.database.read, [key], None))


@pytest.mark.parametrize("case", PAGES, ids=str)
async def test_a_page_per_parent(fleet: Fleet, case: PageCase) -> None:
    asked = jumbled(fleet.keys[case.parents][:8])
    arguments = case.arguments(PageRequest(5))
    before = fleet.database.read.statement_count
    answers = await case.load(fleet.database.read, asked, arguments)
    assert fleet.database.read.statement_count - before == 1
    assert len(answers) == len(asked)
    for key, answer in zip(asked, answers, strict=True):
        assert {row[case.parent] for row in answer.rows} <= {key}
        (alone,) = await case.load(fleet.database.read, [key], arguments)
        columns = slice(len(answer.rows[0].columns) + 1 if answer.rows else 0)  # the last says which key it was
        assert [tuple(row)[columns] for row in answer.rows] == [tuple(row)[columns] for row in alone.rows]
        assert replace(answer, rows=[]) == replace(alone, rows=[])


@pytest.mark.parametrize("case", [*ROWS, *PAGES], ids=str)
async def test_no_keys_no_answers(fleet: Fleet, case: RowCase | PageCase) -> None:
    arguments = case.arguments(PageRequest(5)) if isinstance(case, PageCase) else None
    assert list(await case.load(fleet.database.read, [], arguments)) == []
