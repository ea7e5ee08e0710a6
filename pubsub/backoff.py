"""How long to wait before the next try: capped, exponential, with jitter against many knocking at once."""

from __future__ import annotations

import random

FIRST_S = 0.05  # a server that restarts is back within tens of milliseconds
CAP_S = 5.0  # the longest that a returned server stays unnoticed


class BackOff:
    """The delays of one series of `failures`."""

    def __init__(self, first_s: float = FIRST_S, cap_s: float = CAP_S) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self.failures = 0

    def next_s(self) -> float:
        """The next delay: between half and all of it, twice as long each time up to the cap."""
        delay = min(self._cap_s, self._first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    def reset(self) -> None:
        """It worked."""
        self.failures = 0
