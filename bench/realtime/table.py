"""The section of RESULTS.md: medians of interleaved rounds, and how many times better ours is than Node's."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.realtime.processes import PEER
from bench.report import table

OURS = "ours"
BOUND = 0.9  # of the time: whoever wrote for so long was what was measured

Figures = Mapping[str, float]


@dataclass(slots=True)
class Found:
    """All that was measured."""

    sockets: int
    rounds: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)  # by case and server
    shapes: dict[str, Any] = field(default_factory=dict)  # of what is delivered, by case
    idle: dict[str, Figures] = field(default_factory=dict)
    idle_sockets: int = 0
    written: dict[str, float] = field(default_factory=dict)  # a second

    def keep(self, path: Path) -> None:
        """Write what was measured over what is kept of the same parts."""
        kept = json.loads(path.read_text()) if path.exists() else {}
        kept |= {"sockets": self.sockets} | {
            f"{case} {server}": rounds for (case, server), rounds in self.rounds.items()
        }
        if self.idle:
            kept |= {"idle": self.idle, "idle_sockets": self.idle_sockets}
        if self.written:
            kept |= {"written": self.written}
        path.write_text(json.dumps(kept))

    @classmethod
    def kept(cls, path: Path) -> Found:
        """What was measured part by part."""
        kept = json.loads(path.read_text())
        rounds = {tuple(name.split()): kept[name] for name in kept if " " in name}
        return cls(
            kept["sockets"], rounds, {}, kept.get("idle", {}), kept.get("idle_sockets", 0), kept.get("written", {})
        )

    def add(self, case: str, server: str, figures: Figures) -> None:
        """One round more."""
        self.rounds.setdefault((case, server), []).append(figures)

    def median(self, case: str, server: str, name: str) -> float:
        """Of all rounds."""
        return statistics.median(figures[name] for figures in self.rounds[case, server])

    @property
    def client_cpu(self) -> float:
        """The most of a core that the counting client took in a round."""
        every = (figures for rounds in self.rounds.values() for figures in rounds)
        return max(max(figures["client_cpu"], figures.get("paced_client_cpu", 0)) for figures in every)


CASES = {
    "one_topic": "one topic",
    "topic_each": "a topic each (`taskLog` of 1,000 tasks)",
    "filter_each": "a filter each (`taskChanged` of 1,000 conversations)",
}


def section(found: Found) -> str:
    """The text, without its heading and its conditions."""
    parts = []
    if found.rounds:
        parts.append(_fan_out(found))
    if found.idle:
        parts.append(_idle(found))
    if found.written:
        parts.append(_written(found))
    return "\n\n".join(parts)


def _fan_out(found: Found) -> str:
    rows: list[Sequence[str]] = []
    for case, title in CASES.items():
        if (case, OURS) not in found.rounds:
            continue
        rows.append(_rates(found, case, title))
        rows.append(_row(found, case, "cpu_us", f"{title}: CPU of the server, µs a delivery"))
        rows.append(_row(found, case, "database_us", f"{title}: CPU of PostgreSQL, µs a delivery"))
        if case == "one_topic":
            rows.append(_row(found, case, "paced_p50_ms", "10,000 deliveries a second: p50, ms from commit to client"))
            rows.append(_row(found, case, "paced_p99_ms", "10,000 deliveries a second: p99, ms from commit to client"))
            rows.append(_row(found, case, "paced_cpu_us", "10,000 deliveries a second: CPU, µs a delivery"))
            rows.append(_first(found, case, "socket_kib", "memory of a socket with its subscription, KiB"))
            rows.append(_row(found, case, "connect_s", "to connect and subscribe all, s"))
    text = (
        f"{found.sockets:,} sockets with a subscription each. `≥`: the server kept pace with the writer, which was what"
        f" was measured. The counting client took at most {found.client_cpu:.0%} of a core."
    )
    return f"{text}\n\n{table(['', 'Fleetgraph', 'Node graphql-ws', 'ratio'], rows)}"


def _rates(found: Found, case: str, title: str) -> Sequence[str]:
    cells = []
    for server in (OURS, PEER):
        bound = "≥ " if found.median(case, server, "written") > BOUND else ""
        cells.append(f"{bound}{found.median(case, server, 'rate'):,.0f}")
    ratio = found.median(case, OURS, "rate") / found.median(case, PEER, "rate")
    return [f"**{title}**: deliveries a second", *cells, f"{ratio:.2f}"]


def _row(found: Found, case: str, name: str, title: str) -> Sequence[str]:
    """A figure of which less is better."""
    return _less(title, found.median(case, OURS, name), found.median(case, PEER, name))


def _first(found: Found, case: str, name: str, title: str) -> Sequence[str]:
    """As of the first round: later ones find the memory of the rounds before."""
    return _less(title, found.rounds[case, OURS][0][name], found.rounds[case, PEER][0][name])


def _less(title: str, ours: float, peer: float) -> Sequence[str]:
    return [title, f"{ours:,.1f}", f"{peer:,.1f}", f"{peer / ours:.2f}" if ours > 0 else ""]


def _idle(found: Found) -> str:
    ours, peer = found.idle[OURS], found.idle[PEER]
    rows = [
        _less("memory of each, KiB", ours["socket_kib"], peer["socket_kib"]),
        _less("to connect and subscribe all, s", ours["connect_s"], peer["connect_s"]),
        _less("one event to all of them, s", found.idle_sockets / ours["rate"], found.idle_sockets / peer["rate"]),
    ]
    head = [f"{found.idle_sockets:,} idle subscriptions in one process", "Fleetgraph", "Node graphql-ws", "ratio"]
    return table(head, rows)


def _written(found: Found) -> str:
    rows = [[name, f"{rate:,.0f}"] for name, rate in found.written.items()]
    return table(["Written by 32 at once, durably", "a second"], rows)
