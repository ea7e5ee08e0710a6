"""What is done to a rig with writers and clients; each fault says that it really happened.

The suite does each for seconds, the soak all of them for minutes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from db.database import WriteTransaction
from pubsub.bus import Bus
from tests.faults.model import Client, Writers, truth
from tests.faults.rig import Rig

WAITING = 8  # messages that are shuffled
EVERY_S = 0.1  # between two events of an outage
CALM_S = 2.0  # between two faults: what one has torn is mended before the next


class Garbler:
    """Publishes as a bad network does: one message in five is lost, one in four told twice, all are shuffled."""

    def __init__(self, bus: Bus, chance: random.Random) -> None:
        self._bus = bus
        self._chance = chance
        self._waiting: list[WriteTransaction] = []
        self._newest = 0
        self.is_on = True
        self.dropped = 0
        self.doubled = 0
        self.swapped = 0

    async def publish(self, transaction: WriteTransaction) -> None:
        """Take a committed transaction; tell of some that were taken before."""
        if not self.is_on:
            await self._bus.publish(transaction.emitted, transaction.log_heads)
            return
        if self._chance.random() < 0.2:
            self.dropped += 1
            return
        self._waiting.append(transaction)
        if self._chance.random() < 0.25:
            self._waiting.append(transaction)
            self.doubled += 1
        while len(self._waiting) > WAITING:
            told = self._waiting.pop(self._chance.randrange(len(self._waiting)))
            seq = told.emitted[-1].seq if told.emitted else 0
            self.swapped += seq < self._newest
            self._newest = max(self._newest, seq)
            await self._bus.publish(told.emitted, told.log_heads)


@dataclass
class Outage:
    """How a time without Redis looked to clients."""

    written: int = 0
    ready: list[dict[str, Any]] = field(default_factory=list)  # what each process said of itself meanwhile
    seen_meanwhile: list[int] = field(default_factory=list)  # events, by client
    silences_s: list[float] = field(default_factory=list)  # the longest between two events, by client


async def outage(
    running: Rig, writers: Writers, clients: Sequence[Client], away_s: float, after_s: float = 0.0
) -> Outage:
    """Take Redis away for a time in which one event is written every 100 ms, and bring it back."""
    found = Outage()
    for client in clients:
        client.longest_silence_s = 0.0
    before = [client.delivered for client in clients]
    running.kill_valkey()
    try:
        await _write_steadily(writers, found, away_s)
        found.ready = [await api.readiness() for api in running.apis]
        found.seen_meanwhile = [client.delivered - old for client, old in zip(clients, before, strict=True)]
    finally:
        running.valkey.start()
        await asyncio.to_thread(running.valkey.wait)
    await _write_steadily(writers, found, after_s)
    found.silences_s = [client.longest_silence_s for client in clients]
    return found


async def _write_steadily(writers: Writers, found: Outage, for_s: float) -> None:
    started, number = time.monotonic(), 0
    while time.monotonic() - started < for_s:
        await writers.change(found.written)
        found.written += 1
        number += 1
        await asyncio.sleep(max(0.0, started + number * EVERY_S - time.monotonic()))


class Faults:
    """All that the soak does. Of two processes only the second is killed: the first shows what memory is kept."""

    NAMES = (
        "process_killed",
        "process_killed_between_commit_and_publish",
        "redis_killed_and_restarted",
        "redis_connections_cut",
        "postgres_restarted",
        "messages_dropped_doubled_swapped",
        "sockets_cut",
        "reader_stopped_for_30_s",
        "transaction_held_for_5_s",
    )

    def __init__(self, running: Rig, writers: Writers, clients: Sequence[Client], chance: random.Random) -> None:
        self._rig = running
        self._writers = writers
        self._clients = clients
        self._chance = chance
        self._garbler = Garbler(writers.bus, chance)
        self._garbler.is_on = False
        self._holds: list[float] = []
        writers.publish = self._garbler.publish
        writers.hold_s = lambda: self._holds.pop() if self._holds else 0.0

    async def inject(self, name: str) -> str:
        """Do it, to its end. Returns what shows that it happened."""
        return str(await getattr(self, name)())

    async def process_killed(self) -> str:
        api = self._rig.apis[1]
        api.kill()
        await asyncio.sleep(1)
        api.start()
        await asyncio.to_thread(api.wait)
        return "signal 9"

    async def process_killed_between_commit_and_publish(self) -> str:
        api = self._rig.apis[1]
        _, revisions = await truth(self._writers.database)
        await api.die_unpublished(next(iter(revisions)), f"told by nobody, {self._chance.random()}")
        api.start()
        await asyncio.to_thread(api.wait)
        return "signal 9 by itself"

    async def redis_killed_and_restarted(self) -> str:
        away_s, before = self._chance.uniform(0.1, 3), await self._rig.redis_run()
        await self._rig.restart_valkey(away_s)
        assert await self._rig.redis_run() != before
        return f"away for {away_s:.1f} s"

    async def redis_connections_cut(self) -> str:
        cut = 0
        for _ in range(5):
            cut += await self._rig.cut_valkey()
            await asyncio.sleep(0.2)
        assert cut
        return f"{cut} connections"

    async def postgres_restarted(self) -> str:
        away_s, before = self._chance.uniform(0, 2), self._writers.failed
        await self._rig.restart_postgres(away_s)
        return f"away for {away_s:.1f} s, {self._writers.failed - before} transactions failed"

    async def messages_dropped_doubled_swapped(self) -> str:
        garbler = self._garbler
        before = garbler.dropped, garbler.doubled, garbler.swapped
        garbler.is_on = True
        await asyncio.sleep(5)
        garbler.is_on = False
        counts = (garbler.dropped, garbler.doubled, garbler.swapped)
        dropped, doubled, swapped = (now - old for now, old in zip(counts, before, strict=True))
        return f"{dropped} dropped, {doubled} doubled, {swapped} swapped"

    async def sockets_cut(self) -> str:
        cut = 0
        for _ in range(20):
            client = self._chance.choice(self._clients)
            cut += client.socket is not None
            client.cut()
            await asyncio.sleep(0.1)
        return f"{cut} sockets"

    async def reader_stopped_for_30_s(self) -> str:
        client = self._chance.choice(self._clients)
        connections = client.connections
        client.pause()
        await asyncio.sleep(30)
        behind = max(other.last for other in self._clients) - client.last
        client.resume()
        await asyncio.sleep(CALM_S)
        return f"{behind} events behind, connected {client.connections - connections} times more"

    async def transaction_held_for_5_s(self) -> str:
        before = self._writers.held
        self._holds.append(5.0)
        await asyncio.sleep(6)
        return f"{self._writers.held - before} transactions"
