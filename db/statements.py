"""SQLAlchemy statements compiled once to what asyncpg runs: text with $1, $2 …, and the order of the arguments.

A statement of fixed shape is compiled at import; pages once per shape, in a bounded cache of their query module.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Double, FromClause, Numeric, Subquery, Table, Uuid, bindparam, cast, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.expression import ClauseElement, Select
from sqlalchemy.sql.operators import desc_op

from db.models.base import Row

R = TypeVar("R", bound=Row)
DIALECT: Any = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Statement(Generic[R]):
    """A compiled statement.

    `order` gives, for each $n, the index of the caller's argument, or the constant that the statement was built with.
    """

    sql: str
    row: type[R]
    order: tuple[tuple[int, Any], ...] | None
    narrower: Narrower | None = field(default=None, compare=False, repr=False)

    def arguments(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Put the caller's values, given in the order of `compile_statement`, into that of $1, $2 and so on."""
        if self.order is None:
            return values
        return tuple(constant if index < 0 else values[index] for index, constant in self.order)

    def narrow(self, row: type[R]) -> Statement[R]:
        """The same for narrow rows: of the row's columns it reads theirs only. Compiled at first sight."""
        return self if self.narrower is None else self.narrower(self.row, row)


class Narrower:
    """Compiles a SELECT for narrow rows, of which a class has a bounded number."""

    def __init__(self, clause: Select[Any], parameters: tuple[str, ...]) -> None:
        self._clause = clause
        self._parameters = parameters
        self._known: dict[type[Row], Statement[Any]] = {}

    def __call__(self, whole: type[Row], row: type[Row]) -> Statement[Any]:
        """The statement."""
        known = self._known.get(row)
        if known is None:
            left_out = set(whole.columns).difference(row.columns)
            kept = [column for column in self._clause.selected_columns if column.key not in left_out]
            clause = self._clause.with_only_columns(*kept, maintain_column_froms=True)
            if len(row.columns) > len(set(whole.columns) - left_out):
                clause = _joined(clause, whole, row)
            known = self._known[row] = compile_statement(clause, row, *self._parameters)
        return known


def _joined(clause: Select[Any], whole: type[Row], row: type[Row]) -> Select[Any]:
    """The same rows, in the same order, with the columns of rows to one that `row` has behind its own."""
    found = clause.subquery("found")
    source: FromClause = found
    columns: list[ColumnElement[Any]] = []
    for name, join in whole.joins.items():
        wanted = [column for column in join.row.columns if f"{name}.{column}" in row.columns]
        if wanted:
            joined = join.table.alias(name)
            source = source.outerjoin(joined, joined.c.id == found.c[join.key])
            shown = dict(zip(join.row.columns, row_columns(joined, join.row), strict=True))
            columns += [shown[column].label(f"{name}.{column}") for column in wanted]
    own = [column for column in found.c if column.key in row.columns]
    others = [column for column in found.c if column.key not in row.columns]
    # Rows that were found in an order are joined one by one: a page's limit stands within.
    order = [_of(found, element) for element in clause._order_by_clauses]
    return select(*own, *columns, *others).select_from(source).order_by(*order)


def _of(found: Subquery, element: Any) -> ColumnElement[Any]:
    """The same element of an order, of the subquery."""
    is_descending = getattr(element, "modifier", None) is desc_op
    wanted = element.element if hasattr(element, "modifier") else element
    column = found.corresponding_column(wanted)
    if column is None:  # money, which is read as float8 (see row_columns): its order is the same
        column = found.c[wanted.key]
    return column.desc() if is_descending else column.asc()


def compile_statement(clause: ClauseElement, row: type[R], *parameters: str) -> Statement[R]:
    """Compile `clause`; its named parameters are passed in the order of `parameters`, each once."""
    compiled: Any = clause.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    names: list[str] = list(compiled.positiontup or ())
    missing = set(parameters) - set(names)
    if missing:
        raise ValueError(f"the statement has no parameter {sorted(missing)}: {compiled.string}")
    order = tuple(
        (parameters.index(name), None) if name in parameters else (-1, compiled.params[name]) for name in names
    )
    identical = [index for index, _ in order] == list(range(len(parameters)))
    narrower = Narrower(clause, parameters) if isinstance(clause, Select) and row.always is not None else None
    return Statement(compiled.string, row, None if identical else order, narrower)


def raw_statement(sql: str, row: type[R] = Row) -> Statement[R]:  # type: ignore[assignment]
    """A statement written as SQL with $1, $2 …, where the expression language would hide more than it shows."""
    return Statement(sql, row, None)


def row_columns(source: Any, row: type[Row]) -> list[ColumnElement[Any]]:
    """Select `row`'s columns from `source` (a table, alias or subquery), in the row's order, money as float8."""
    selected: list[ColumnElement[Any]] = []
    for name in row.columns:
        column = source.c[name]
        # float8 is exact below 9,007,199 dollars with nine decimals, and needs no Decimal on the way to JSON.
        selected.append(cast(column, Double()).label(name) if isinstance(column.type, Numeric) else column)
    return selected


def uuids(name: str) -> BindParameter[Any]:
    """A parameter of type uuid[]."""
    return bindparam(name, type_=ARRAY(Uuid()))


def parameter_like(name: str, table: Table, column: str) -> BindParameter[Any]:
    """A parameter with the type of a column: a cursor's value is bound as what it is compared with."""
    return bindparam(name, type_=table.c[column].type)
