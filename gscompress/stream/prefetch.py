"""Groups of pictures in order, the next ones already on their way: a bounded window over a stream."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from gscompress.stream.fetch import Fetcher, Patience, persist
from gscompress.stream.manifest import Group, Manifest, Rendition, Segment
from gscompress.stream.throughput import choose
from gscompress.stream.transport import Missing

LEAST, MOST = 2, 64
"""Groups to have on the way or in hand, however long or short they are."""


@dataclass(frozen=True, slots=True)
class Options:
    """prefetch: seconds of playback to have on the way or in hand, two groups at least. ahead: decoded frames in hand.

    memory: bytes of compressed groups to prefetch, and as many again to remember. give_up: so many groups lost in a
    row end the playback. rendition: the name of one, to switch the choice by throughput off. poll: seconds between two
    looks for new groups of a live stream, None for half the duration of a group.
    """

    prefetch: float = 3.0
    ahead: int = 8
    memory: int = 64 << 20
    give_up: int = 8
    rendition: str | None = None
    poll: float | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The frames that are due, and the bytes of a group that has them in one rendition; None and why when lost."""

    due: range
    rendition: Rendition
    group: Group
    data: bytes | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Ordered:
    """A group that is on its way or here."""

    due: range
    group: Group
    task: asyncio.Task[Fetched]


class Window:
    """Fetches groups ahead of whoever reads them. ``close`` ends all downloads.

    manifest: as known now; that of a live stream is replaced as it grows. news: reads the manifest, None if unchanged.
    buffered: seconds of playback beyond the window that the reader has in hand.
    """

    def __init__(
        self,
        manifest: Manifest,
        fetcher: Fetcher,
        news: Callable[[], Awaitable[Manifest | None]],
        options: Options,
        buffered: Callable[[], float],
    ) -> None:
        self.manifest, self._fetcher, self._news, self._options = manifest, fetcher, news, options
        self._buffered = buffered
        self._tasks: deque[_Ordered] = deque()
        self._pinned = self._find(options.rendition)
        self._rendition = self._pinned or 0
        self._looked = time.monotonic()

    @property
    def in_hand(self) -> float:
        """Seconds of playback that are here already."""
        done = sum(len(ordered.due) for ordered in self._tasks if ordered.task.done())
        return self._buffered() + done / self.manifest.fps

    async def groups(self, frame: int, *, loop: bool) -> AsyncGenerator[Fetched, None]:
        """From ``frame`` on, to the end or again and again. Raises Missing when a live stream's server is gone."""
        while True:
            if self.manifest.live and time.monotonic() - self._looked > self._poll:
                await self._look()
            frame = self._start(frame, loop)
            if self._tasks:
                yield await self._tasks[0].task
                self._tasks.popleft()
            elif self.manifest.live:
                await asyncio.sleep(self._poll)
            else:
                return

    async def close(self) -> None:
        tasks = [ordered.task for ordered in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _poll(self) -> float:
        if self._options.poll is not None:
            return self._options.poll
        groups = self.manifest.renditions[0].groups
        frames = groups[-1].frames if groups else self.manifest.fps
        return min(5.0, max(0.2, 0.5 * frames / self.manifest.fps))

    def _start(self, frame: int, loop: bool) -> int:
        """Start downloads while there is room, and return the first frame that is not in them."""
        while self._hungry():
            if loop and not self.manifest.live and frame >= self.manifest.frames:
                frame = 0
            rendition = self._choose(frame)
            group = self.manifest.renditions[rendition].group_of(frame)
            if group is None or (frame >= self.manifest.frames and not self.manifest.live):
                break
            held = sum(ordered.group.segment.size for ordered in self._tasks)
            if self._tasks and group.segment.size + held > self._options.memory:
                break
            due = range(frame, group.stop if self.manifest.live else min(group.stop, self.manifest.frames))
            self._tasks.append(_Ordered(due, group, asyncio.create_task(self._fetch(rendition, group, due))))
            frame = due.stop
        return frame

    def _hungry(self) -> bool:
        """Whether to order more; while the bandwidth is unknown, no more than it takes to find out."""
        frames = sum(len(ordered.due) for ordered in self._tasks)
        blind = self._fetcher.throughput.estimate is None
        enough = blind or len(self._tasks) >= MOST or frames >= self._options.prefetch * self.manifest.fps
        return len(self._tasks) < LEAST or not enough

    async def _fetch(self, chosen: int, group: Group, due: range) -> Fetched:
        """After a failure a smaller rendition is as good, if one of its groups has all the frames that are due."""
        renditions = self.manifest.renditions
        tried = [(renditions[chosen], group)]

        def pick(failures: int) -> Segment:
            if failures and chosen >= failures and self._pinned is None:
                smaller = renditions[chosen - failures]
                other = smaller.group_of(due.start)
                if other is not None and other.stop >= due.stop:
                    tried.append((smaller, other))
            return tried[-1][1].segment

        try:
            data = await self._fetcher.fetch(pick)
        except Missing as error:
            return Fetched(due, *tried[0], None, str(error))
        return Fetched(due, *tried[-1], data)

    def _choose(self, frame: int) -> int:
        """The rendition for a frame; a better one that is in memory already is taken instead."""
        if self._pinned is not None:
            return self._pinned
        manifest = self.manifest
        rates = [manifest.bitrate(rendition) for rendition in manifest.renditions]
        self._rendition = choose(rates, self._fetcher.throughput.estimate, self.in_hand, self._rendition)
        for number in range(len(rates) - 1, self._rendition, -1):
            group = manifest.renditions[number].group_of(frame)
            if group is not None and self._fetcher.has(group.segment):
                return number
        return self._rendition

    async def _look(self) -> None:
        """Ask for a newer manifest; while groups are in hand, a server that does not answer is no reason to stop."""
        try:
            newer = await (self._news() if self._tasks else persist(lambda _: self._news(), self._options.patience))
        except Missing:
            if not self._tasks:
                raise
            return
        self._looked = time.monotonic()
        if newer is not None and newer != self.manifest:
            if not newer.continues(self.manifest):
                raise Missing("the stream was replaced by another: open it again", again=False)
            self.manifest = newer

    def _find(self, name: str | None) -> int | None:
        names = [rendition.name for rendition in self.manifest.renditions]
        if name is not None and name not in names:
            raise Missing(f"there is no rendition '{name}': choose from {', '.join(names)}", again=False)
        return None if name is None else names.index(name)
