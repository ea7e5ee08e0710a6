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
MODULES = ("app", "settings")


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level name of all imports of a file, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, (node.module or "").split(".")[0]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)


def test_app_and_settings_are_above_all_but_commands() -> None:
    """app imports everything, and settings is what it and commands are told: no package below may know them."""
    found, refused = 0, []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for line, name in _imported(path):
                if name in MODULES:
                    found += 1
                    if package != "commands":
                        refused.append(f"{path.relative_to(ROOT)}:{line}")
    assert refused == []
    assert found, "the search finds nothing: is it broken?"
    below = {name for _, name in _imported(ROOT / "settings.py")} & {*PACKAGES, *MODULES}
    assert below == {"execution"}
    assert "commands" not in {name for _, name in _imported(ROOT / "app.py")}


def test_the_list_of_packages_is_whole() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert folders == set(PACKAGES)


@pytest.mark.parametrize("folder", ["the checkout", "elsewhere"])
def test_each_name_is_ours_and_graphql_is_not(folder: str, tmp_path: Path) -> None:
    """`graphql` is graphql-core even in the checkout, whose folder of that name is data."""
    names = (*MODULES, *PACKAGES, "graphql")
    find = "import importlib.util as u, json; print(json.dumps({n: u.find_spec(n).origin for n in %r}))" % (names,)  # noqa: UP031
    working = ROOT if folder == "the checkout" else tmp_path
    answer = subprocess.run([sys.executable, "-c", find], cwd=working, capture_output=True, text=True, check=True)
    origins = json.loads(answer.stdout)
    files = {name: str(ROOT / name / "__init__.py") for name in PACKAGES}
    files |= {name: str(ROOT / f"{name}.py") for name in MODULES}
    assert {name: origins[name] for name in files} == files
    assert Path(origins["graphql"]).match("site-packages/graphql/__init__.py")


def test_no_installed_distribution_has_one_of_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    others = {name: set(owners.get(name, ())) - {"fleetgraph"} for name in (*MODULES, *PACKAGES, "tests")}
    assert {name: found for name, found in others.items() if found} == {}
    assert set(owners["graphql"]) == {"graphql-core"}


def test_the_folder_graphql_holds_no_python() -> None:
    """A module in it would make it a package, and hide graphql-core."""
    assert [path for path in (ROOT / "graphql").rglob("*") if path.suffix.startswith(".py")] == []
