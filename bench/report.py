"""bench/RESULTS.md: one section per measurement, each with its date and machine; a run replaces only its own."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.stores import ROOT
from local.programs import find_postgres, find_valkey

RESULTS = Path(__file__).with_name("RESULTS.md")
SECTIONS = {"queries": "Queries", "growth": "Growth", "memory": "Memory", "realtime": "Subscriptions"}  # in this order
TITLE = """\
# Measured

Written by `make bench`; [docs/benchmarks.md](../docs/benchmarks.md) says what is measured and how. Each section has its
own date and machine: compare ratios within a section, not numbers between machines.
"""


def write_section(name: str, text: str, results: Path = RESULTS) -> None:
    """Put a section of SECTIONS, without its heading, in the place of its last one."""
    kept = _sections(results)
    kept[name] = f"## {SECTIONS[name]}\n\n{text.strip()}\n"
    parts = [f"<!-- {key} -->\n{kept[key]}<!-- end of {key} -->\n" for key in SECTIONS if key in kept]
    results.write_text("\n".join([TITLE, *parts]))


def _sections(results: Path) -> dict[str, str]:
    text = results.read_text() if results.exists() else ""
    return dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- end of \1 -->\n", text, re.DOTALL))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def conditions(**versions: str) -> str:
    """Date, commit, machine and versions, as one paragraph; `versions` are added to the service's own."""
    found = {
        "Python": platform.python_version(),
        **{name: version(name) for name in ("strawberry-graphql", "graphql-core", "uvicorn", "asyncpg")},
        **versions,
    }
    stores = f"{find_postgres(None).name}, {find_valkey().name}"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {_commit()}; {_machine()}. {stores}, "
        + ", ".join(f"{name} {number}" for name, number in found.items())
        + "."
    )


def _commit() -> str:
    try:
        words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _machine() -> str:
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    model = models[0] if models else platform.machine()
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} × {model}, {memory_gib:.0f} GiB, Linux {platform.release()}"  # noqa: RUF001
