"""Which addresses the page loads in CDN mode (FLEETGRAPH_EXPLORER_CDN=1), where nothing is built.

Owns the import map and what the policy must allow for it; the versions are those of package.json. The browser then
takes explorer/src as it stands. Whoever runs the CDN can read the token: the mode is off unless asked for.
"""

import json
from functools import cache
from pathlib import Path

HOST = "https://esm.sh"
SOURCES = Path(__file__).parent / "src"


@cache
def _versions() -> dict[str, str]:
    dependencies = json.loads((SOURCES.parent / "package.json").read_text())["dependencies"]
    return {str(name): str(version) for name, version in dependencies.items()}


def _address(package: str, rest: str = "") -> str:
    return f"{HOST}/{package}@{_versions()[package]}{rest}"


@cache
def import_map() -> str:
    """The import map as JSON: one copy of React, graphql and @graphiql/react for all that share them."""
    shared = "?standalone&external=react,react-dom,graphql"
    addresses = {
        "react": _address("react"),
        "react/": _address("react", "/"),
        "react-dom": _address("react-dom"),
        "react-dom/": _address("react-dom", "/"),
        "graphql": _address("graphql"),
        "graphql-ws": _address("graphql-ws", "?external=graphql"),
        "graphiql": _address("graphiql", f"{shared},@graphiql/react"),
        "@graphiql/react": _address("@graphiql/react", f"{shared},@emotion/is-prop-valid"),
        "@emotion/is-prop-valid": "/explorer/absent.js",
        "fleetgraph/workers": _address("graphiql", "/setup-workers/esm.sh"),
    }
    return json.dumps({"imports": addresses})


def style() -> str:
    """The address of GraphiQL's style sheet."""
    return _address("graphiql", "/dist/style.css")


def policy(import_map_digest: str) -> dict[str, str]:
    """What the page's policy allows besides: the CDN's scripts, styles and fonts, and its workers, which are blobs."""
    # A module that a worker imports is checked against worker-src, not script-src (seen in Chromium).
    return {
        "script-src": f"'self' {HOST} {import_map_digest}",
        "style-src": f"'self' {HOST} 'unsafe-inline'",
        "worker-src": f"'self' blob: {HOST}",
        "font-src": f"'self' data: {HOST}",
    }
