"""What can go wrong with the bus.

PubsubError
└── RedisUnavailable   Redis cannot be used, told at start; the message is one line that says what to do
"""

from __future__ import annotations


class PubsubError(Exception):
    """Base of this package's failures."""


class RedisUnavailable(PubsubError):
    """Redis cannot be reached or used."""
