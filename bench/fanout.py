"""Fan-out of one event to many sockets: ``python -m bench.fanout [--sockets 1000] [--events 100]``.

One API process on stores of its own; a client that only counts, so that the server is what is measured. Prints
deliveries per second, CPU per delivery, latency from the event's time to the last byte, and memory per subscription.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import resource
import struct
import tempfile
import time
from datetime import datetime
from pathlib import Path

from db.database import open_database
from pubsub.bus import Bus
from tests.faults.model import Writers
from tests.faults.rig import Api, rig

FOLLOW = """subscription Follow {
  taskChanged { __typename ... on LiveEvent { cursor at } ... on TaskChanged { task { id revision status title } } }
}"""
NEXT = b'"type":"next"'
AT = b'"at":"'
TICK = os.sysconf("SC_CLK_TCK")


def masked(text: str) -> bytes:
    """A text frame of a client; the mask is zero."""
    payload = text.encode()
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, size)
    return head + bytes(4) + payload


class Counter(asyncio.Protocol):
    """A socket that counts its `next` messages and does nothing else."""

    def __init__(self, host: str, token: str, latencies: list[float] | None) -> None:
        self.count = 0
        self._host = host
        self._token = token
        self._latencies = latencies
        self._is_open = False
        self._rest = b""  # a message may be cut anywhere

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Subscribe, then count."""
        if not self._is_open:
            self._is_open = True
            hello = {"type": "connection_init", "payload": {"Authorization": f"Bearer {self._token}"}}
            subscribe = {"id": "1", "type": "subscribe", "payload": {"query": FOLLOW}}
            self._transport.write(masked(json.dumps(hello)) + masked(json.dumps(subscribe)))
            return
        data = self._rest + data
        self.count += data.count(NEXT)
        self._rest = data[-len(NEXT) + 1 :]
        if self._latencies is not None and (found := data.rfind(AT)) >= 0:
            at = data[found + len(AT) : found + len(AT) + 24].decode()
            self._latencies.append(time.time() - datetime.fromisoformat(at).timestamp())


def cpu_s(api: Api) -> float:
    """CPU time of the process so far."""
    assert api.child is not None
    fields = Path(f"/proc/{api.child.pid}/stat").read_text().split()
    return (int(fields[13]) + int(fields[14])) / TICK


async def measure(sockets: int, events: int, rate: float) -> None:
    """Connect, write, count, print."""
    with tempfile.TemporaryDirectory(prefix="fleetgraph-fanout-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - PostgreSQL may run as another user
        async with rig(Path(folder), 1) as running:
            (api,) = running.apis
            database = await open_database(running.database_url)
            async with Bus(running.redis_url, epoch=database.epoch, prefix="faults", listen=False) as bus:
                writers = Writers(database, bus, size=1)
                await writers.start()
                before_mib = api.memory_mib
                latencies: list[float] = []
                counters = await connected(api, running.token, sockets, latencies)
                print(f"connected   {sockets} sockets, {(api.memory_mib - before_mib) * 1024 / sockets:.1f} KiB each")
                latencies.clear()
                start, cpu, own = time.monotonic(), cpu_s(api), time.process_time()
                for n in range(events):
                    await writers._write([writers._record(n % 50, f"title {n}")])
                    await asyncio.sleep(max(0.0, start + (n + 1) / rate - time.monotonic()) if rate else 0)
                wanted = sockets * (events + 1)
                async with asyncio.timeout(60):
                    while sum(counter.count for counter in counters) < wanted:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                took_s, spent_s = time.monotonic() - start, cpu_s(api) - cpu
                latencies.sort()
                p50, p99 = (latencies[int(share * (len(latencies) - 1))] * 1000 for share in (0.5, 0.99))
                print(f"deliveries  {sockets * events} in {took_s:.2f} s: {sockets * events / took_s:.0f} a second")
                each_us = spent_s / (sockets * events) * 1e6
                print(f"server CPU  {each_us:.1f} µs a delivery, {spent_s / took_s:.0%} of a core")
                print(f"latency     p50 {p50:.1f} ms, p99 {p99:.1f} ms; client CPU {time.process_time() - own:.2f} s")
            await database.close()


async def connected(api: Api, token: str, count: int, latencies: list[float]) -> list[Counter]:
    """Sockets that have their Checkpoint; the last one measures."""
    loop = asyncio.get_running_loop()
    counters: list[Counter] = []
    for n in range(count):
        counter = Counter(f"127.0.0.1:{api.port}", token, latencies if n % 50 == 49 else None)
        await loop.create_connection(lambda counter=counter: counter, "127.0.0.1", api.port)  # type: ignore[misc]
        counters.append(counter)
    while any(counter.count < 1 for counter in counters):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return counters


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="events a second; as fast as they can be written without"
    )
    chosen = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if soft < hard else soft, hard))
    asyncio.run(measure(chosen.sockets, chosen.events, chosen.rate))


if __name__ == "__main__":
    main()
