"""Variables and arguments: coerced as graphql-core and Strawberry do, once for the same values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    Visitor,
    get_named_type,
    is_leaf_type,
    is_non_null_type,
    visit,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_argument_values, get_variable_values
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_value
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryMaybe

from execution.declarations import Declaration, Kind

MAX_KEPT = 16  # values of the variables whose arguments are kept, for each field that needs it
MAX_KEY = 512  # bytes of them


class Given(NamedTuple):
    """A request's variables, raw and coerced."""

    raw: Mapping[str, Any]
    values: VariableValues

    @property
    def coerced(self) -> dict[str, Any]:
        """By name; absent ones without a default are not there."""
        return self.values.coerced

    def key(self) -> bytes | None:
        """What tells the raw variables from others; None when they are too many to be kept."""
        try:
            text = orjson.dumps(self.raw)
        except TypeError:
            return None
        return text if len(text) <= MAX_KEY else None


NO_VARIABLES = Given({}, VariableValues({}, {}))


class Variables:
    """Coerces the variables of one operation."""

    def __init__(self, schema: GraphQLSchema, definition: OperationDefinitionNode) -> None:
        self._schema = schema
        self._nodes = definition.variable_definitions or ()
        self._signatures = _signatures(schema, definition)

    def __call__(self, raw: Mapping[str, Any]) -> Given | list[GraphQLError]:
        """The variables, or what is wrong with them."""
        values = self._usual(raw)
        if values is None:
            found = get_variable_values(self._schema, self._nodes, dict(raw), max_errors=1)
            if isinstance(found, list):
                return found
            values = found
        return Given(raw, values)

    def _usual(self, raw: Mapping[str, Any]) -> VariableValues | None:
        """The same as graphql-core finds, without looking their types up again; None where something is wrong."""
        if self._signatures is None:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, default in self._signatures:
            name, type_ = signature.name, signature.type
            value = raw.get(name, Undefined)
            if value is Undefined:
                sources[name] = VariableValueSource(signature)
                if default is not Undefined:
                    coerced[name] = default
                elif is_non_null_type(type_):
                    return None
                continue
            found = coerce_input_value(value, type_)
            if found is Undefined:
                return None
            sources[name] = VariableValueSource(signature, value)
            coerced[name] = found
        return VariableValues(sources, coerced)


def _signatures(
    schema: GraphQLSchema, definition: OperationDefinitionNode
) -> list[tuple[GraphQLVariableSignature, Any]] | None:
    """Each variable with its default; None when one has an input object, whose depth is to be looked at."""
    found = []
    for node in definition.variable_definitions or ():
        signature = get_variable_signature(schema, node)
        if isinstance(signature, GraphQLError) or not is_leaf_type(get_named_type(signature.type)):
            return None
        try:
            default = coerce_default_value(signature) if signature.default else Undefined
        except TypeError:  # graphql-core says what is wrong with it
            return None
        found.append((signature, default))
    return found


class Arguments:
    """The arguments of one selected field, as its declaration wants them.

    Worked out once where they are literals. Where they are variables, those are put among them; where variables stand
    within lists and objects, what came of the last values is kept.
    """

    def __init__(
        self, schema: GraphQLSchema, definition: GraphQLField, node: FieldNode, declaration: Declaration
    ) -> None:
        self._definition = definition
        self._node = node
        self._function = declaration.arguments
        self._convert = _converter(schema, definition)
        self.uses_variables = any(map(_uses_variables, node.arguments or ()))
        self._is_known = False
        self._found: Any = None
        self._direct = _direct(schema, definition, node) if self.uses_variables else None
        self._fixed: dict[str, Any] | None = None
        self._keeps = declaration.kind not in (Kind.MUTATION, Kind.FEED)  # what is only read, and never changed
        self._kept: OrderedDict[bytes, Any] = OrderedDict()

    def fixed(self) -> tuple[Any] | None:
        """The arguments as they are for all variables; None where they depend on some, or cannot be."""
        if self.uses_variables:
            return None
        try:
            return (self(NO_VARIABLES),)
        except Exception:  # whatever it is, it is told where they are needed
            return None

    def __call__(self, variables: Given) -> Any:
        """The arguments. Raises what their coercion, or the declaration's function, raises."""
        if self._function is None:
            return None
        if self._is_known:
            return self._found
        if not self.uses_variables:
            self._found = self._function(**self._coerced(variables))
            self._is_known = True
            return self._found
        if self._direct is not None:
            return self._function(**self._put(self._direct, variables))
        return self._keep(variables)

    def _coerced(self, variables: Given) -> dict[str, Any]:
        return self._convert(get_argument_values(self._definition, self._node, variables.values))

    def _put(self, direct: list[tuple[str, str, bool]], variables: Given) -> dict[str, Any]:
        """Variables among the literals; where one is null or absent, the whole is left to graphql-core."""
        if self._fixed is None:
            self._fixed = self._coerced(variables)
        coerced = variables.values.coerced
        values = dict(self._fixed)
        for name, variable, is_required in direct:
            value = coerced.get(variable)
            if value is None and (is_required or variable not in coerced):
                return self._coerced(variables)
            values[name] = value
        return values

    def _keep(self, variables: Given) -> Any:
        key = variables.key() if self._keeps else None
        if key is not None and key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = self._function(**self._coerced(variables)) if self._function is not None else None
        if key is not None:
            self._kept[key] = found
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found


def _direct(schema: Any, definition: GraphQLField, node: FieldNode) -> list[tuple[str, str, bool]] | None:
    """Of each argument that is a variable: its Python name, the variable's, and whether it must not be null.

    None where a variable stands within a value, or for what is converted.
    """
    names = schema._strawberry_schema.config.name_converter
    declared = {names.from_argument(one): one for one in definition.extensions["strawberry-definition"].arguments}
    found = []
    for argument in node.arguments or ():
        if isinstance(argument.value, VariableNode):
            name = argument.name.value
            type_ = definition.args[name].type
            inner = type_.of_type if is_non_null_type(type_) else type_
            if not is_leaf_type(inner) or isinstance(declared[name].type, StrawberryMaybe):
                return None
            found.append((declared[name].python_name, argument.value.name.value, is_non_null_type(type_)))
        elif _uses_variables(argument):
            return None
    return found


def _converter(schema: Any, definition: GraphQLField) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Strawberry's conversion of coerced arguments: input objects become instances, absent ones are left out."""
    strawberry_schema = schema._strawberry_schema
    config = strawberry_schema.config
    registry = strawberry_schema.schema_converter.scalar_registry
    declared = definition.extensions["strawberry-definition"].arguments

    def run(values: dict[str, Any]) -> dict[str, Any]:
        return convert_arguments(values, declared, registry, config)

    return run


def _uses_variables(node: ArgumentNode) -> bool:
    found: list[VariableNode] = []

    class Collect(Visitor):
        def enter_variable(self, variable: VariableNode, *_: object) -> None:
            found.append(variable)

    visit(node, Collect())
    return bool(found)
