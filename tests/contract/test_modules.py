"""What import-linter cannot see: who imports the module app, and whose the top-level names are."""

import ast
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "commands",
    "db",
    "domain",
    "execution",
    "explorer",
    "ingest",
    "jobs",
    "loaders",
    "local",
    "pubsub",
    "resolvers",
    "schema",
)


def _imports_of_app(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        if isinstance(node, ast.Import | ast.ImportFrom) and any(name.split(".")[0] == "app" for name in names):
            yield node


def _late(tree: ast.AST) -> set[ast.AST]:
    """What stands in functions, and under `if TYPE_CHECKING`: it does not run when the module is imported."""
    late: set[ast.AST] = set()
    for node in ast.walk(tree):
        checking = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        if checking or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            late |= set(ast.walk(node))
    return late


def test_app_is_imported_by_commands_only_and_late() -> None:
    """app imports everything: whoever imported it back would close a circle."""
    found, refused = 0, []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            late = _late(tree)
            for node in _imports_of_app(tree):
                found += 1
                if package != "commands" or node not in late:
                    refused.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert refused == []
    assert found, "the search finds nothing: is it broken?"


def test_the_list_of_packages_is_whole() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert folders == set(PACKAGES)


@pytest.mark.parametrize("folder", ["the checkout", "elsewhere"])
def test_each_name_is_ours_and_graphql_is_not(folder: str, tmp_path: Path) -> None:
    """`graphql` is graphql-core even in the checkout, whose folder of that name is data."""
    names = ("app", *PACKAGES, "graphql")
    find = "import importlib.util as u, json; print(json.dumps({n: u.find_spec(n).origin for n in %r}))" % (names,)  # noqa: UP031
    working = ROOT if folder == "the checkout" else tmp_path
    answer = subprocess.run([sys.executable, "-c", find], cwd=working, capture_output=True, text=True, check=True)
    origins = json.loads(answer.stdout)
    files = {name: str(ROOT / name / "__init__.py") for name in PACKAGES} | {"app": str(ROOT / "app.py")}
    assert {name: origins[name] for name in files} == files
    assert Path(origins["graphql"]).match("site-packages/graphql/__init__.py")


def test_no_installed_distribution_has_one_of_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    others = {name: set(owners.get(name, ())) - {"fleetgraph"} for name in ("app", *PACKAGES, "tests")}
    assert {name: found for name, found in others.items() if found} == {}
    assert set(owners["graphql"]) == {"graphql-core"}


def test_the_folder_graphql_holds_no_python() -> None:
    """A module in it would make it a package, and hide graphql-core."""
    assert [path for path in (ROOT / "graphql").rglob("*") if path.suffix.startswith(".py")] == []
