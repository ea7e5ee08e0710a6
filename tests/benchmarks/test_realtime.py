"""The measurement of subscriptions on a handful of sockets: what is counted is what was delivered.

Node's server is left to the suite itself, which compares what both deliver: it needs npm.
"""

import json
from typing import Any
from unittest.mock import Mock

from bench.realtime.counting import NEXT, Phase, Sockets
from bench.realtime.fanout import Fanout, Size, shape
from bench.realtime.processes import counting
from bench.realtime.source import Source, _shown, told
from bench.realtime.table import Found, section
from bench.realtime.writing import WRITERS, ways
from local import StoreUrls
from settings import Settings
from tests.client import Server
from tests.realtime.live import TASKS, following

TINY = Size(1, 12, 20, 3, 10, 0.01, 7, 0.1)


async def test_a_round_counts_all_that_was_delivered(server: Server, settings: Settings, store_urls: StoreUrls) -> None:
    source = Source(server.database)
    await source.fill(TINY.sockets)
    environment = {"REDIS_PREFIX": settings.redis_prefix}
    headers = {"authorization": f"Bearer {server.token}"}
    kind = Mock(environment=environment, headers=headers)
    kind.name = "ours"
    process = Mock(kind=kind, port=server.port, cpu_s=0.0, memory_mib=0.0)
    stores = Mock(redis_url=store_urls.redis_url, postmaster=1)
    found = Found(TINY.sockets)
    async with counting() as client, told(process, stores, source) as tell:
        made = Fanout(stores, process, client, source, tell, TINY)
        for case, follow in made.cases.items():
            for name in ("ours", "graphql-ws"):
                found.add(case, name, await follow())
        found.idle = {name: await made.idle(TINY.idle_sockets) for name in ("ours", "graphql-ws")}
    assert made.shape["data"]["taskChanged"]["__typename"] == "TaskChanged"
    text = section(found)
    assert "| **one topic**: deliveries a second |" in text


async def test_node_is_told_all_that_ours_reads(server: Server, store_urls: StoreUrls) -> None:
    """What is put into the messages of Node's server is what the service delivers of the same event."""
    source = Source(server.database)
    await source.fill(2)
    messages: list[tuple[str, Any]] = []

    async def tell(transaction: Any, titles: Any) -> None:
        await server.bus.publish(transaction.emitted, transaction.log_heads)
        messages.extend(each for event in transaction.emitted for each in _shown(source, event, titles))

    async with following(server, TASKS) as follower:
        await follower.next()
        await source.change([1], tell)
        event = await follower.next()
    channel, message = messages[0]
    assert channel == "tasks"
    task = message["task"]
    assert task == {name: event["task"][name] for name in task}
    assert (message["cursor"], message["at"]) == (event["cursor"], event["at"])


async def test_every_way_of_writing_writes(server: Server) -> None:
    source = Source(server.database)
    await source.fill(WRITERS)
    for each, write in ways(server.database, source).values():
        await write(3)
        assert each in (1, 10, 100)


def test_a_message_is_counted_once_wherever_it_is_cut() -> None:
    text = json.dumps({"id": "1", "type": "next", "payload": {"at": "2026-01-01T00:00:00.000Z"}}, separators=(",", ":"))
    whole = b"\x81\x4b" + text.encode()
    for cut in range(1, len(whole)):
        sockets, phase = Sockets(), Phase(2, NEXT, is_timed=True)
        for part in (whole[:cut], whole[cut:] + whole):
            sockets._sockets[9] = Mock(recv_into=lambda buffer, part=part: _put(buffer, part))
            sockets._take(9, phase)
        assert (phase.count, len(phase.latencies)) == (2, 2), cut


def _put(buffer: bytearray, part: bytes) -> int:
    buffer[: len(part)] = part
    return len(part)


def test_what_differs_between_two_servers_shows() -> None:
    one = {"__typename": "TaskChanged", "task": {"title": "a"}, "lines": [{"seq": 1}]}
    assert shape(one) == shape(one | {"task": {"title": "b"}})
    assert shape(one) != shape(one | {"__typename": "Checkpoint"})
    assert shape(one) != shape(one | {"task": {"title": None}})
