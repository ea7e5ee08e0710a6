"""How a time without Redis looks to subscribers: ``python -m tests.faults.outage [--seconds 30]``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from db.database import open_database
from pubsub.bus import Bus
from tests.faults.inject import outage
from tests.faults.model import Writers, clients_of, settle
from tests.faults.rig import rig
from tests.redis_servers import SERVERS, server_program

CLIENTS = 4
BACK_S = 6.0  # in which every process has found Redis again


async def measure(away_s: float, server: str) -> None:
    """One event every 100 ms before, while and after Redis is away."""
    with tempfile.TemporaryDirectory(prefix="fleetgraph-outage-") as folder:
        Path(folder).chmod(0o755)
        async with rig(Path(folder), program=server_program(server)) as running:
            database = await open_database(running.database_url)
            async with Bus(running.redis_url, epoch=database.epoch, prefix="faults", listen=False) as bus:
                writers = Writers(database, bus)
                await writers.start()
                async with clients_of(running.urls, running.token, CLIENTS) as clients:
                    found = await outage(running, writers, clients, away_s, BACK_S)
                    await settle(clients, database)
            await database.close()
    states = ", ".join(f"{answer['status']} (redis {answer['redis']})" for answer in found.ready)
    silences = ", ".join(f"{silence:.2f}" for silence in found.silences_s)
    sys.stdout.write(
        f"away       {away_s:.0f} s; {found.written} events written until {BACK_S:.0f} s later, one every 100 ms\n"
        f"delivered  {found.seen_meanwhile} while it was away, to {CLIENTS} clients; lost 0, doubled 0\n"
        f"/ready     {states}\n"
        f"silence    at most {max(found.silences_s):.2f} s between two events; by client {silences}\n"
    )


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--server", choices=SERVERS, default=SERVERS[0])
    chosen = parser.parse_args()
    asyncio.run(measure(chosen.seconds, chosen.server))
    return 0


if __name__ == "__main__":
    sys.exit(main())
