"""The compiler with one fault put in: the comparison has to find each. Modules are loaded anew, the real ones stay."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

PACKAGE = "execution.plans"
MODULES = (
    "leaves",
    "selections",
    "arguments",
    "run",
    "values",
    "compiler",
    "plan",
    "service",
)  # each imports only those before it


@dataclass(frozen=True)
class Mutant:
    """A change of the text of one module."""

    name: str
    module: str
    old: str
    new: str

    def __str__(self) -> str:
        return self.name


MUTANTS = [
    Mutant("drop an alias", "selections", "node.alias.value if node.alias else node.name.value", "node.name.value"),
    Mutant(
        "ignore @skip",
        "selections",
        "for directive in node.directives or ():",
        "for directive in [d for d in node.directives or () if d.name.value != 'skip']:",
    ),
    Mutant(
        "ignore @include",
        "selections",
        "for directive in node.directives or ():",
        "for directive in [d for d in node.directives or () if d.name.value != 'include']:",
    ),
    Mutant(
        "condition by the opposite of its variable",
        "selections",
        "return self.conditions[value.name.value]",
        "return not self.conditions[value.name.value]",
    ),
    Mutant(
        "merge only the first of doubled keys",
        "selections",
        "for node in self.nodes if",
        "for node in self.nodes[:1] if",
    ),
    Mutant("let every fragment apply", "selections", "if wanted is runtime:", "if wanted is not None:"),
    Mutant(
        "swap two columns",
        "values",
        "self._columns.place(self.classes[0], name)",
        "self._columns.place(self.classes[0], dict(created_at='updated_at', updated_at='created_at').get(name, name))",
    ),
    Mutant(
        "join by whatever has that name",
        "compiler",
        "places.classes[0], type_, name)",
        "places.classes[0], type_, 'agent')",
    ),
    Mutant("leave nulls where none may be", "leaves", 'raise Anomaly("null")', "return None"),
    Mutant(
        "put nulls of a list at its end",
        "run",
        "return [None if value is None else next(rest) for value in values]",
        "return [*found, *[None] * (len(values) - len(found))]",
    ),
    Mutant(
        "forget a list's nesting",
        "run",
        "answers.append(found[place : place + len(items)])",
        "answers.append(found[place:])",
    ),
    Mutant(
        "answer relations by place, not by key",
        "compiler",
        '"return [answers.get(key) for key in keys]"',
        'f"return [*{out}, *[None] * (len(keys) - len({out}))]"',
    ),
    Mutant(
        "share a batch between different arguments",
        "run",
        "place = (function, args)\n        loaded",
        "place = (function, None)\n        loaded",
    ),
    Mutant(
        "take a failed batch for nothing found",
        "run",
        'raise Anomaly("batch") from error',
        "found = [None] * len(keys)",
    ),
    Mutant(
        "order objects of a list by type",
        "run",
        "return [next(rest[name]) for name in kinds]",
        "return [value for values in rest.values() for value in values]",
    ),
    Mutant(
        "tell one __typename for all",
        "compiler",
        "{self._constant('name', type_.name)}\")",
        "{self._constant('name', 'Task')}\")",
    ),
    Mutant("call an expected failure an error", "plan", "= Failure(error)", "= error"),
    Mutant("keep data beside a failed non-null root", "plan", "if errors and any(", "if not errors and any("),
    Mutant(
        "lose the field that has arguments of its own",
        "arguments",
        "if self._function is None:",
        "if self._function is None or not self.uses_variables:",
    ),
    Mutant(
        "carry a mutation out again",
        "run",
        "if info.path.prev is not None or key not in self._run.outcomes:",
        "if info.path.prev is None or key not in self._run.outcomes:",
    ),
]


@contextmanager
def mutated(mutant: Mutant) -> Iterator[Any]:
    """The module `service` of a changed copy of the package."""
    names = [f"{PACKAGE}.{name}" for name in MODULES]
    real = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        for name in names:
            sys.modules[name] = _load(name, mutant)
        yield sys.modules[f"{PACKAGE}.service"]
    finally:
        sys.modules.update(real)


def _load(name: str, mutant: Mutant) -> ModuleType:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    with open(spec.origin, encoding="utf-8") as file:
        text = file.read()
    if name.endswith(f".{mutant.module}"):
        assert mutant.old in text, f"{mutant}: the compiler has changed, change the mutant"
        text = text.replace(mutant.old, mutant.new)
    module = ModuleType(name)
    module.__file__ = spec.origin
    sys.modules[name] = module
    exec(compile(text, spec.origin, "exec"), vars(module))  # noqa: S102 - our own source, with a fault put in
    return module
