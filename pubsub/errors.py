"""What can go wrong with the bus.

PubsubError
├── RedisUnavailable   Redis cannot be used, told at start; the message is one line that says what to do
└── EventsExpired      a subscriber fell so far behind that retention has removed what it needs next
"""

from __future__ import annotations


class PubsubError(Exception):
    """Base of this package's failures."""


class RedisUnavailable(PubsubError):
    """Redis cannot be reached or used."""


class EventsExpired(PubsubError):
    """Events between a subscriber's last one and the oldest that is kept are gone: it must load anew."""

    def __init__(self, topic: str, seq: int) -> None:
        super().__init__(
            f"the events of {topic} after {seq} are no longer kept; load the data anew and follow from there"
        )
        self.topic = topic
        self.seq = seq
