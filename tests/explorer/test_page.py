"""The page, its files and the saved operations, asked for over HTTP."""

import asyncio
import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from explorer import Explorer

ROOT = Path(__file__).parents[2]


class Browser:
    """Sends one GET to the ASGI application, the path exactly as given."""

    def __init__(self, explorer: Explorer) -> None:
        async def page(_: Request) -> Response:
            return explorer.page()

        self.app = Starlette(routes=[Route("/graphql", page), *explorer.routes()])

    async def get(self, path: str) -> tuple[int, dict[str, str], str]:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"accept", b"text/html")],
            "server": ("127.0.0.1", 5000),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }
        sent: list[Message] = []
        requested: list[bool] = []

        async def receive() -> Message:
            if requested:
                await asyncio.Event().wait()
            requested.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]).decode()


async def test_the_address_alone_leads_to_it(tmp_path: Path) -> None:
    status, headers, _ = await Browser(Explorer(dist=tmp_path, operations=tmp_path)).get("/")
    assert (status, headers["location"]) == (307, "/graphql")


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "explorer" / "dist"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(
        json.dumps({"script": "explorer-ABCD1234.js", "style": "graphiql-EFGH5678.css"})
    )
    (folder / "explorer-ABCD1234.js").write_text("export {};")
    (folder / "graphiql-EFGH5678.css").write_text("body {}")
    (folder / "stamp").write_text("x")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def browser(dist: Path) -> Browser:
    return Browser(Explorer(dist=dist, operations=ROOT / "graphql" / "operations"))


def directives(headers: dict[str, str]) -> dict[str, str]:
    parts = [part.strip().partition(" ") for part in headers["content-security-policy"].split(";")]
    return {name: value for name, _, value in parts}


async def test_the_page_is_served_under_a_strict_policy(browser: Browser) -> None:
    status, headers, body = await browser.get("/graphql")
    policy = directives(headers)
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["worker-src"] == policy["connect-src"] == "'self'"
    assert not any(word in headers["content-security-policy"] for word in ("http", "blob:", "eval", "*"))
    assert "unsafe-inline" not in policy["script-src"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["vary"] == "Accept"
    assert "explorer-ABCD1234.js" in body
    assert "graphiql-EFGH5678.css" in body
    assert "://" not in body


@pytest.mark.parametrize(
    ("name", "media_type", "lasting"),
    [
        ("explorer-ABCD1234.js", "text/javascript; charset=utf-8", True),
        ("graphiql-EFGH5678.css", "text/css; charset=utf-8", True),
        ("explorer.css", "text/css; charset=utf-8", False),
        ("favicon.svg", "image/svg+xml", False),
    ],
)
async def test_files_have_their_type_and_only_hashed_names_last(
    browser: Browser, name: str, media_type: str, lasting: bool
) -> None:
    status, headers, body = await browser.get(f"/explorer/{name}")
    assert status == 200
    assert body
    assert headers["content-type"] == media_type
    assert headers["x-content-type-options"] == "nosniff"
    assert ("immutable" in headers["cache-control"]) is lasting
    assert directives(headers)["default-src"] == "'none'"


@pytest.mark.parametrize(
    "path",
    [
        "/explorer/../secret.txt",
        "/explorer/..",
        "/explorer/..\\secret.txt",
        "/explorer/manifest.json",
        "/explorer/stamp",
        "/explorer/.secret.txt",
        "/explorer//etc/passwd",
        "/explorer/a\0.js",
        "/explorer/" + "a" * 5000 + ".js",
        "/explorer/main.js",
        "/explorer/build.py",
    ],
)
async def test_no_other_file_is_served(browser: Browser, path: str) -> None:
    status, _, body = await browser.get(path)
    assert status == 404
    assert "secret" not in body


async def test_saved_operations_are_those_on_disk(dist: Path, tmp_path: Path) -> None:
    folder = tmp_path / "operations"
    folder.mkdir()
    browser = Browser(Explorer(dist=dist, operations=folder))
    assert json.loads((await browser.get("/explorer/operations.json"))[2]) == []
    (folder / "Viewer.graphql").write_text("# Who am I? Zoë\nquery Viewer { viewer { scopes } }\n", encoding="utf-8")
    (folder / "notes.md").write_text("not an operation")
    status, headers, body = await browser.get("/explorer/operations.json")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-cache"
    document = "# Who am I? Zoë\nquery Viewer { viewer { scopes } }\n"
    assert json.loads(body) == [{"name": "Viewer", "document": document}]


async def test_cdn_mode_allows_its_host_and_nothing_inline_but_the_import_map(tmp_path: Path) -> None:
    browser = Browser(Explorer(dist=tmp_path / "none", operations=tmp_path, cdn=True))
    status, headers, body = await browser.get("/graphql")
    policy = directives(headers)
    assert status == 200
    assert policy["script-src"].startswith("'self' https://esm.sh 'sha256-")
    assert policy["connect-src"] == "'self'"
    assert body.count("<script") == 2
    assert (await browser.get("/explorer/main.js"))[0] == 200
