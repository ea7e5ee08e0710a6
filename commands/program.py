"""The program's own name, for messages that say what to type."""

from __future__ import annotations

import os
import sys


def program() -> str:
    """How this program was called, as a person would type it again."""
    called = sys.argv[0]
    relative = os.path.relpath(called)
    return relative if not relative.startswith("..") and os.sep in relative else "fleetgraph"
