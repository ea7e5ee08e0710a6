"""What every table shares: the metadata with its naming rule, column shorthands, and the row base class.

Tables are SQLAlchemy Core, never ORM entities: statements are compiled from them and run by asyncpg.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple, Self

import asyncpg
from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, MetaData, Numeric, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from db.instants import to_datetime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Milliseconds, as ids and the SDL's DateTime have them: what is shown, ordered and stored is the same instant.
INSTANT = TIMESTAMP(timezone=True, precision=3)
# Exact money; summed as NUMERIC, selected as float8 (see db.statements.row_columns).
MONEY = Numeric(18, 9)

TASK_STATUSES = ("QUEUED", "RUNNING", "WAITING_INPUT", "COMPLETED", "FAILED", "CANCELLED")
CONTENT_ACCESS = ("FULL", "REDACTED", "HIDDEN", "EXPIRED", "NOT_COLLECTED")


def identity() -> Column[Any]:
    """The primary key: a UUIDv7 made in Python (domain.ids), whose time is the row's own."""
    return Column("id", Uuid(), primary_key=True)


def reference(name: str, target: str, *, nullable: bool = True, on_delete: str = "SET NULL") -> Column[Any]:
    """A foreign key to `target`.id."""
    return Column(name, Uuid(), ForeignKey(f"{target}.id", ondelete=on_delete), nullable=nullable)


def instant(name: str, *, nullable: bool = False) -> Column[Any]:
    """An aware UTC instant with milliseconds."""
    return Column(name, INSTANT, nullable=nullable)


def count(name: str) -> Column[Any]:
    """A BIGINT that starts at 0 and is never null."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def money(name: str, *, nullable: bool = False) -> Column[Any]:
    """US dollars with nine decimals."""
    return Column(name, MONEY, nullable=nullable, server_default=None if nullable else text("0"))


def revision() -> Column[Any]:
    """+1 with every committed change of the row."""
    return Column("revision", BigInteger, nullable=False, server_default=text("1"))


def word(name: str, allowed: Sequence[str], *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """One of a few upper-case words, checked by the database."""
    listed = ", ".join(f"'{value}'" for value in allowed)
    return Column(
        name,
        Text,
        CheckConstraint(f"{name} IN ({listed})", name=name),
        nullable=nullable,
        server_default=None if default is None else text(f"'{default}'"),
    )


def token_counts() -> tuple[Column[Any], ...]:
    """The six token counts, in the order of the interface TokenCounts."""
    return tuple(count(name) for name in TOKEN_COUNTS)


TOKEN_COUNTS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)


class Join(NamedTuple):
    """A row to one: of `table`, with the id that stands in the column `key`."""

    key: str
    table: Table
    row: type[Row]


class Row(asyncpg.Record):
    """A row as asyncpg delivers it, with one typed attribute per declared column.

    A subclass lists its columns as annotations, in the order in which statements select them
    (db.statements.row_columns); columns that a statement adds after those are read by name: ``row["head"]``.
    The value at a column's place is the attribute's, but for instants: see db.instants.

    A class of wide rows says in `always` which columns whoever reads rows of it looks at, besides those that a plan
    shows: where that is said, the class has `narrow` ones, of the columns that one plan needs.
    """

    columns: ClassVar[tuple[str, ...]] = ()
    joins: ClassVar[Mapping[str, Join]] = {}  # rows to one, whose columns narrow rows can have too: as ``agent.name``
    always: ClassVar[frozenset[str] | None] = None
    whole: ClassVar[type[Row]]  # of a narrow class: the one that it was made of; else the class itself

    def __init_subclass__(cls, *, columns: tuple[str, ...] = (), **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        declared = inspect.get_annotations(cls)
        if columns:
            _narrow(cls, columns)
            return
        cls.whole = cls
        cls.columns = tuple(declared)
        for index, (name, kind) in enumerate(declared.items()):
            # A property over itemgetter stays in C: as fast as row[index].
            at = itemgetter(index)
            setattr(cls, name, property(_instant(at) if "datetime" in str(kind) else at))

    @classmethod
    def narrow(cls, columns: Iterable[str]) -> type[Self]:
        """The class of this one's rows with some of its columns, and those of `always`.

        The class itself where it has no narrow ones, or too many already.
        """
        if cls.always is None:
            return cls
        wanted = cls.always.union(columns)
        joined = [f"{name}.{column}" for name, join in cls.joins.items() for column in join.row.columns]
        chosen = tuple(name for name in (*cls.columns, *joined) if name in wanted)
        known = _NARROW.setdefault(cls, {cls.columns: cls})
        if chosen not in known:
            if len(known) >= MAX_NARROW:
                return cls
            known[chosen] = types.new_class(cls.__name__, (cls,), {"columns": chosen})
        return known[chosen]  # type: ignore[return-value]


# Each is a statement of its own for PostgreSQL and for a connection's hundred that are kept prepared.
MAX_NARROW = 48
_NARROW: dict[type[Row], dict[tuple[str, ...], type[Row]]] = {}


def _narrow(cls: type[Row], columns: tuple[str, ...]) -> None:
    for name in cls.columns:
        if name in columns:
            at = itemgetter(columns.index(name))
            is_instant = "datetime" in str(inspect.get_annotations(cls.whole)[name])
            setattr(cls, name, property(_instant(at) if is_instant else at))
        else:
            setattr(cls, name, property(_missing(name)))
    cls.columns = columns


def _missing(name: str) -> Callable[[Any], Any]:
    def read(row: Any) -> Any:
        raise AttributeError(f"{name} was not read: it is not in {type(row).columns}")

    return read


def _instant(at: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(row: Any) -> Any:
        return to_datetime(at(row))

    return read
