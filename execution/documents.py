"""Documents by their hash: trusted ones, known from the start, and those that clients have stored (APQ).

A request names one by `documentId` (`sha256:` and 64 hexadecimal digits) or by the extension `persistedQuery` of
automatic persisted queries. Bounded in number and size; of one process, and gone with it: clients send them again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from execution.operations import request_error

MAX_STORED = 1_000  # as many as Operations keeps prepared
MAX_STORED_CHARACTERS = 2 * 1024 * 1024  # in all; the largest operation of ours has 3,000
PREFIX = "sha256:"


class Documents:
    """Finds the document that a request means."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = {_hash(text): text for text in trusted}
        self._stored: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    def find(self, request: Mapping[str, Any]) -> str:
        """The document of a request's `query`, `documentId` or `extensions`. Raises RequestErrors."""
        query, identifier = request.get("query"), request.get("documentId")
        persisted = (request.get("extensions") or {}).get("persistedQuery")
        if identifier is not None:
            return self._by_id(query, identifier)
        if persisted is not None:
            return self._persisted(query, persisted)
        if not isinstance(query, str) or not query:
            raise request_error(
                "`query` must be a string that holds a GraphQL document, unless `documentId` names one.", "BAD_REQUEST"
            )
        return query

    def keep(self, request: Mapping[str, Any], document: str) -> None:
        """Store a document that came with its hash, once it has proved valid: nobody fills the store with noise."""
        if (request.get("extensions") or {}).get("persistedQuery") is None or request.get("query") is None:
            return
        digest = _hash(document)
        if digest in self._trusted or digest in self._stored:
            return
        self._stored[digest] = document
        self._characters += len(document)
        while len(self._stored) > MAX_STORED or self._characters > MAX_STORED_CHARACTERS:
            _, oldest = self._stored.popitem(last=False)
            self._characters -= len(oldest)

    def _by_id(self, query: Any, identifier: Any) -> str:
        if query is not None:
            raise request_error("Give `query` or `documentId`, not both.", "BAD_REQUEST")
        if not isinstance(identifier, str):
            raise request_error("`documentId` must be a string: sha256: and 64 hexadecimal digits.", "BAD_REQUEST")
        found = self._known(identifier.removeprefix(PREFIX))
        if found is None:
            raise request_error("No document has this `documentId`; send its text as `query`.", "DOCUMENT_NOT_FOUND")
        return found

    def _persisted(self, query: Any, persisted: Any) -> str:
        digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
        if not isinstance(digest, str) or persisted.get("version") != 1:
            raise request_error(
                "`extensions.persistedQuery` must be {version: 1, sha256Hash: 64 hexadecimal digits}.", "BAD_REQUEST"
            )
        if query is None:
            found = self._known(digest)
            if found is None:  # the words and the code that clients look for before they send the text
                raise request_error("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
            return found
        if not isinstance(query, str) or _hash(query) != digest.lower():
            raise request_error("`sha256Hash` is not the SHA-256 of `query`.", "BAD_REQUEST")
        return query

    def _known(self, digest: str) -> str | None:
        digest = digest.lower()
        trusted = self._trusted.get(digest)
        if trusted is not None:
            return trusted
        if digest in self._stored:
            self._stored.move_to_end(digest)
        return self._stored.get(digest)


def _hash(text: str) -> str:
    # A lone surrogate cannot come from JSON in UTF-8; should one come, it has a hash all the same.
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
