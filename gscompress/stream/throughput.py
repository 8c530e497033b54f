"""How fast bytes come in, and which rendition that is enough for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


class Throughput:
    """Bytes per second over the time in which something is on its way; parallel downloads count as one.

    Two exponential averages, as in common DASH players: the fast one notices a drop, the slow one is not fooled by a
    burst; the smaller one is believed. ``clock``: any seconds that only grow.
    """

    FAST, SLOW = 3.0, 9.0
    """Half-lives in seconds of transfer."""
    LEAST = 16_384
    """Samples of fewer bytes tell of latency, not of bandwidth: they are held back until more has come."""
    OVERLAP = 2.0
    """Seconds after which a sample is taken although something else is still on its way, or little has come."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._active, self._since = 0, 0.0
        self._bytes, self._seconds = 0, 0.0
        self._averages = {self.FAST: (0.0, 0.0), self.SLOW: (0.0, 0.0)}

    @property
    def estimate(self) -> float | None:
        """Bytes per second, None before the first sample."""
        values = [total / weight for total, weight in self._averages.values() if weight]
        return min(values) if values else None

    def begins(self) -> None:
        """A download starts."""
        self._settle()
        self._active += 1

    def ends(self, received: int) -> None:
        """A download is over, well or not, with so many bytes."""
        self._settle()
        self._active -= 1
        self._bytes += received
        whole = not self._active or self._seconds > self.OVERLAP  # else bytes of the others are still uncounted
        if whole and (self._bytes >= self.LEAST or self._seconds > self.OVERLAP):
            self._sample(max(self._seconds, 1e-4))

    def _settle(self) -> None:
        now = self._clock()
        if self._active:
            self._seconds += now - self._since
        self._since = now

    def _sample(self, seconds: float) -> None:
        rate = self._bytes / seconds
        for half_life, (total, weight) in self._averages.items():
            keep = 0.5 ** (seconds / half_life)
            self._averages[half_life] = (keep * total + (1 - keep) * rate, keep * weight + (1 - keep))
        self._bytes, self._seconds = 0, 0.0


def choose(bitrates: Sequence[float], estimate: float | None, buffered: float, current: int) -> int:
    """The rendition to fetch next, an index into ``bitrates`` (bytes per second, ascending).

    buffered: seconds of playback in hand. Without an estimate the smallest one starts soonest. Going up takes more
    room than staying, so that the choice does not swing; with little in hand the share that may be used is halved.
    """
    if estimate is None:
        return 0
    share = 0.8 if buffered >= 1.0 else 0.4
    best = 0
    for number, rate in enumerate(bitrates):
        if rate <= estimate * (share if number <= current else 0.8 * share):
            best = number
    return min(best, current + 1)
