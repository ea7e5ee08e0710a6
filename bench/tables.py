"""The sections of RESULTS.md from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.compare import CONNECTIONS, Cell, Cells
from bench.growth import PAGES, SIZES, Growth, Place
from bench.kinds import ABOUT, TITLES
from bench.questions import QUESTIONS
from bench.report import table
from bench.servers import Server

# Question, the other server, connections, must, aim: how many times as many answers as the other.
TARGETS = (
    ("q1", "postgraphile", 32, 2.5, 3.3),
    ("q2", "postgraphile", 32, 3.0, 3.8),
    ("q3", "postgraphile", 32, 4.0, 5.0),
    *((question, "limit", 32, 0.6, 0.85) for question in QUESTIONS),
    *((question, peer, 1, 1.2, 2.0) for question in QUESTIONS for peer in ("postgraphile", "mercurius")),
    *((question, "ordinary", 32, 10.0, 30.0) for question in ("q2", "q3")),
)
HOW = """\
One process each, over the same socket to the same PostgreSQL (the embedded one as `make run` starts it, untuned, its
data in the system's cache), on the machine that wrk uses too. Answers are checked to be equal before and after.
Numbers are medians of interleaved rounds; "Fleetgraph has" is how many times as many answers a second, the median
over the rounds; CPU is of one answer at 32 connections.
"""
GROWTH_MUST = 1.2  # times the time of the smallest table
MEMORY_MUST_MIB = 200


def comparison(cells: Cells, servers: Sequence[Server], memory: Mapping[str, float]) -> str:
    """A table for each question."""
    parts = []
    for question, title in QUESTIONS.items():
        head = [
            "",
            *[f"{n}: {word}" for n in CONNECTIONS for word in ("a second", "Fleetgraph has", "p50 ms", "p99 ms")],
        ]
        rows = [_row(cells, question, server) for server in servers]
        parts.append(f"### {title}\n\n{table([*head, 'CPU ms: server', 'database'], rows)}")
    rows = [[server.kind.title, f"{memory[server.kind.name]:.0f}", f"{server.memory_mib:.0f}"] for server in servers]
    parts.append(f"### Memory of each server, MiB\n\n{table(['', 'at the start', 'after the rounds'], rows)}")
    abouts = [f"- {server.kind.title}: {ABOUT[server.kind.name]}." for server in servers]
    parts.append("### How they run\n\n" + "\n".join([HOW, *abouts]))
    return "\n\n".join(parts)


def _row(cells: Cells, question: str, server: Server) -> list[str]:
    name = server.kind.name
    row = [server.kind.title]
    for connections in CONNECTIONS:
        cell, ours = cells[question, connections, name], cells[question, connections, "ours"]
        ratio = "" if cell is ours else f"{ours.times(cell):.2f} ×"  # noqa: RUF001
        row += [f"{cell.rate:,.0f}", ratio, f"{cell.p50_ms:.2f}", f"{cell.p99_ms:.2f}"]
    return [*row, *(f"{value:.2f}" for value in cells[question, CONNECTIONS[0], name].cpu_ms)]


def targets(cells: Cells) -> str:
    """What was to be reached, and what was."""
    rows = []
    for question, other, connections, must, aim in TARGETS:
        now = cells[question, connections, "ours"].times(cells[question, connections, other])
        words = "missed" if now < must else "met" if now < aim else "aim reached"
        what = f"{question.upper()} at {connections}, times {TITLES[other]}"
        rows.append([what, f"{must:g}", f"{aim:g}", f"{now:.2f}", words])
    return "### Targets\n\n" + table(["", "must", "aim", "measured", ""], rows)


def growth(cells: Growth) -> str:
    """The page's time by size and depth, and as a multiple of the smallest table's first page."""
    names = list(dict.fromkeys(name for _, name in cells))
    head = ["tasks", "page", *[f"{TITLES[name]}: {word}" for name in names for word in ("p50 ms", "times", "CPU ms")]]
    rows = []
    for place in sorted({place for place, _ in cells}, key=lambda place: (place.page, place.tasks)):
        row = [f"{place.tasks:,}", f"{place.page:,}"]
        for name in names:
            cell, base = cells[place, name], cells[Place(SIZES[0], PAGES[0]), name]
            row += [f"{cell.p50_ms:.2f}", f"{cell.slower(base):.2f}", f"{sum(cell.cpu_ms):.2f}"]
        rows.append(row)
    grown = max(cell.slower(_base(cells)) for (_, name), cell in cells.items() if name == "ours")
    words = "met" if grown <= GROWTH_MUST else "missed"
    to_reach = f"To reach: at most {GROWTH_MUST:g} times the smallest table's"
    return f"{table(head, rows)}\n\n{to_reach}; it is {grown:.2f} times: {words}."


def _base(cells: Growth) -> Cell:
    return cells[Place(SIZES[0], PAGES[0]), "ours"]


def memory(found: Sequence[tuple[int, float]]) -> str:
    """Resident memory by requests."""
    rows = [[f"{requests:,}", f"{mib:.0f}"] for requests, mib in _thinned(found)]
    most = max(mib for _, mib in found)
    words = "met" if most < MEMORY_MUST_MIB else "missed"
    return f"{table(['requests', 'MiB'], rows)}\n\nTo reach: under {MEMORY_MUST_MIB} MiB; at most {most:.0f}: {words}."


def _thinned(found: Sequence[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """The first rows, then one for each twelfth of the way, and the last."""
    step = found[-1][0] / 12
    due = 0.0
    for n, (requests, mib) in enumerate(found):
        if n < 3 or requests >= due or n == len(found) - 1:
            yield requests, mib
            due = requests + step


def text(cells: Cells) -> str:
    """The comparison for a terminal, of whatever was measured."""
    lines = [f"{'':28}{'a second':>10}{'ours':>8}{'p50 ms':>8}{'p99 ms':>9}{'CPU ms':>8}{'+ SQL':>7}"]
    for (question, count, name), cell in cells.items():
        ours = cells.get((question, count, "ours"))
        ratio = f"{ours.times(cell):6.2f} x" if ours not in (None, cell) else " " * 8
        server_ms, database_ms = cell.cpu_ms
        line = f"{question} {count:>3}  {name:<21}{cell.rate:10,.0f}{ratio}{cell.p50_ms:8.2f}{cell.p99_ms:9.2f}"
        lines.append(f"{line}{server_ms:8.3f}{database_ms:7.3f}")
    return "\n".join(lines)
