"""One segment, whatever it takes: retries with backoff, other renditions, checksums; and a memory of recent ones."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gscompress.stream.manifest import Segment
from gscompress.stream.throughput import Throughput
from gscompress.stream.transport import Missing, Transport

T = TypeVar("T")
SLOWEST = 16 << 10
"""Bytes per second below which, in the long run, a server that goes on sending does not answer either."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try. tries: for a segment that the server does not have or that is damaged.

    seconds: for one whose server is down or does not answer; ``stall`` seconds without a byte are no answer.
    first, longest: seconds of the waits between tries, which double each time and vary by half at random, so that many
    clients do not come back at the same moment.
    """

    tries: int = 3
    seconds: float = 10.0
    stall: float = 4.0
    first: float = 0.1
    longest: float = 2.0

    def wait(self, failures: int) -> float:
        """Seconds before the next try."""
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)


async def persist(attempt: Callable[[int], Awaitable[T]], patience: Patience) -> T:
    """The result of ``attempt``, which is told how many failures there were. Raises its last Missing."""
    failures, deadline = 0, time.monotonic() + patience.seconds
    while True:
        try:
            return await attempt(failures)
        except Missing as error:
            failures += 1
            if time.monotonic() > deadline or (not error.again and failures >= patience.tries):
                raise
        await asyncio.sleep(patience.wait(failures))


class Fetcher:
    """Fetches segments of one stream and measures how fast they come.

    keep: bytes of segments to remember, so that a loop or a step back costs no second download.
    """

    def __init__(self, transport: Transport, patience: Patience, keep: int) -> None:
        self._transport, self._patience, self._keep = transport, patience, keep
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._turns: dict[tuple[str, int], asyncio.Lock] = {}
        self.throughput = Throughput()
        self.retries = 0

    def has(self, segment: Segment) -> bool:
        """Whether this segment is in memory."""
        return (segment.path, segment.offset) in self._kept

    async def fetch(self, pick: Callable[[int], Segment]) -> bytes:
        """The bytes of ``pick(0)``, after a failure those of ``pick(1)`` and so on. Raises Missing."""

        async def attempt(failures: int) -> bytes:
            self.retries += failures > 0
            return await self._segment(pick(failures))

        return await persist(attempt, self._patience)

    async def _segment(self, segment: Segment) -> bytes:
        """The checked bytes of a segment. Raises Missing."""
        key = segment.path, segment.offset
        async with self._turns.setdefault(key, asyncio.Lock()):  # a short loop may want it twice at once
            try:
                return self._remembered(key) or await self._checked(segment)
            finally:
                self._turns.pop(key, None)

    def _remembered(self, key: tuple[str, int]) -> bytes | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    async def _checked(self, segment: Segment) -> bytes:
        self.throughput.begins()
        received = 0
        seconds = self._patience.seconds + segment.size / SLOWEST
        try:
            data = await asyncio.wait_for(self._download(segment), seconds)
            received = len(data)
        except asyncio.TimeoutError:
            raise Missing(f"{segment.path} does not arrive: given up after {seconds:.0f} s", again=True) from None
        finally:
            self.throughput.ends(received)
        if len(data) != segment.size:
            raise Missing(f"{segment.path} has {len(data)} bytes, {segment.size} are expected", again=False)
        if segment.crc32 is not None and zlib.crc32(data) != segment.crc32:
            raise Missing(f"{segment.path} is damaged: its checksum is wrong", again=False)
        self._kept[segment.path, segment.offset] = data
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self._keep:
            self._kept.popitem(last=False)
        return data

    async def _download(self, segment: Segment) -> bytes:
        """A segment file as a whole: any static server can do that; part of a file by a range request."""
        if segment.crc32 is not None:
            return await self._transport.read(segment.path, segment.size)
        return await self._transport.read_range(segment.path, segment.offset, segment.size)
