"""The stores that a command works on: those of the settings, of a server that runs here, or started for the command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from local import DataFolder, LocalStoreError, LocalStores, StoreUrls, running_stores
from settings import Settings


def hold_folder(settings: Settings, work: str | None = None) -> AbstractContextManager[DataFolder | None]:
    """The data folder, held against a second server; None where nothing of ours has to be started.

    `work` is the command, unless it is a server. Raises AlreadyRunning, LocalStoreError.
    """
    return nullcontext() if settings.database_url and settings.redis_url else DataFolder(settings.data_dir, work)


@contextmanager
def open_stores(settings: Settings, *, quiet: bool = False) -> Iterator[StoreUrls]:
    """URLs of both stores; those that the settings do not name are started. The caller holds the folder.

    Raises LocalStoreError when the embedded stores cannot be started.
    """
    if settings.database_url and settings.redis_url:
        yield StoreUrls(settings.database_url, settings.redis_url)
        return
    stores = LocalStores(
        settings.data_dir,
        postgres=not settings.database_url,
        valkey=not settings.redis_url,
        on_progress=None if quiet else lambda line: print(line, file=sys.stderr),
    )
    with stores as started:
        yield StoreUrls(settings.database_url or started.database_url, settings.redis_url or started.redis_url)


@contextmanager
def borrow_stores(settings: Settings, work: str) -> Iterator[StoreUrls]:
    """URLs of both stores, of a server on the same data folder if one runs, else as `open_stores`.

    `work` is the command, for whoever finds the folder held by it. Raises LocalStoreError.
    """
    running = running_stores(settings.data_dir)
    if running is not None:
        urls = StoreUrls(settings.database_url or running.database_url, settings.redis_url or running.redis_url)
        for name, url in (("DATABASE_URL", urls.database_url), ("REDIS_URL", urls.redis_url)):
            if not url:
                raise LocalStoreError(
                    f"the server that runs on the data folder {settings.data_dir} was given a {name}: give it here too"
                )
        yield urls
        return
    with hold_folder(settings, work), open_stores(settings, quiet=True) as urls:
        yield urls
