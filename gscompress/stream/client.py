"""Decoded frames of a stream, in order: prefetch, choice of rendition, concealment of what is lost, bounded memory.

::

    async with await open_stream("http://localhost:8090/") as stream:
        async for frame in stream.frames():
            show(frame.scene)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from gscompress.errors import UnreadableError
from gscompress.scene import Scene
from gscompress.stream.fetch import Fetcher
from gscompress.stream.manifest import Manifest
from gscompress.stream.prefetch import Fetched, Options, Window
from gscompress.stream.transport import Missing, Transport


class Decoder(Protocol):
    """Turns groups of pictures of one rendition into scenes."""

    def frames(self, data: bytes, start: int = 0) -> Iterator[tuple[int, Scene]]:
        """(number of the frame in the stream, scene), from frame number ``start`` on. Raises UnreadableError."""


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """index: in the stream. scene: what to show. held: it is an older frame's, because this one is lost (``reason``).

    rendition: name of the quality that the scene was decoded from. size: mean bytes per frame of its group.
    """

    index: int
    scene: Scene
    held: bool
    rendition: str
    size: int
    reason: str = ""


_Queue = asyncio.Queue["StreamFrame | Exception | None"]


class StreamClient:
    """An open stream. One iteration at a time; to seek, end it and start another.

    manifest: as known now. fetcher: counts retries, measures throughput. lost: frames that were held so far.
    """

    def __init__(
        self,
        transport: Transport,
        manifest: Manifest,
        decoder: Callable[[bytes], Decoder],
        news: Callable[[], Awaitable[Manifest | None]],
        options: Options,
    ) -> None:
        self.manifest, self.lost = manifest, 0
        self.fetcher = Fetcher(transport, options.patience, options.memory)
        self._transport, self._decoder, self._news, self._options = transport, decoder, news, options
        self._decoders: dict[str, Decoder] = {}
        self._window: Window | None = None
        self._thread = ThreadPoolExecutor(1, "stream decoder")

    async def __aenter__(self) -> StreamClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def in_hand(self) -> float:
        """Seconds of playback that are here, beyond the frame that was given out last."""
        return 0.0 if self._window is None else self._window.in_hand

    async def close(self) -> None:
        """End it all; a frame that is being decoded is finished and dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self._transport.close()

    async def frames(self, start: int | None = None, *, loop: bool = False) -> AsyncGenerator[StreamFrame, None]:
        """Frames from ``start`` on (None: the first; of a live stream the one before the newest group), to the end.

        With ``loop`` again and again. Lost frames come as held ones; before the first good frame there is nothing to
        hold, they are left out. Raises UnreadableError when too many groups in a row are lost, or all there are.
        """
        ready = _Queue(self._options.ahead)
        work = asyncio.create_task(self._fill(ready, self._first(start), loop))
        try:
            while (item := await ready.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def frame(self, index: int) -> StreamFrame:
        """One frame. Raises UnreadableError when it is lost or not in the stream."""
        if not 0 <= index < self.manifest.frames:
            raise UnreadableError(f"there is no frame {index}: the stream has 0 to {self.manifest.frames - 1}")
        async with aclosing(self.frames(index)) as frames:
            async for found in frames:
                if found.index == index and not found.held:
                    return found
                break
        raise UnreadableError(f"frame {index} is lost")

    def _first(self, start: int | None) -> int:
        if start is None:
            groups = self.manifest.renditions[0].groups
            return groups[-2].first_frame if self.manifest.live and len(groups) > 1 else 0
        return max(0, min(start, self.manifest.frames - 1))

    async def _fill(self, ready: _Queue, start: int, loop: bool) -> None:
        """Frames into the queue; its bound is what keeps memory small when the reader is slow."""
        window = None
        try:
            window = self._window = Window(
                self.manifest, self.fetcher, self._news, self._options, lambda: ready.qsize() / self.manifest.fps
            )
            groups = window.groups(start, loop=loop)
            async with aclosing(groups), aclosing(self._play(groups)) as frames:
                async for frame in frames:
                    self.manifest = window.manifest
                    await ready.put(frame)
            await ready.put(None)
        except Missing as error:
            await ready.put(UnreadableError(str(error)))
        except Exception as error:  # also a mistake of ours is for the reader to see, not to wait for
            await ready.put(error)
        finally:
            if window is not None:
                await window.close()

    async def _play(self, groups: AsyncIterator[Fetched]) -> AsyncGenerator[StreamFrame, None]:
        """Good frames, and held ones for those that are lost."""
        last: StreamFrame | None = None
        row, reason = 0, "it is empty"
        async for fetched in groups:
            index = fetched.due.start
            try:
                async with aclosing(self._decode(fetched)) as frames:
                    async for last in frames:
                        index = last.index + 1
                        yield last
            except (UnreadableError, Missing) as error:
                reason = " ".join(str(error).split())
            row = 0 if index > fetched.due.start else row + 1
            for lost in range(index, fetched.due.stop):
                self.lost += 1
                if last is not None:
                    yield replace(last, index=lost, held=True, reason=reason)
            if row >= self._options.give_up:
                raise UnreadableError(f"{row} groups of pictures in a row are lost: {reason}")
        if last is None:
            raise UnreadableError(f"nothing of the stream could be played: {reason}")

    async def _decode(self, fetched: Fetched) -> AsyncGenerator[StreamFrame, None]:
        """Frames of a group, each checked to be the one that is due. Raises UnreadableError, Missing."""
        if fetched.data is None:
            raise Missing(fetched.reason, again=False)
        name = fetched.rendition.name
        if name not in self._decoders:
            self._decoders[name] = self._decoder(await self.fetcher.fetch(lambda _: fetched.rendition.init))
        steps = self._decoders[name].frames(fetched.data, fetched.due.start)
        for number in fetched.due:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, next, steps, None)
            if found is None:
                raise UnreadableError(f"a group of pictures ends before its frame {number}")
            if found[0] != number:
                raise UnreadableError(f"frame {found[0]} is where frame {number} should be")
            yield StreamFrame(number, found[1], False, name, len(fetched.data) // fetched.group.frames)
