"""All faults, for as long as is asked for: ``python -m tests.faults.soak [--minutes 10] [--rate 2000]`` (`make soak`).

Prints a line for each fault as it happens; in the end what came of each, what was delivered, lost (0) and doubled (0),
latency from the event's time to the client, and memory.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from db.database import open_database
from pubsub.bus import Bus
from tests.faults.inject import CALM_S, Faults
from tests.faults.model import Client, Writers, clients_of, settle, truth
from tests.faults.rig import Rig, rig
from tests.redis_servers import SERVERS, server_program

CLIENTS = 4
SETTLE_S = 60.0
WRITERS = 8  # at once, so that the rate is kept on a machine that is busy
TASKS = 2_000  # so many that writers seldom wait for each other's tasks: the topic alone is hot


@dataclass
class Share:
    """What came between the beginning of a fault and that of the next: its row of the table."""

    times: int = 0
    written: int = 0
    delivered: int = 0
    lost: int = 0
    doubled: int = 0
    silence_s: float = 0.0

    def add(self, other: Share, sign: int = 1) -> None:
        """Both together, or what of this came after the other."""
        for name in ("times", "written", "delivered", "lost", "doubled"):
            setattr(self, name, getattr(self, name) + sign * getattr(other, name))
        self.silence_s = max(self.silence_s, other.silence_s)


class Tally:
    """Gives each fault what came since the last one was counted."""

    def __init__(self, writers: Writers, clients: Sequence[Client]) -> None:
        self._writers = writers
        self._clients = clients
        self._before = self._now()
        self.shares: dict[str, Share] = {}

    def _now(self) -> Share:
        clients = self._clients
        return Share(
            written=self._writers.written,
            delivered=sum(client.delivered for client in clients),
            lost=sum(client.lost for client in clients),
            doubled=sum(client.doubled for client in clients),
        )

    def count(self, name: str, times: int = 1) -> None:
        """Count a fault."""
        now = self._now()
        share = replace(now, times=times)
        share.add(self._before, -1)
        self._before = now
        for client in self._clients:
            share.silence_s = max(share.silence_s, client.longest_silence_s)
            client.longest_silence_s = 0.0
        self.shares.setdefault(name, Share()).add(share)

    @property
    def total(self) -> Share:
        """All of it."""
        total = Share()
        for share in self.shares.values():
            total.add(share)
        return total

    def table(self) -> str:
        """A row for each fault, and one for all."""
        lines = ["| fault | times | written | delivered | lost | doubled | longest silence |", "|---|" + "---:|" * 6]
        for name, row in [*sorted(self.shares.items()), ("all", self.total)]:
            counts = f"{row.times} | {row.written:,} | {row.delivered:,} | {row.lost:,} | {row.doubled:,}"
            lines.append(f"| {name.replace('_', ' ')} | {counts} | {row.silence_s:.1f} s |")
        return "\n".join(lines)


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def percentile_ms(values: Sequence[float], share: float) -> float:
    """Of sorted seconds."""
    return values[int(share * (len(values) - 1))] * 1000 if values else 0.0


async def inject_all(faults: Faults, tally: Tally, chance: random.Random, for_s: float) -> None:
    """Every fault in a random order, and again, until the time is over."""
    started = time.monotonic()
    while True:
        for name in chance.sample(Faults.NAMES, len(Faults.NAMES)):
            evidence = await faults.inject(name)
            await asyncio.sleep(CALM_S)
            tally.count(name)
            say(f"{time.monotonic() - started:6.0f} s  {name.replace('_', ' ')}: {evidence}")
            if time.monotonic() - started > for_s:
                return


async def soak(running: Rig, minutes: float, rate: float, together: int, seed: int) -> bool:
    """Run it. Returns whether nothing was lost or doubled."""
    chance = random.Random(seed)
    database = await open_database(running.database_url, write_size=WRITERS)
    async with Bus(running.redis_url, epoch=database.epoch, prefix="faults", listen=False) as bus:
        writers = Writers(database, bus, TASKS, together, rate, WRITERS)
        await writers.start()
        async with clients_of(running.urls, running.token, CLIENTS, seed) as clients:
            faults, tally = Faults(running, writers, clients, chance), Tally(writers, clients)
            survivor = running.apis[0]  # the faults leave it alive: what it leaks is seen
            memory = [survivor.memory_mib]
            first, _ = await truth(database)
            started, spent = time.monotonic(), time.process_time()
            async with writers.working():
                await inject_all(faults, tally, chance, minutes * 60)
            took_s, spent_s = time.monotonic() - started, time.process_time() - spent
            last, _ = await truth(database)
            failure = ""
            try:
                await settle(clients, database, SETTLE_S)
            except AssertionError as error:
                failure = f"the model is violated: {error}"
            tally.count("after the last", 0)
            memory.append(survivor.memory_mib)
    await database.close()
    report(clients, tally, last - first, took_s)
    say(f"memory    {memory[0]:.0f} MiB at the start, {memory[1]:.0f} at the end, of the process that is never killed")
    say(f"client    {spent_s / took_s:.0%} of a core for writers and clients, which are one process")
    if failure:
        say(failure)
    return not failure


def report(clients: Sequence[Client], tally: Tally, events: int, took_s: float) -> None:
    """The figures."""
    say(tally.table())
    latencies: array[float] = array("f")
    for client in clients:
        latencies.extend(client.latencies)
    ordered = sorted(latencies)
    say(f"events    {events:,} in {took_s:.0f} s: {events / took_s:,.0f} a second, {len(clients)} clients")
    say(f"delivered {sum(client.delivered for client in clients):,}")
    say(f"lost      {sum(client.lost for client in clients)}")
    say(f"doubled   {sum(client.doubled for client in clients)}")
    say(f"expired   {sum(client.expired for client in clients)}")
    say(f"connected {sum(client.connections for client in clients)} times")
    say(f"latency   p50 {percentile_ms(ordered, 0.5):.1f} ms, p99 {percentile_ms(ordered, 0.99):.1f} ms")


async def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second")
    parser.add_argument(
        "--together", type=int, default=10, help="events of a transaction; more keep the rate when busy"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--server", choices=SERVERS, default=SERVERS[0])
    chosen = parser.parse_args()
    program = server_program(chosen.server)
    say(f"seed {chosen.seed}, {program.name}")
    with tempfile.TemporaryDirectory(prefix="fleetgraph-soak-") as folder:
        Path(folder).chmod(0o755)
        async with rig(Path(folder), program=program) as running:
            return 0 if await soak(running, chosen.minutes, chosen.rate, chosen.together, chosen.seed) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
