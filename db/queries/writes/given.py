"""Rows handed to a statement as one array per column: the text of the statement does not depend on their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, bindparam, func
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.sql.expression import TableValuedAlias, select

from db.models.base import Row
from db.statements import Statement, compile_statement


def given_rows(table: Table, names: Sequence[str]) -> TableValuedAlias:
    """The given rows as a source to select from: columns of `table`, with their types."""
    arrays = [bindparam(name, type_=ARRAY(table.c[name].type)) for name in names]
    return func.unnest(*arrays).table_valued(*names).render_derived(name="given")


def insert_new(table: Table, names: Sequence[str], *, skip_known: bool = False) -> Statement[Row]:
    """Insert the given rows and return the ids of those written.

    With `skip_known`, a row whose name another transaction took is waited for and left out. Give rows sorted by that
    name: then two writers wait in one direction only.
    """
    given = given_rows(table, names)
    clause = insert(table).from_select(list(names), select(*given.c))
    if skip_known:
        clause = clause.on_conflict_do_nothing()
    return compile_statement(clause.returning(table.c.id), Row, *names)


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows turned into one list per column."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
