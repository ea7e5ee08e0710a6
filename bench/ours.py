"""`fleetgraph serve` as it is, watched: at its end it writes how often its plans fell back, to a file of BENCH_REPORT.

``python -m bench.ours ordinary`` switches its plans off: Strawberry's own schema, executed in the ordinary way.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import commands
from execution.operations import Operations

ORDINARY = "ordinary" in sys.argv
made: list[Operations] = []


class Watched(Operations):
    """Operations that are remembered."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named, plans=not ORDINARY)
        made.append(self)


def main() -> int:
    """Serve, then report."""
    try:
        with patch("app.Operations", Watched), patch("sys.argv", ["fleetgraph", "serve"]):
            return commands.main()
    finally:
        report = {"fallbacks": dict(made[0].fallbacks) if made else None}
        Path(os.environ["BENCH_REPORT"]).write_text(json.dumps(report))


if __name__ == "__main__":
    sys.exit(main())
