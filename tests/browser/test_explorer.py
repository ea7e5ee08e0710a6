"""The explorer as a person meets it: in a real browser, under its policy, against the live server."""

import asyncio
import fcntl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from domain.records import Batch
from explorer.build import DIST
from local import StoreUrls
from local.ticket import Tickets
from settings import Settings, now
from tests.browser.chromium import Tab
from tests.client import Server
from tests.serving import serving
from tests.storage import build

pytestmark = pytest.mark.browser

ANSWER = ".graphiql-response"
RUN = "button.graphiql-execute-button"
EDGES = "['.graphiql-query-editor', '.graphiql-response'].map((e) => document.querySelector(e).getBoundingClientRect())"


def address(server: Server, fragment: str = "") -> str:
    return f"http://127.0.0.1:{server.port}/graphql{fragment}"


async def sign_in(tab: Tab, server: Server) -> None:
    await tab.open(address(server))
    await tab.type("#token", server.token)
    await tab.click("button[type=submit]")
    await opened(tab)


async def opened(tab: Tab) -> None:
    """Wait until all three editors and the schema are there."""
    await tab.sees("query NewestTasks", ".graphiql-query-editor")
    await tab.until("document.querySelectorAll('.monaco-editor[role=code]').length === 3")
    await tab.until("!document.querySelector('.graphiql-spinner')")


async def saved(tab: Tab, name: str) -> None:
    """Open a saved operation from the panel at the left."""
    await tab.click(".graphiql-sidebar button", "Operations")
    await tab.click(".saved-operations button", name)
    await tab.sees(name, ".graphiql-query-editor")


async def test_it_opens_under_its_policy_and_answers_the_first_query(tab: Tab, server: Server) -> None:
    await server.write(Batch(tasks=[build.task("gate", title="Mend the gate")]))
    await sign_in(tab, server)
    await tab.click(RUN)
    await tab.sees('"title": "Mend the gate"', ANSWER)
    await tab.starts("/explorer/editor-worker", "/explorer/graphql-worker")
    assert tab.problems == []
    hosts = {urlsplit(request["url"]).netloc for request in tab.requests if not request["url"].startswith("data:")}
    assert hosts == {f"127.0.0.1:{server.port}"}, "nothing is loaded from elsewhere"
    assert not [request["url"] for request in tab.requests if server.token in request["url"]]


async def test_it_runs_a_saved_query(tab: Tab, server: Server) -> None:
    await server.write(Batch(tasks=[build.task("gate", title="Mend the gate")], usage=[build.usage("gate", "call")]))
    await sign_in(tab, server)
    await saved(tab, "TaskBoard")
    await tab.click(RUN)
    await tab.sees('"costUsd": 0.01', ANSWER)
    await tab.sees('"title": "Mend the gate"', ANSWER)
    assert tab.problems == []


async def test_it_shows_a_live_event(tab: Tab, server: Server) -> None:
    await sign_in(tab, server)
    await saved(tab, "TaskChanges")
    await tab.click(RUN)
    async with asyncio.timeout(15):
        while server.hub.follower_count("tasks") == 0:  # noqa: ASYNC110 (the hub has no reason to tell)
            await asyncio.sleep(0.01)
    await server.write(Batch(tasks=[build.task("hinges", title="Oil the hinges")]))
    await tab.sees('"title": "Oil the hinges"', ANSWER)
    await server.write(Batch(tasks=[build.task("latch", title="Fit the latch")]))
    await tab.sees('"title": "Fit the latch"', ANSWER)
    assert tab.problems == []


async def test_it_fits_the_window(tab: Tab, server: Server) -> None:
    await sign_in(tab, server)
    await saved(tab, "TaskDetail")
    await tab.until("innerWidth === document.documentElement.clientWidth")  # no scroll bar
    await tab.resize(420, 800)
    await tab.until(f"{EDGES}.every(({{ left, right }}) => left >= 0 && right <= innerWidth)")
    await tab.until(f"(([editor, answer]) => editor.bottom <= answer.top)({EDGES})")


async def test_its_colours_follow_the_system(tab: Tab, server: Server) -> None:
    await tab.prefer("light")
    await sign_in(tab, server)
    await tab.until("!!document.querySelector('.graphiql-query-editor .monaco-editor.vs')")
    await tab.prefer("dark")
    await tab.until("!!document.querySelector('.graphiql-query-editor .monaco-editor.vs-dark')")
    assert tab.problems == []


async def test_it_refuses_a_wrong_token_with_a_sentence(tab: Tab, server: Server) -> None:
    await tab.open(address(server))
    await tab.type("#token", "fgl_wrong")
    await tab.click("button[type=submit]")
    await tab.sees("The server refused this token.", "[role=alert]")
    await tab.sees("fleetgraph token", "[role=alert]")
    assert await tab.value("sessionStorage.length") == 0
    assert not await tab.value(f"!!document.querySelector('{RUN}')")


async def test_a_link_opens_it_signed_in_and_leaves_no_trace(tab: Tab, server: Server, settings: Settings) -> None:
    ticket = Tickets(settings.data_dir).make(now())
    await tab.open(address(server, f"#ticket={ticket}"))
    await tab.until(f"!!document.querySelector('{RUN}')")
    assert await tab.value("location.href") == address(server)
    assert await tab.value("history.length") <= 2
    for request in tab.requests:
        assert ticket not in request["url"] + str(request["headers"]), request
    assert [request["url"] for request in tab.requests if ticket in request.get("postData", "")] == [
        f"http://127.0.0.1:{server.port}/auth/ticket"
    ]
    stored = await tab.value("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert ticket not in stored
    await tab.open(address(server))
    await tab.until(f"!!document.querySelector('{RUN}')")
    assert tab.problems == []


async def test_a_used_link_ends_at_the_panel_with_a_sentence(tab: Tab, server: Server, settings: Settings) -> None:
    tickets = Tickets(settings.data_dir)
    used = tickets.make(now())
    assert tickets.redeem(used, now())
    await tab.open(address(server, f"#ticket={used}"))
    await tab.sees("This link was used already, or is older than a minute.", "[role=alert]")
    await tab.sees("fleetgraph token --link", "[role=alert]")
    assert await tab.value("location.href") == address(server)
    # A new link, opened in the same tab, loads nothing anew: only the fragment changes.
    await tab.open(address(server, f"#ticket={tickets.make(now())}"))
    await tab.until(f"!!document.querySelector('{RUN}')")
    assert await tab.value("location.href") == address(server)
    # And one that is not whole does not sign out.
    await tab.open(address(server, "#ticket=half"))
    await tab.until(f"location.hash === '' && !!document.querySelector('{RUN}')")


async def test_a_link_waits_until_the_explorer_is_built(
    tab: Tab,
    settings: Settings,
    database_url: str,
    store_urls: StoreUrls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dist = tmp_path / "explorer" / "dist"
    work = dist.parent / ".build"
    work.mkdir(parents=True)
    (work / "state").write_text("building\nbundling")
    monkeypatch.setattr("app.default_dist", lambda _folder: dist)
    async with serving(settings, database_url, store_urls.redis_url) as server:
        with (work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            await tab.open(address(server, f"#ticket={Tickets(settings.data_dir).make(now())}"))
            await tab.sees("is being built")
        dist.symlink_to(DIST)
        await tab.until(f"!!document.querySelector('{RUN}')")
        assert await tab.value("location.href") == address(server)
