"""The program's own name, for messages that say what to type."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping

FOLDER = "FLEETGRAPH_DATA_DIR"


def program(environment: Mapping[str, str]) -> str:
    """How this program was called, as a person would type it again, in another terminal too."""
    called = sys.argv[0]
    relative = os.path.relpath(called)
    name = relative if not relative.startswith("..") and os.sep in relative else "fleetgraph"
    folder = environment.get(FOLDER, "").strip()
    return f"{FOLDER}={shlex.quote(os.path.abspath(os.path.expanduser(folder)))} {name}" if folder else name
