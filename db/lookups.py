"""Rows by their ids: the statements behind every relation to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import Select

from db.handles import Handle
from db.models.base import Row
from db.statements import Statement, compile_statement, uuids

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Lookup(Generic[R]):
    """A statement for one id and one for many: PostgreSQL plans `= ANY` of few ids anew each time, `=` never again."""

    one: Statement[R]
    many: Statement[R]

    async def fetch(self, handle: Handle, ids: Sequence[UUID]) -> list[R]:
        """The rows that exist, in no order."""
        if len(ids) == 1:
            return await handle.fetch(self.one, ids[0])
        return await handle.fetch(self.many, ids)


def lookup(clause: Select[Any], id_column: ColumnElement[Any], row: type[R]) -> Lookup[R]:
    """The statements that select what `clause` does, of the rows with given ids in `id_column`."""
    return Lookup(
        compile_statement(clause.where(id_column == bindparam("id", type_=Uuid())), row, "id"),
        compile_statement(clause.where(id_column == any_(uuids("ids"))), row, "ids"),
    )
