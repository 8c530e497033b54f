"""A viewer whose scene moves: ``gscompress stream play``."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gscompress.events import EventLog
from gscompress.stream.client import StreamFrame
from gscompress.stream.prefetch import Options
from gscompress.viewer.controls import Controls
from gscompress.viewer.exhibit import Exhibit, surroundings
from gscompress.viewer.moving import Moving
from gscompress.viewer.playback import Playback, State
from gscompress.viewer.server import Viewer

if TYPE_CHECKING:
    from gscompress.renderers.base import Renderer


class Player(Viewer):
    """A running viewer of a stream, over a playback that rests at its first frame; ``stop`` ends both."""

    def __init__(
        self, exhibit: Exhibit, moving: Moving, first: StreamFrame, playback: Playback, host: str, port: int
    ) -> None:
        super().__init__(exhibit, host, port)
        self.playback, self._moving, self._frame = playback, moving, first
        self._controls = Controls(self._server.gui, playback)
        self._playing = False
        playback.shown, playback.told = self._show, self._tell
        self._tell(playback.state)

    def _show(self, frame: StreamFrame) -> None:
        self._frame = frame
        self._moving.show(frame)
        self.refresh(playing=self.playback.state.playing)

    def _tell(self, state: State) -> None:
        self._controls.report(state, self._frame)
        if self._playing and not state.playing:  # the frame on which it came to rest is worth a closer look
            self.refresh(playing=False)
        self._playing = state.playing

    def stop(self) -> None:
        self.playback.close()
        super().stop()


def open_player(
    where: str,
    options: Options,
    renderer: Renderer,
    limit: tuple[int, int],
    background: tuple[float, float, float],
    log: EventLog,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    loop: bool = False,
) -> Player:
    """Open a stream and a viewer for it, resting at its first frame: ``player.playback.play()`` begins.

    Raises UnreadableError, UsageError when its first frame shows nothing or the port cannot be had, MissingExtraError.
    """
    playback = Playback(where, options, loop=loop, playing=False)
    arrived = threading.Event()
    first: list[StreamFrame] = []

    def shown(frame: StreamFrame) -> None:
        first.append(frame)
        arrived.set()

    def told(state: State) -> None:
        if state.trouble:
            arrived.set()

    playback.shown, playback.told = shown, told
    try:
        with log.phase("open"):
            playback.start()
            arrived.wait()
        if playback.error is not None and not first:
            raise playback.error
        moving = Moving(_name(where), first[0])
        world, poses = surroundings(where, moving.scene(0), log)
        exhibit = Exhibit(moving, None, world, poses, renderer, limit, background)
        return Player(exhibit, moving, first[0], playback, host, port)
    except BaseException:
        playback.close()
        raise


def _name(where: str) -> str:
    """What to call a stream: the last part of its path that says something, or its server."""
    parts = urlsplit(where) if "://" in where else None
    path = where if parts is None else unquote(parts.path)
    names = [name for name in path.replace("\\", "/").split("/") if name not in ("", ".", "manifest.json")]
    return names[-1] if names else where if parts is None else parts.netloc
