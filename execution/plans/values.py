"""Expressions of what an object itself holds: columns by their places in its rows, forms written out, else a call.

Where the rows' class has narrow ones, what is asked for is noted: the plan reads those columns and no others.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable
from typing import Any

from graphql import GraphQLField, GraphQLObjectType

from execution.declarations import ROWS, Declaration, Kind
from execution.forms import Only, Prefixed, itself
from execution.plans.selections import Uncovered

Constant = Callable[[str, object], str]  # gives an object a name in generated code

PLACE = re.compile(r"<(\d+):([\w.]+)>")  # of a column, until it is known which columns are read


class Columns:
    """The columns that a plan needs, by class of rows."""

    def __init__(self) -> None:
        self._needed: dict[type[Any], set[str]] = {}
        self._classes: list[type[Any]] = []
        self.narrow: dict[type[Any], type[Any]] = {}  # what is read in place of a class; known at the end

    def note(self, classes: Iterable[type[Any]], names: Iterable[str]) -> None:
        """These columns of these classes are needed."""
        for class_ in classes:
            self._needed.setdefault(class_, set()).update(names)

    def place(self, class_: type[Any], name: str) -> str:
        """What stands for a column's place until it is known."""
        if class_ not in self._classes:
            self._classes.append(class_)
        return f"<{self._classes.index(class_)}:{name}>"

    def choose(self) -> None:
        """Choose the narrow classes. Raises Unjoined when a class has no more for columns of rows to one."""
        for class_, names in self._needed.items():
            narrow = class_.narrow(names) if hasattr(class_, "narrow") else class_
            if not names.issubset(_columns(narrow)) and any("." in name for name in names):
                raise Unjoined
            if narrow is not class_:
                self.narrow[class_] = narrow

    def settled(self, source: str) -> str:
        """The source with the columns' places."""

        def place(found: re.Match[str]) -> str:
            class_ = self._classes[int(found[1])]
            return str(_columns(self.narrow.get(class_, class_)).index(found[2]))

        return PLACE.sub(place, source)


class Unjoined(Exception):
    """A field of a row to one cannot be shown from columns beside its parent's."""


class Places:
    """The columns of a type's objects."""

    def __init__(self, columns: Columns, type_: GraphQLObjectType) -> None:
        self.classes = classes_of(type_)
        self._columns = columns
        found = {_columns(class_) for class_ in self.classes}
        self.names = found.pop() if len(found) == 1 else ()  # empty where they are not the same in all classes

    def note(self, names: Iterable[str]) -> None:
        """These columns are needed."""
        self._columns.note(self.classes, names)

    def note_all(self) -> None:
        """Whatever they have is needed."""
        for class_ in self.classes:
            self._columns.note([class_], _columns(class_))

    def row(self) -> str:
        """The expression of the object, for functions that are given it."""
        return "row"

    def column(self, name: str) -> str:
        """The expression of an attribute of `row`: by its place, if it has one. Raises Uncovered."""
        if not name.isidentifier() or keyword.iskeyword(name):
            raise Uncovered("name")
        self.note([name])
        return f"row[{self._columns.place(self.classes[0], name)}]" if name in self.names else f"row.{name}"


class JoinedPlaces(Places):
    """The columns of a row to one beside those of its parent: no function can be given that row."""

    def __init__(self, columns: Columns, parent: type[Any], type_: GraphQLObjectType, name: str) -> None:
        super().__init__(columns, type_)
        self._parent = parent
        self._name = name
        self._wanted: list[str] = []

    def note(self, names: Iterable[str]) -> None:
        """These columns are needed; and what is no column raises Unjoined."""
        if not self.names or not set(self.names).issuperset(names):
            raise Unjoined
        self._wanted += [f"{self._name}.{name}" for name in names]

    def join(self) -> None:
        """Have what was noted read."""
        self._columns.note([self._parent], self._wanted)

    def column(self, name: str) -> str:
        """The expression of a column, in the parent's row."""
        self.note([name])
        return f"row[{self._columns.place(self._parent, f'{self._name}.{name}')}]"

    def row(self) -> str:
        """Raises Unjoined."""
        raise Unjoined


def value_expression(places: Places, definition: GraphQLField, declaration: Declaration, constant: Constant) -> str:
    """The expression of a field's value of the object `row`, whose columns have `places`. Raises Uncovered."""
    match declaration.kind:
        case Kind.COLUMN:
            return places.column(definition.extensions["strawberry-definition"].python_name)
        case Kind.CONTEXTUAL:
            places.note(declaration.needs)
            return f"{constant('judge', declaration.judge)}({places.row()}, run.context)"
        case Kind.COMPUTED | Kind.NESTED:
            return _read(places, declaration, constant)
        case _:
            raise Uncovered("kind")


def _read(places: Places, declaration: Declaration, constant: Constant) -> str:
    match declaration.read:
        case Prefixed(prefix=prefix, column=name):
            return f"{constant('prefix', prefix)} + {places.column(name)}.hex"
        case Only(column=name, where=where, has=has):
            return f"({places.column(name)} if {places.column(where)} == {constant('has', has)} else None)"
        case read if read is itself:
            return places.row()
        case read:
            if declaration.kind is Kind.NESTED:
                places.note_all()
            places.note(declaration.needs)
            return f"{constant('read', read)}({places.row()})"


def shares_rows(type_: GraphQLObjectType, part: GraphQLObjectType) -> bool:
    """Whether an object of the one type is one of the other too."""
    classes = classes_of(type_)
    return bool(classes) and all(issubclass(class_, classes_of(part)) for class_ in classes)


def classes_of(type_: GraphQLObjectType) -> tuple[type[Any], ...]:
    """The classes of a type's objects."""
    found = getattr(type_.extensions["strawberry-definition"].origin, ROWS, ())
    return found if isinstance(found, tuple) else (found,)


def _columns(class_: type[Any]) -> tuple[str, ...]:
    """The columns of a class of rows, or of named tuples that are like them."""
    found: tuple[str, ...] = getattr(class_, "columns", ()) or getattr(class_, "_fields", ())
    return found
