"""What every table shares: the metadata with its naming rule, column shorthands, and the row base class.

Tables are SQLAlchemy Core, never ORM entities: statements are compiled from them and run by asyncpg.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, ClassVar

import asyncpg
from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, MetaData, Numeric, Text, Uuid, text
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


class Row(asyncpg.Record):
    """A row as asyncpg delivers it, with one typed attribute per declared column.

    A subclass lists its columns as annotations, in the order in which statements select them
    (db.statements.row_columns); columns that a statement adds after those are read by name: ``row["head"]``.
    The value at a column's place is the attribute's, but for instants: see db.instants.
    """

    columns: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        declared = inspect.get_annotations(cls)
        declared.pop("columns", None)
        cls.columns = tuple(declared)
        for index, (name, kind) in enumerate(declared.items()):
            # A property over itemgetter stays in C: as fast as row[index].
            at = itemgetter(index)
            setattr(cls, name, property(_instant(at) if "datetime" in str(kind) else at))


def _instant(at: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(row: Any) -> Any:
        return to_datetime(at(row))

    return read
