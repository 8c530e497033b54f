"""A stream against the clock: play, pause, seek and loop, from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from gscompress.errors import UnreadableError
from gscompress.stream.client import StreamClient, StreamFrame
from gscompress.stream.opening import open_stream
from gscompress.stream.prefetch import Options

PATIENCE = 0.1
"""Seconds that a frame may be late: so much is made up for by hurrying. After more, buffering is announced, and
playback goes on from where it is."""


@dataclass(frozen=True, slots=True)
class State:
    """playing: not paused and not at the end. buffering: the next frame is due but not here.

    frame: the one shown. frames: in the stream so far. in_hand: seconds of playback that are here already.
    rate: measured bytes per second, None if unknown. trouble: why playback ended early, "" while all is well.
    """

    playing: bool = True
    loop: bool = False
    buffering: bool = True
    live: bool = False
    frame: int = 0
    frames: int = 0
    fps: float = 30.0
    in_hand: float = 0.0
    rate: float | None = None
    trouble: str = ""


class Playback:
    """Plays in a thread of its own until it is closed. ``state`` can be read at any time, ``error`` is its last one.

    shown: called in that thread with every frame when it is due. told: called there when the state changed, also
    without a new frame. Both must be quick. Set them before ``start``.
    """

    def __init__(self, where: str, options: Options | None = None, *, loop: bool = False, playing: bool = True) -> None:
        self.shown: Callable[[StreamFrame], None] = lambda frame: None
        self.told: Callable[[State], None] = lambda state: None
        self.state = State(playing=playing, loop=loop)
        self.error: Exception | None = None
        self._where, self._options = where, options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._target: int | None = None
        self._closed = self._over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="playback", daemon=True)

    def start(self) -> None:
        """Open the stream and begin."""
        self._thread.start()

    def play(self) -> None:
        """Go on; at the end of the stream from its beginning, after trouble from where it began."""
        self._command(self._resume)

    def pause(self) -> None:
        self._command(lambda: self._tell(playing=False))

    def seek(self, frame: int) -> None:
        """Show this frame next, and go on from there if playing."""
        self._command(lambda: self._jump(frame))

    def loop(self, wanted: bool) -> None:
        """Whether the first frame follows the last one."""
        self._command(lambda: self._set_loop(wanted))

    def close(self, seconds: float = 5.0) -> None:
        """End the playback and its downloads."""
        self._closed = True
        self._command(lambda: None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _command(self, action: Callable[[], None]) -> None:
        """Run ``action`` in the playback's thread and wake it."""

        def act() -> None:
            action()
            self._news.set()

        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(act)

    def _resume(self) -> None:
        if self._target is None and self._over:
            self._target = self.state.frame if self.state.trouble else 0
        self._tell(playing=True, trouble="")

    def _jump(self, frame: int) -> None:
        self._target = max(0, min(frame, self.state.frames - 1))

    def _set_loop(self, wanted: bool) -> None:
        if wanted != self.state.loop:
            self._target = self.state.frame
            self._tell(loop=wanted)

    def _tell(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self.told(self.state)

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._tell(playing=False, buffering=False, trouble=str(error) or repr(error))

    async def _run(self) -> None:
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            async with await open_stream(self._where, self._options) as stream:
                while not self._closed:
                    start, self._target = self._target, None
                    try:
                        await self._play(stream, start)
                    except UnreadableError as error:
                        self._fail(error)
                    self._over = True
                    while self._target is None and not self._closed:
                        await self._wait(None)
                    self._over = False
        except Exception as error:  # a mistake of ours must not leave whoever waits for frames waiting
            self._fail(error)

    async def _play(self, stream: StreamClient, start: int | None) -> None:
        """From ``start`` to the end, or until another frame is wanted."""
        clock = asyncio.get_running_loop().time
        due, fresh = clock(), True
        async with aclosing(stream.frames(start, loop=self.state.loop)) as frames:
            while (frame := await self._arrival(anext(frames, None), due + PATIENCE)) is not None:
                if fresh or clock() > due + PATIENCE:
                    due = clock()
                while not (self._diverted or fresh) and (not self.state.playing or clock() < due):
                    if self.state.playing:
                        await self._wait(due - clock())
                    else:
                        await self._wait(None)
                        due = clock()
                if self._diverted:
                    return
                self._show(stream, frame)
                due, fresh = due + 1 / stream.manifest.fps, False
        if not self._diverted:
            self._tell(playing=False, buffering=False)

    @property
    def _diverted(self) -> bool:
        return self._target is not None or self._closed

    async def _arrival(self, coming: Coroutine[Any, Any, StreamFrame | None], late: float) -> StreamFrame | None:
        """The next frame, or None at the end or when something else is wanted; announces buffering after ``late``."""
        task = asyncio.ensure_future(coming)
        try:
            while not task.done() and not self._diverted:
                left = late - asyncio.get_running_loop().time()
                quiet = self.state.buffering or not self.state.playing
                if left <= 0 and not quiet:
                    self._tell(buffering=True)
                    continue
                news = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({task, news}, timeout=None if quiet else left, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                self._news.clear()
            return None if self._diverted else task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _wait(self, seconds: float | None) -> None:
        """For a command, though not longer than ``seconds``."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except asyncio.TimeoutError:
            return
        self._news.clear()

    def _show(self, stream: StreamClient, frame: StreamFrame) -> None:
        self.shown(frame)
        manifest = stream.manifest
        self._tell(
            buffering=False,
            live=manifest.live,
            frame=frame.index,
            frames=max(manifest.frames, frame.index + 1),
            fps=manifest.fps,
            in_hand=stream.in_hand,
            rate=stream.fetcher.throughput.estimate,
        )
