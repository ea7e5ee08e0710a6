"""Writes the functions of a plan as Python source and runs that source: the only file that does.

One function per selection set works on a list of objects; one per relation calls its batch function once for all of
them. Names in the source are ours or the schema's; whatever a document or a declaration gives enters as a constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphql import (
    GraphQLAbstractType,
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_leaf_type,
)

from execution.declarations import Declaration, Kind, declaration_of
from execution.forms import itself
from execution.plans.arguments import Arguments
from execution.plans.leaves import Anomaly, convert_leaves, leaf_expression
from execution.plans.parts import Body, Compiled, Function, Relation, Root, grouped, with_function
from execution.plans.run import checker, kind_of, listed, nested, scatter, scatter_now, spread, together
from execution.plans.selections import Selected, Selections, Uncovered
from execution.plans.values import Columns, JoinedPlaces, Places, Unjoined, shares_rows, value_expression

MAX_FIELDS = 2_000  # response fields of one plan: as many as a document may have tokens
RELATIONS = (Kind.LOADED, Kind.ONE, Kind.MANY, Kind.CONNECTION, Kind.JUDGED)
ROOTS = (Kind.ROOT, Kind.MUTATION, Kind.FEED)


class Compiler:
    """Compiles one operation under given conditions. Raises Uncovered for what no plan does.

    With `joins`, rows to one of which only leaves are shown are read with their parents.
    """

    def __init__(self, selections: Selections, *, joins: bool) -> None:
        # What mutations and events show comes from writers too, whose rows are whole.
        self._reads = selections.operation.operation is OperationType.QUERY
        self._joins = joins and self._reads
        self._selections = selections
        self._schema = selections.schema
        self._source: list[str] = []
        self._constants: dict[str, object] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._functions: dict[tuple[str, tuple[int, ...]], Function] = {}
        self._columns = Columns()
        self._field_count = 0
        self._number = 0

    def compile(self) -> Compiled:
        """Write and run the source."""
        type_ = self._schema.get_root_type(self._selections.operation.operation)
        if type_ is None:
            raise Uncovered("root")
        written = [
            self._root(type_, selected)
            for selected in self._selections.of(type_, [self._selections.operation.selection_set])
        ]
        if self._reads:
            self._columns.choose()
        source = self._columns.settled("\n\n\n".join(self._source) + "\n")
        names: dict[str, Any] = {
            "Anomaly": Anomaly,
            "listed": listed,
            "nested": nested,
            "scatter": scatter,
            "scatter_now": scatter_now,
            "spread": spread,
            "together": together,
            **self._constants,
        }
        exec(compile(source, "<plan>", "exec"), names)  # the names in it are ours, see the module
        roots = tuple(
            root if function is None else with_function(root, names[function.name], function)
            for root, function in written
        )
        return Compiled(roots, source, self._constants, self._columns.narrow)

    # ---- names

    def _new(self, hint: str) -> str:
        self._number += 1
        return f"{hint}{self._number}"

    def _constant(self, hint: str, value: object) -> str:
        """The name of an object in the source; one name for one object."""
        known = (hint, hash(value)) if isinstance(value, str) else (hint, id(value))
        name = self._names.get(known)
        if name is None or (self._constants[name] is not value and self._constants[name] != value):
            name = self._names[known] = self._new(hint)
            self._constants[name] = value
        return name

    # ---- roots

    def _root(self, type_: GraphQLObjectType, selected: Selected) -> tuple[Root, Function | None]:
        if selected.name == "__typename":
            return Root(selected.key, selected.nodes, None, constant=type_.name), None
        if selected.name.startswith("__"):
            raise Uncovered("introspection")
        definition, declaration = self._declared(type_, selected)
        if declaration.kind not in ROOTS or declaration.resolve is None:
            raise Uncovered("kind")
        lines: list[str] = []
        out, is_async = self._complete(lines, definition.type, "values", selected.sets)
        hint = f"{type_.name.lower()}_{selected.name}"
        function = self._write(hint, "values, run", [*lines, f"return {out}"], is_async)
        arguments = Arguments(self._schema, definition, selected.nodes[0], declaration)
        nullable = not isinstance(definition.type, GraphQLNonNull)
        return Root(selected.key, selected.nodes, declaration, arguments, nullable), function

    def _declared(self, parent: GraphQLObjectType, selected: Selected) -> tuple[GraphQLField, Declaration]:
        self._field_count += 1
        if self._field_count > MAX_FIELDS:
            raise Uncovered("size")
        definition = parent.fields[selected.name]
        declaration = declaration_of(definition)
        if declaration is None:
            raise Uncovered("kind")
        return definition, declaration

    # ---- values to JSON, a list at a time

    def _complete(
        self, lines: list[str], type_: GraphQLOutputType, values: str, sets: Sequence[SelectionSetNode]
    ) -> tuple[str, bool]:
        """Write lines that complete the values of the list named `values`; returns the result's name."""
        nullable = not isinstance(type_, GraphQLNonNull)
        inner: Any = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        out = self._new("out")
        if is_leaf_type(get_named_type(inner)):
            lines.append(f"{out} = {self._leaves(type_, values)}")
            return out, False
        given = values
        if nullable:
            given = self._new("given")
            lines.append(f"{given} = [value for value in {values} if value is not None]")
        if isinstance(inner, GraphQLList):
            flat = self._new("flat")
            lines.append(f"listed({given})")
            lines.append(f"{flat} = [item for value in {given} for item in value]")
            below, is_async = self._complete(lines, inner.of_type, flat, sets)
            found = self._new("found")
            lines.append(f"{found} = nested({given}, {below})")
        else:
            function = self._composite(inner, sets)
            is_async, found = function.is_async, self._new("found")
            lines.append(f"{found} = {function.call(given, 'run')}")
        lines.append(f"{out} = spread({values}, {found})" if nullable else f"{out} = {found}")
        return out, is_async

    def _leaves(self, type_: GraphQLOutputType, values: str) -> str:
        return f"[{self._leaf(type_, 'value')} for value in {values}]"

    def _leaf(self, type_: GraphQLOutputType, value: str) -> str:
        """The expression that completes one value of a leaf type or of lists of it."""
        nullable = not isinstance(type_, GraphQLNonNull)
        inner: Any = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if isinstance(inner, GraphQLList):
            return f"{self._constant('leaves', convert_leaves(type_))}({value})"
        leaf: GraphQLLeafType = inner
        return leaf_expression(leaf, value, nullable=nullable, constant=self._constant)

    def _composite(self, type_: Any, sets: Sequence[SelectionSetNode]) -> Function:
        known = (type_.name, tuple(id(selection_set) for selection_set in sets))
        function = self._functions.get(known)
        if function is None:
            write = self._object if isinstance(type_, GraphQLObjectType) else self._abstract
            function = self._functions[known] = write(type_, sets)
        return function

    def _abstract(self, type_: GraphQLAbstractType, sets: Sequence[SelectionSetNode]) -> Function:
        """A function that hands each object to its type's own, and puts the answers back in order."""
        possible = self._schema.get_possible_types(type_)
        members = {member.name: self._composite(member, sets) for member in possible}
        table, kind = self._new("members"), self._constant("kind", kind_of(possible))
        is_async = any(member.is_async for member in members.values())
        shown = {name: f"({one.name}, {one.is_async})" if is_async else one.name for name, one in members.items()}
        entries = ", ".join(f"{self._constant('name', name)}: {function}" for name, function in shown.items())
        call = f"await scatter(rows, {kind}, {table}, run)" if is_async else f"scatter_now(rows, {kind}, {table}, run)"
        function = self._write(type_.name, "rows, run", [f"return {call}"], is_async)
        self._source.append(f"{table} = {{{entries}}}")
        return function

    # ---- selection sets

    def _object(self, type_: GraphQLObjectType, sets: Sequence[SelectionSetNode]) -> Function:
        body = Body()
        relations: list[Relation] = []
        places = Places(self._columns, type_)
        for index, selected in enumerate(self._selections.of(type_, sets)):
            key = self._constant("key", selected.key)
            if selected.name == "__typename":
                body.items.append(f"{key}: {self._constant('name', type_.name)}")
                continue
            definition, declaration = self._declared(type_, selected)
            held = self._held(places, selected, definition, declaration)
            if held is None and (joined := self._join(places, declaration, definition.type, selected.sets)):
                body.items.append(f"{key}: {joined}")
            elif held is None:
                relations.append(self._relation(places, index, selected, definition, declaration))
                self._add_column(body, key, f"all{index}", index)
            elif is_leaf_type(get_named_type(definition.type)):
                body.items.append(f"{key}: {self._leaf(definition.type, held)}")
            elif held == "row" and (part := self._part(type_, places, definition.type, selected.sets)) is not None:
                body.items.append(f"{key}: {part}")
            else:
                self._nested(body, index, selected, held, definition.type)
                self._add_column(body, key, f"all{index}", index)
        for group in grouped(relations):
            body.awaited.append(self._group(group))
        return self._write_object(type_, places, body)

    def _nested(self, body: Body, index: int, selected: Selected, value: str, type_: GraphQLOutputType) -> None:
        """Objects that the parents hold: completed at once, or beside the relations where they read more."""
        lines = [f"values = [{value} for row in rows]"]
        out, is_async = self._complete(lines, type_, "values", selected.sets)
        function = self._write(f"inside_{selected.name}", "rows, run", [*lines, f"return {out}"], is_async)
        if is_async:
            body.awaited.append((f"all{index}", f"{function.name}(rows, run)"))
        else:
            body.setup.append(f"all{index} = {function.call('rows', 'run')}")

    @staticmethod
    def _add_column(body: Body, key: str, values: str, index: int) -> None:
        body.columns.append((f"part{index}", values))
        body.items.append(f"{key}: part{index}")

    def _part(
        self,
        type_: GraphQLObjectType,
        places: Places,
        part: GraphQLOutputType,
        sets: Sequence[SelectionSetNode],
    ) -> str | None:
        """The expression of an object that is the same `row`, if it is of leaves alone."""
        inner = part.of_type if isinstance(part, GraphQLNonNull) else part
        if not isinstance(inner, GraphQLObjectType) or not shares_rows(type_, inner):
            return None
        return self._leaves_of(inner, places, sets)

    def _join(
        self, places: Places, declaration: Declaration, type_: GraphQLOutputType, sets: Sequence[SelectionSetNode]
    ) -> str | None:
        """The expression of an object that is read with its parent, if it can be: it is of leaves alone."""
        name, key = declaration.joined, declaration.key_column
        if not self._joins or name is None or key is None or not places.names:
            return None
        if len(places.classes) != 1 or not isinstance(type_, GraphQLObjectType):
            return None
        joined = JoinedPlaces(self._columns, places.classes[0], type_, name)
        field_count = self._field_count
        try:
            found = self._leaves_of(type_, joined, sets)
        except Unjoined:
            self._field_count = field_count
            return None
        if found is None:
            return None
        joined.join()
        return f"None if {places.column(key)} is None else {found}"

    def _leaves_of(self, inner: GraphQLObjectType, places: Places, sets: Sequence[SelectionSetNode]) -> str | None:
        """The expression of an object whose columns have `places`, if it is of leaves alone."""
        items = []
        field_count = self._field_count
        for selected in self._selections.of(inner, sets):
            value = self._constant("name", inner.name)
            if selected.name != "__typename":
                definition, declaration = self._declared(inner, selected)
                if declaration.kind in RELATIONS or not is_leaf_type(get_named_type(definition.type)):
                    self._field_count = field_count
                    return None
                value = self._leaf(definition.type, value_expression(places, definition, declaration, self._constant))
            items.append(f"{self._constant('key', selected.key)}: {value}")
        return f"{{{', '.join(items)}}}"

    def _held(
        self, places: Places, selected: Selected, definition: GraphQLField, declaration: Declaration
    ) -> str | None:
        """The expression of a value that the object `row` itself has; None when a batch function reads it."""
        if declaration.kind not in RELATIONS:
            return value_expression(places, definition, declaration, self._constant)
        if declaration.is_held is not None and declaration.read is None:
            found = Arguments(self._schema, definition, selected.nodes[0], declaration).fixed()
            if found is not None and declaration.is_held(found[0]):
                if declaration.key is itself:
                    return "row"
                places.note_all()
                return f"{self._constant('key_of', declaration.key)}(row)"
        return None

    def _write_object(self, type_: GraphQLObjectType, places: Places, body: Body) -> Function:
        by_place = places.classes if places.names else ()
        check = self._constant("check", checker(type_, by_place, self._columns.narrow))
        lines = [f"{check}(rows)"]
        if body.awaited:
            lines += ["if not rows:", "    return []"]
        if len(body.awaited) == 1:
            target, coroutine = body.awaited[0]
            lines.append(f"{target} = await {coroutine}")
        elif body.awaited:
            targets = ", ".join(f"({target})" if "," in target else target for target, _ in body.awaited)
            lines.append(f"{targets} = await together({', '.join(coroutine for _, coroutine in body.awaited)})")
        lines += body.setup
        names, lists = zip(*[("row", "rows"), *body.columns], strict=True)
        source = f"zip({', '.join(lists)}, strict=True)" if body.columns else "rows"
        lines += [
            "found = []",
            f"for {', '.join(names)} in {source}:",
            "    found.append({",
            *(f"        {item}," for item in body.items),
            "    })",
            "return found",
        ]
        return self._write(type_.name, "rows, run", lines, is_async=bool(body.awaited))

    # ---- relations

    def _relation(
        self,
        places: Places,
        index: int,
        selected: Selected,
        definition: GraphQLField,
        declaration: Declaration,
    ) -> Relation:
        """Write the function of one relation: keys of all objects, one call, the answer of each."""
        key, load = self._constant("key_of", declaration.key), self._constant("load", declaration.load)
        arguments = "None"
        if declaration.arguments is not None:
            bound = Arguments(self._schema, definition, selected.nodes[0], declaration)
            arguments = f"{self._constant('arguments', bound)}(run.variables)"
        if declaration.key_column is None:
            places.note_all()
        places.note(declaration.needs)
        read_key = f"{key}(row)" if declaration.key_column is None else places.column(declaration.key_column)
        nullable = declaration.kind is Kind.JUDGED or not isinstance(definition.type, GraphQLNonNull)
        lines = [
            f"keys = [{read_key} for row in rows]",
            "wanted = dict.fromkeys(keys)",
            *(["wanted.pop(None, None)"] if nullable else ["if None in wanted:", "    raise Anomaly('null')"]),
            f"values = await run.load({load}, {arguments}, list(wanted))",
        ]
        if declaration.kind is Kind.JUDGED:
            judge = self._constant("judge", declaration.judge)
            lines.append("loaded = dict(zip(wanted, values, strict=True))")
            lines.append(
                f"values = [{judge}(row, run.context, None if key is None else loaded[key])"
                " for row, key in zip(rows, keys, strict=True)]"
            )
            out, is_deep = self._complete(lines, definition.type, "values", selected.sets)
            lines.append(f"return {out}")
        else:
            if declaration.read is not None:
                read = self._constant("read", declaration.read)
                lines.append(f"values = [None if value is None else {read}(value) for value in values]")
            out, is_deep = self._complete(lines, definition.type, "values", selected.sets)
            lines += [
                f"if len(keys) == len({out}):",
                f"    return {out}",
                f"answers = dict(zip(wanted, {out}, strict=True))",
                "return [answers.get(key) for key in keys]",
            ]
        function = self._write(f"each_{selected.name}", "rows, run", lines, is_async=True)
        return Relation(index, key, load, declaration.arguments is not None, function, is_deep)

    def _group(self, group: Sequence[Relation]) -> tuple[str, str]:
        """The coroutine of relations that share one call, and what its answer is assigned to."""
        targets = ", ".join(f"all{relation.index}" for relation in group)
        if len(group) == 1:
            return targets, f"{group[0].function.name}(rows, run)"
        calls = [f"{relation.function.name}(rows, run)" for relation in group]
        at_once = sum(relation.is_deep for relation in group) > 1
        answers = f"await together({', '.join(calls)})" if at_once else ", ".join(f"await {call}" for call in calls)
        keys = ", ".join(f"**dict.fromkeys(map({relation.key}, rows))" for relation in group)
        lines = [
            f"wanted = {{{keys}}}",
            "wanted.pop(None, None)",
            f"await run.load({group[0].load}, None, list(wanted))",
            f"return {answers}",
        ]
        return targets, f"{self._write('share', 'rows, run', lines, is_async=True).name}(rows, run)"

    def _write(self, hint: str, parameters: str, lines: Iterable[str], is_async: bool) -> Function:
        name = self._new(f"{hint}_")
        body = "\n".join(f"    {line}" for line in lines)
        self._source.append(f"{'async ' if is_async else ''}def {name}({parameters}):\n{body}")
        return Function(name, is_async)
