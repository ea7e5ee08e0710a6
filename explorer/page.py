"""What a browser gets: the page at /graphql, its files under /explorer, and the policy that both are served under.

Reads only fixed folders and names that it knows; needs no token, because nothing here is anybody's data.
"""

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from explorer import build, cdn

STATIC = Path(__file__).parent / "static"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
}
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# The bundler's content hash: such a name never gets another content.
HASHED_NAME = re.compile(r"-[A-Z0-9]{8}\.")
NO_SNIFFING = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}

# 'unsafe-inline' for styles only: the Monaco editor writes its themes and decorations into <style> elements of its own
# making, which have no fixed content to hash. Images from elsewhere stay out: a picture's address in somebody's log
# must not call home. 'self' in connect-src covers ws: and wss: of the same host and port.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "worker-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
NOTICE_POLICY = POLICY | {
    "script-src": "'none'",
    "worker-src": "'none'",
    "style-src": "'self'",
    "connect-src": "'none'",
}
# A worker runs under the policy of its own file.
FILE_POLICY = {"default-src": "'none'", "frame-ancestors": "'none'"}


@dataclass(frozen=True, slots=True)
class Explorer:
    """The explorer of one server: where its built files and the saved operations lie, and whether a CDN may be used."""

    dist: Path
    operations: Path
    cdn: bool = False

    def routes(self) -> list[Route]:
        """The page's files and the saved operations, under /explorer; and the way from the bare address to the page."""
        return [
            Route("/", lambda _: RedirectResponse("/graphql"), name="home"),
            Route("/explorer/operations.json", self._operations, name="explorer-operations"),
            Route("/explorer/{name}", self._file, name="explorer-file"),
        ]

    def page(self) -> Response:
        """The page for `GET /graphql` with `Accept: text/html`; while it has no files, a notice that says why."""
        if self.cdn:
            return self._cdn_page()
        try:
            manifest = json.loads((self.dist / build.MANIFEST).read_text())
            head = _style(manifest["style"]) + _style("explorer.css") + _script(manifest["script"])
        except (OSError, ValueError, KeyError):
            return self._notice()
        return _html(_document(head), POLICY)

    def _cdn_page(self) -> Response:
        import_map = cdn.import_map()
        digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
        head = (
            f'<link rel="stylesheet" href="{cdn.style()}">\n{_style("explorer.css")}'
            f'<script type="importmap">{import_map}</script>\n{_script("main.js")}'
        )
        return _html(_document(head), POLICY | cdn.policy(f"'sha256-{digest}'"))

    def _notice(self) -> Response:
        state = build.state(self.dist)
        if state.name == "building":
            text = "The explorer is being built for the first time, which takes about half a minute"
            text += f": {state.detail}. " if state.detail else ". "
            body = f"<p role=status>{html.escape(text)}This page opens it when it is ready.</p>"
            head, policy = _script("waiting.js"), NOTICE_POLICY | {"script-src": "'self'"}
        else:
            why = f"could not be built: {state.detail}" if state.name == "failed" else "has not been built yet"
            body = f"<p role=alert>The explorer {html.escape(why)}.</p>{WHAT_TO_DO}"
            head, policy = "", NOTICE_POLICY
        page = f"<main class=panel><h1>Fleetgraph</h1>{body}<p class=note>{API_IS_UP}</p></main>"
        return _html(_document(_style("explorer.css") + head, page), policy, 503)

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        path = self._path(name)
        if path is None:
            return PlainTextResponse("There is no such file.", 404, NO_SNIFFING)
        lasting = "public, max-age=31536000, immutable" if HASHED_NAME.search(name) else "no-cache"
        headers = {"Cache-Control": lasting, "Content-Security-Policy": _policy(FILE_POLICY)} | NO_SNIFFING
        return FileResponse(path, headers=headers, media_type=MEDIA_TYPES[path.suffix])

    def _path(self, name: str) -> Path | None:
        """The file of that name; None for a name that is no plain file name of a known type, wherever it may point."""
        if not FILE_NAME.fullmatch(name) or Path(name).suffix not in MEDIA_TYPES:
            return None
        folders = [STATIC, cdn.SOURCES] if self.cdn else [STATIC, self.dist]
        return next((folder / name for folder in folders if (folder / name).is_file()), None)

    async def _operations(self, _: Request) -> Response:
        files = sorted(self.operations.glob("*.graphql"))
        saved = [{"name": file.stem, "document": file.read_text(encoding="utf-8")} for file in files]
        return JSONResponse(saved, headers={"Cache-Control": "no-cache"} | NO_SNIFFING)


WHAT_TO_DO = (
    "<p>Run <code>make explorer</code> with a connection to the internet and reload this page. It uses npm where that "
    "is installed and else fetches Node.js with pip. Or start the server with <code>FLEETGRAPH_EXPLORER_CDN=1</code> "
    "to load GraphiQL from a public CDN.</p>"
)
API_IS_UP = "The API itself is up: <code>POST /graphql</code> answers, and so does its WebSocket."


def _document(head: str, body: str = '<div id="root"></div><noscript>The explorer needs JavaScript.</noscript>') -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Fleetgraph</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="/explorer/favicon.svg">\n{head}</head>\n<body>{body}</body>\n</html>\n'
    )


def _style(name: str) -> str:
    return f'<link rel="stylesheet" href="/explorer/{html.escape(name)}">\n'


def _script(name: str) -> str:
    return f'<script type="module" src="/explorer/{html.escape(name)}"></script>\n'


def _policy(directives: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _html(document: str, policy: dict[str, str], status_code: int = 200) -> Response:
    headers = {
        "Content-Security-Policy": _policy(policy),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-cache",
        "Vary": "Accept",
    }
    return HTMLResponse(document, status_code, headers | NO_SNIFFING)
