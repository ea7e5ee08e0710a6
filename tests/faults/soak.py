"""All faults, for as long as is asked for: ``python -m tests.faults.soak [--minutes 10] [--rate 2000]`` (`make soak`).

Prints what was delivered, lost (0) and doubled (0), latency from the event's time to the client, and memory.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from db.database import open_database
from pubsub.bus import Bus
from tests.faults.model import Client, Writers, clients_of, settle, truth
from tests.faults.rig import Rig, rig

CLIENTS = 4
CALM_S = 2.0  # between two faults: what one has torn is mended before the next

Fault = Callable[[], Awaitable[None]]


class Faults:
    """What can be done to a rig with clients and writers."""

    def __init__(self, running: Rig, writers: Writers, clients: list[Client], chance: random.Random) -> None:
        self._rig = running
        self._writers = writers
        self._clients = clients
        self._chance = chance
        self.is_noisy = False
        self.holds: list[float] = []

    async def publish(self, transaction: Any) -> None:
        """Publish; while it is noisy, messages are lost, doubled and late."""
        for _ in range(self._chance.choice((0, 1, 1, 2)) if self.is_noisy else 1):
            if self.is_noisy:
                await asyncio.sleep(self._chance.uniform(0, 0.02))
            await self._writers.bus.publish(transaction.emitted, transaction.log_heads)

    def hold_s(self) -> float:
        return self.holds.pop() if self.holds else 0.0

    async def process_killed(self) -> None:
        api = self._chance.choice(self._rig.apis)
        api.kill()
        await asyncio.sleep(1)
        api.start()
        await asyncio.to_thread(api.wait)

    async def valkey_restarted(self) -> None:
        await self._rig.restart_valkey(self._chance.uniform(0.1, 3))

    async def valkey_clients_cut(self) -> None:
        for _ in range(5):
            await self._rig.cut_valkey()
            await asyncio.sleep(0.2)

    async def postgres_restarted(self) -> None:
        await self._rig.restart_postgres(self._chance.uniform(0, 2))

    async def messages_garbled(self) -> None:
        self.is_noisy = True
        await asyncio.sleep(5)
        self.is_noisy = False

    async def sockets_cut(self) -> None:
        for _ in range(20):
            self._chance.choice(self._clients).cut()
            await asyncio.sleep(0.1)

    async def reader_stopped(self) -> None:
        client = self._chance.choice(self._clients)
        client.pause_s = 30.0
        while client.pause_s:  # noqa: ASYNC110 - the client has no event for it
            await asyncio.sleep(0.5)

    async def transaction_held(self) -> None:
        self.holds.append(5.0)
        await asyncio.sleep(6)

    def all(self) -> list[Fault]:
        """Every fault."""
        return [
            self.process_killed,
            self.valkey_restarted,
            self.valkey_clients_cut,
            self.postgres_restarted,
            self.messages_garbled,
            self.sockets_cut,
            self.reader_stopped,
            self.transaction_held,
        ]


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def soak(running: Rig, minutes: float, rate: float, seed: int) -> bool:
    """Run it. Returns whether nothing was lost or doubled."""
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    database = await open_database(running.database_url)
    async with Bus(running.redis_url, epoch=database.epoch, prefix="faults", listen=False) as bus:
        writers = Writers(database, bus, size=10, rate=rate)
        await writers.start()
        async with clients_of(running.urls, running.token, CLIENTS, seed) as clients:
            faults = Faults(running, writers, clients, chance)
            writers.publish, writers.hold_s = faults.publish, faults.hold_s
            before = [api.memory_mib for api in running.apis]
            first, _ = await truth(database)
            started = time.monotonic()
            async with writers.working():
                while time.monotonic() - started < minutes * 60:
                    for fault in chance.sample(faults.all(), len(faults.all())):
                        await asyncio.sleep(CALM_S)
                        name = getattr(fault, "__name__", "")
                        await fault()
                        done[name] += 1
                        say(f"{time.monotonic() - started:6.0f} s  {name}: {min(c.last for c in clients)} seen by all")
                        if time.monotonic() - started > minutes * 60:
                            break
            last, _ = await truth(database)
            try:
                await settle(clients, database, 60)
                failure = ""
            except AssertionError as error:
                failure = f"the model is violated: {error}"
            report(clients, done, last - first, time.monotonic() - started)
            say(
                "memory    "
                + ", ".join(
                    f"{old:.0f} → {api.memory_mib:.0f} MiB" for old, api in zip(before, running.apis, strict=True)
                )
            )
    await database.close()
    if failure:
        say(failure)
    return not failure


def report(clients: list[Client], done: Counter[str], events: int, took_s: float) -> None:
    """The figures."""
    latencies = sorted(value for client in clients for value in client.latencies)
    say("faults    " + ", ".join(f"{name} {count}" for name, count in sorted(done.items())))
    say(f"events    {events} in {took_s:.0f} s ({events / took_s:.0f} a second), {len(clients)} clients")
    say(f"delivered {sum(client.delivered for client in clients)}")
    say(f"lost      {sum(client.lost for client in clients)}")
    say(f"doubled   {sum(client.doubled for client in clients)}")
    say(f"expired   {sum(client.expired for client in clients)}")
    say(f"connected {sum(client.connections for client in clients)} times")
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        say(f"{name}       {latencies[int(share * (len(latencies) - 1))] * 1000:.1f} ms")
    say(f"silence   {max(client.longest_silence_s for client in clients):.1f} s at most between two events")


async def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    say(f"seed {chosen.seed}")
    with tempfile.TemporaryDirectory(prefix="fleetgraph-soak-") as folder:
        Path(folder).chmod(0o755)
        async with rig(Path(folder)) as running:
            return 0 if await soak(running, chosen.minutes, chosen.rate, chosen.seed) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
