"""The stores that a command works on: those of the settings, of a server that runs here, or started for the command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from local import DataFolder, LocalStores, StoreUrls, running_stores

if TYPE_CHECKING:
    from app import Settings


@contextmanager
def open_stores(settings: Settings, *, quiet: bool = False) -> Iterator[tuple[StoreUrls, DataFolder | None]]:
    """URLs of both stores. The data folder is held, unless nothing of ours had to be started.

    Raises LocalStoreError when the embedded stores cannot be started.
    """
    if settings.database_url and settings.redis_url:
        yield StoreUrls(settings.database_url, settings.redis_url), None
        return
    with ExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data_dir))
        stores = LocalStores(
            settings.data_dir,
            postgres=not settings.database_url,
            valkey=not settings.redis_url,
            on_progress=None if quiet else lambda line: print(line, file=sys.stderr),
        )
        started = stack.enter_context(stores)
        yield StoreUrls(settings.database_url or started.database_url, settings.redis_url or started.redis_url), folder


@contextmanager
def borrow_stores(settings: Settings) -> Iterator[StoreUrls]:
    """URLs of both stores, of a server on the same data folder if one runs, else as `open_stores`."""
    running = running_stores(settings.data_dir)
    if running is not None:
        yield StoreUrls(settings.database_url or running.database_url, settings.redis_url or running.redis_url)
        return
    with open_stores(settings, quiet=True) as (urls, _folder):
        yield urls
