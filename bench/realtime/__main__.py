"""``python -m bench.realtime --parts one_topic,writing``: ``python -m bench realtime``, part by part.

What is measured replaces what was measured of the same parts before; the section of all of them is printed.
"""

from __future__ import annotations

import argparse
import asyncio

from bench.realtime.fanout import FULL, QUICK
from bench.realtime.run import PARTS, measure
from bench.realtime.table import Found, section
from bench.stores import bench_stores


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.realtime", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of %(default)s")
    chosen = parser.parse_args()
    with bench_stores() as stores:
        kept = stores.folder / f"realtime{'-quick' if chosen.quick else ''}.json"
        asyncio.run(measure(stores, QUICK if chosen.quick else FULL, chosen.parts.split(","))).keep(kept)
    print(section(Found.kept(kept)))


if __name__ == "__main__":
    main()
