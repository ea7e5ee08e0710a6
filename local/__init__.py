"""The embedded PostgreSQL and Valkey of `make run` and of the tests.

Owns their programs, processes, data folder and sockets. Speaks no SQL beyond making the one role and database, and
imports nothing of ours: it hands out two URLs and knows nothing of who uses them.
"""

from local.errors import AlreadyRunning, LocalStoreError
from local.folder import DataFolder, announced_url
from local.stores import LocalStores, StoreUrls, running_stores

__all__ = [
    "AlreadyRunning",
    "DataFolder",
    "LocalStoreError",
    "LocalStores",
    "StoreUrls",
    "announced_url",
    "running_stores",
]
