"""What all encoders of residual frames share: who is who in the next frame, who is gone, who is new."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.default import DefaultCodec
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.scene import Scene
from gscompress.stream.base import FrameDecoder, FrameEncoder, Streams
from gscompress.stream.births import encode_gone, encode_new, with_new, without_gone
from gscompress.stream.keyframe import decode_key, encode_key
from gscompress.stream.state import State
from gscompress.stream.target import Target
from gscompress.stream.tracking import match

I64 = npt.NDArray[np.int64]
_MOST_NEW = 0.4  # share of new Gaussians from which a key frame is the better way


class MatchedDecoder(FrameDecoder):
    """Rows go, the rest changes, rows come."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._memo: dict[str, Any] = {}

    @abstractmethod
    def changed(self, streams: Streams, state: State) -> State:
        """The rows that stay, after a frame's changes. Raises UnreadableError."""

    def key(self, streams: Streams) -> None:
        self._state = State.of(decode_key(streams))

    def residual(self, streams: Streams) -> None:
        state = without_gone(streams, self.state)
        self._state = with_new(streams, self.changed(streams, state))

    @property
    def state(self) -> State:
        """The latest frame. Raises UnreadableError before the first one."""
        if self._state is None:
            raise UnreadableError("the stream starts without a key frame")
        return self._state

    def scene(self) -> Scene:
        return self.state.scene(self._memo)


class MatchedEncoder(FrameEncoder):
    """Follows every row that the decoder has through the source frames. Source rows that the key frame's codec gave up
    stay given up for as long as they can be followed."""

    def __init__(self, quality: float, ctx: Context, decoder: MatchedDecoder) -> None:
        self.ctx, self.decoder = ctx, decoder
        self._keys = DefaultCodec(quality=quality)
        self._source: Scene | None = None
        self._of: I64 = np.zeros(0, np.int64)  # source row of every row that the decoder has
        self._motion: npt.NDArray[np.float64] | None = None

    @abstractmethod
    def changes(self, state: State, target: Target, before: Scene, now: Scene) -> dict[str, bytes]:
        """The streams that ``MatchedDecoder.changed`` takes. before, now: the source frames as a whole."""

    def scene(self) -> Scene:
        return self.decoder.scene()

    def key(self, scene: Scene) -> Streams:
        streams, self._of = encode_key(scene, self._keys, self.ctx)
        self.decoder.key(streams)
        self._source = scene
        return streams

    def residual(self, scene: Scene) -> Streams | None:
        before = self._source
        if before is None or scene.splats.sh_degree != before.splats.sh_degree:
            return None
        found = match(before, scene, self._motion)
        if 1 - found.share > _MOST_NEW:
            return None
        here = np.full(len(before) + 1, -1)
        here[found.of] = np.arange(len(scene))
        here[-1] = -1
        now, new = here[self._of], np.flatnonzero(found.of < 0)
        gone = now < 0
        streams = encode_gone(gone, self.decoder.state)
        state, now = self.decoder.state.kept(~gone) if gone.any() else self.decoder.state, now[~gone]
        streams |= self.changes(state, Target.of(scene.splats.take(now), state), before, scene)
        if len(new):
            streams["new"], new = encode_new(scene.splats.take(new), new, state)
        self.decoder.residual(streams)
        self._of, self._motion, self._source = np.concatenate([now, new]), found.motion, scene
        return streams
