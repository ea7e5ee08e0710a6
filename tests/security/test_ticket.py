"""The link that signs in: one use, one minute, our own page only, no trace. Asked for over HTTP."""

import asyncio
import logging
import os
import pty
import re
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands.address import link
from commands.serve import welcome
from local import DataFolder, StoreUrls
from local.ticket import LIFETIME, MOST, Tickets
from local.token import LocalToken
from settings import Settings, now
from tests.client import Server
from tests.serving import serving

START = datetime(2026, 1, 1, tzinfo=UTC)
FLEETGRAPH = Path(sys.executable).with_name("fleetgraph")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        redis_prefix=f"t{tmp_path.name}",
        cors_origins=("http://dashboard.test",),
        host_name="testhost",
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(settings: Settings, clock: Clock, database_url: str, store_urls: StoreUrls) -> AsyncIterator[Server]:
    async with serving(settings, database_url, store_urls.redis_url, clock=clock) as running:
        yield running


@pytest.fixture
def tickets(settings: Settings) -> Tickets:
    return Tickets(settings.data_dir)


async def hand_in(server: Server, ticket: Any, **headers: str) -> httpx.Response:
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    return await server.http.post("/auth/ticket", json={"ticket": ticket}, headers=own | headers)


async def test_a_ticket_is_worth_the_token_once(server: Server, tickets: Tickets, clock: Clock) -> None:
    ticket = tickets.make(clock.now)
    answer = await hand_in(server, ticket)
    assert answer.status_code == 200
    assert answer.json() == {"token": server.token}
    assert answer.headers["cache-control"] == "no-store"
    again = await hand_in(server, ticket)
    assert again.status_code == 403
    assert again.json()["errors"][0]["extensions"]["code"] == "TICKET_REFUSED"
    assert "token" not in again.json()


async def test_of_many_at_once_one_gets_the_token(server: Server, tickets: Tickets, clock: Clock) -> None:
    ticket = tickets.make(clock.now)
    answers = await asyncio.gather(*(hand_in(server, ticket) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 9


async def test_it_lasts_a_minute(server: Server, tickets: Tickets, clock: Clock) -> None:
    early, late = tickets.make(clock.now), tickets.make(clock.now)
    clock.now += LIFETIME - timedelta(milliseconds=1)
    assert (await hand_in(server, early)).status_code == 200
    clock.now += timedelta(milliseconds=1)
    assert (await hand_in(server, late)).status_code == 403
    assert timedelta(seconds=60) == LIFETIME


async def test_only_our_own_page_may_hand_it_in(server: Server, tickets: Tickets, clock: Clock) -> None:
    ticket = tickets.make(clock.now)
    for origin in (None, "null", "", "http://dashboard.test", "http://127.0.0.1:1", "http://127.0.0.1", "file://"):
        headers = {} if origin is None else {"Origin": origin}
        answer = await server.http.post("/auth/ticket", json={"ticket": ticket}, headers=headers)
        assert answer.status_code == 403, origin
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (await hand_in(server, ticket)).status_code == 200, "a refused page must not use it up"


async def test_two_origins_are_none(server: Server, tickets: Tickets, clock: Clock) -> None:
    own = ("Origin", f"http://127.0.0.1:{server.port}")
    headers = [own, ("Origin", "http://dashboard.test")]
    answer = await server.http.post("/auth/ticket", json={"ticket": tickets.make(clock.now)}, headers=headers)
    assert answer.status_code == 403


async def test_no_page_of_another_origin_may_even_ask(server: Server) -> None:
    preflight = {"Origin": "http://dashboard.test", "Access-Control-Request-Method": "POST"}
    answer = await server.http.options("/auth/ticket", headers=preflight)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]
    allowed = await server.http.options("/graphql", headers=preflight)
    assert allowed.headers["access-control-allow-origin"] == "http://dashboard.test"


NO_TICKETS = [
    (b'{"ticket": "%s"}' % (b"a" * 43), "text/plain", 415),
    (b'{"ticket": "%s"}' % (b"a" * 43), "application/x-www-form-urlencoded", 415),
    (b'{"ticket": "%s"}' % (b"a" * 2000), "application/json", 413),
    (b"", "application/json", 400),
    (b"null", "application/json", 400),
    (b"[]", "application/json", 400),
    (b'{"ticket": null}', "application/json", 400),
    (b'{"ticket": 5}', "application/json", 400),
    (b'{"ticket": ""}', "application/json", 400),
    (b'{"ticket": "../../token"}', "application/json", 400),
    (b'{"ticket": "\\ud800"}', "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b"[" * 1024, "application/json", 400),
    (b'{"ticket": "%s"}' % (b"a" * 43), "application/json", 403),
]


async def test_what_is_no_ticket_is_refused(server: Server) -> None:
    for body, content_type, status in NO_TICKETS:
        headers = {"Origin": f"http://127.0.0.1:{server.port}", "Content-Type": content_type}
        answer = await server.http.post("/auth/ticket", content=body, headers=headers)
        assert answer.status_code == status, body
        assert answer.json()["errors"][0]["message"]
        assert answer.headers["cache-control"] == "no-store"


async def test_it_is_never_taken_from_an_address(server: Server, tickets: Tickets, clock: Clock) -> None:
    ticket = tickets.make(clock.now)
    assert (await server.http.get(f"/auth/ticket?ticket={ticket}")).status_code == 405
    answer = await server.http.post(
        f"/auth/ticket?ticket={ticket}", json={}, headers={"Origin": f"http://127.0.0.1:{server.port}"}
    )
    assert answer.status_code == 400
    assert (await hand_in(server, ticket)).status_code == 200


async def test_tries_are_bounded(server: Server, tickets: Tickets, clock: Clock) -> None:
    good = tickets.make(clock.now)
    for _ in range(20):
        assert (await hand_in(server, "x" * 43)).status_code == 403
    refused = await hand_in(server, good)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "60"
    clock.now += timedelta(minutes=1)
    assert (await hand_in(server, tickets.make(clock.now))).status_code == 200


async def test_tickets_are_bounded_and_the_newest_counts(
    server: Server, tickets: Tickets, settings: Settings, clock: Clock
) -> None:
    made = []
    for _ in range(MOST + 2):
        clock.now += timedelta(milliseconds=1)
        made.append(tickets.make(clock.now))
    assert len(list((settings.data_dir / "tickets").iterdir())) == MOST
    assert [(await hand_in(server, ticket)).status_code for ticket in (made[0], made[1], made[2], made[-1])] == [
        403,
        403,
        200,
        200,
    ]
    clock.now += LIFETIME
    tickets.make(clock.now)
    assert len(list((settings.data_dir / "tickets").iterdir())) == 1, "what has expired is swept away"


async def test_nothing_of_it_is_kept(
    server: Server, tickets: Tickets, settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ticket = tickets.make(clock.now)
    assert len(ticket) == 43
    (file,) = (settings.data_dir / "tickets").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert ticket not in file.name
    assert file.read_bytes() == b""
    assert (await hand_in(server, ticket)).status_code == 200
    assert (await hand_in(server, ticket)).status_code == 403
    assert ticket not in caplog.text
    assert server.token not in caplog.text
    assert not list((settings.data_dir / "tickets").iterdir())


async def test_a_ticket_from_a_clock_that_went_wrong_is_refused(server: Server, tickets: Tickets, clock: Clock) -> None:
    ticket = tickets.make(clock.now + timedelta(hours=1))
    assert (await hand_in(server, ticket)).status_code == 403


def fleetgraph(settings: Settings, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "FLEETGRAPH_DATA_DIR": str(settings.data_dir)} | environment
    command = [str(FLEETGRAPH), *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)


async def test_the_command_line_makes_links_for_the_server_that_runs(
    settings: Settings, database_url: str, store_urls: StoreUrls
) -> None:
    async with serving(settings, database_url, store_urls.redis_url, clock=now) as server:
        with DataFolder(settings.data_dir) as folder:
            folder.announce(f"http://127.0.0.1:{server.port}")
            made = await asyncio.to_thread(fleetgraph, settings, "token", "--link")
            match = re.fullmatch(rf"http://127.0.0.1:{server.port}/graphql#ticket=([\w-]{{43}})\n", made.stdout)
            assert match, made
            assert (await hand_in(server, match[1])).json() == {"token": server.token}
            unused = (await asyncio.to_thread(fleetgraph, settings, "token", "--link")).stdout.strip()[-43:]
            renewed = (await asyncio.to_thread(fleetgraph, settings, "token", "--new")).stdout.strip()
            assert renewed == LocalToken(settings.data_dir).read()
            assert (await hand_in(server, unused)).status_code == 403, "a link of the old token opens nothing"


def test_without_a_server_there_is_no_link(settings: Settings) -> None:
    done = fleetgraph(settings, "token", "--link")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "make run" in done.stderr
    assert not (settings.data_dir / "tickets").exists()


def test_stores_of_ones_own_are_served_where_the_settings_say(settings: Settings) -> None:
    stores = {"DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = fleetgraph(settings, "token", "--link", HOST="0.0.0.0", PORT="5999", **stores)
    assert done.stdout.startswith("http://127.0.0.1:5999/graphql#ticket=")


def test_the_welcome_has_a_link_only_for_a_person() -> None:
    url = "http://127.0.0.1:5000"
    assert link(url, "abc") in welcome("fleetgraph", url, Path("token"), None, "abc", "127.0.0.1")
    logged = welcome("fleetgraph", url, Path("token"), None, None, "127.0.0.1")
    assert "ticket=" not in logged
    assert "token --link" in logged


async def test_serve_prints_the_link_to_a_terminal(
    settings: Settings, database_url: str, store_urls: StoreUrls
) -> None:
    terminal, end = pty.openpty()
    variables = {
        "PATH": os.environ["PATH"],
        "FLEETGRAPH_DATA_DIR": str(settings.data_dir),
        "FLEETGRAPH_EXPLORER_CDN": "1",  # builds nothing
        "DATABASE_URL": database_url,
        "REDIS_URL": store_urls.redis_url,
    }
    port = free_port()
    served = await asyncio.create_subprocess_exec(
        FLEETGRAPH, "serve", "--port", str(port), env=variables, stdout=end, stderr=subprocess.DEVNULL
    )
    os.close(end)
    try:
        said = b""
        async with asyncio.timeout(30):
            while b"Ctrl-C" not in said:
                said += await asyncio.to_thread(os.read, terminal, 4096)
        match = re.search(rf"http://127.0.0.1:{port}/graphql#ticket=([\w-]{{43}})", said.decode())
        assert match, said
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            answer = await http.post(
                "/auth/ticket", json={"ticket": match[1]}, headers={"Origin": f"http://127.0.0.1:{port}"}
            )
        assert answer.json() == {"token": LocalToken(settings.data_dir).read()}
    finally:
        served.terminate()
        await served.wait()
        os.close(terminal)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
