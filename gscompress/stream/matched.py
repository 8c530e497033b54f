"""What all encoders of residual frames share: who is who in the next frame, who is gone, who is new."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeGuard

import numpy as np
import numpy.typing as npt

from gscompress.codecs.default import DefaultCodec
from gscompress.codecs.geometry import Classes
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.scene import Scene, Splats
from gscompress.stream.base import FrameDecoder, FrameEncoder, Streams
from gscompress.stream.births import encode_gone, encode_new, with_new, without_gone
from gscompress.stream.keyframe import decode_key, encode_key, planned
from gscompress.stream.precision import Precision, wanted
from gscompress.stream.retarget import picture_error, retarget
from gscompress.stream.state import State
from gscompress.stream.tracking import match

I64 = npt.NDArray[np.int64]
_MOST_NEW = 0.4  # share of new Gaussians from which a key frame is the better way
_PRUNE = 0.1  # of key frames, less than for a still scene: what the views miss now may turn towards them later
_WATCHED = 4  # views in which the picture is watched
_SOONEST = 2  # frames after which precision may be set anew again
_PERFECT = 1e-7  # mean squared error below which nothing is worth a key frame
_DEAR = 0.4  # of the key frame's bytes: a residual frame above is tried by optimisation


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

    def back_to(self, state: State) -> None:
        """An earlier frame: what came after it was a trial."""
        self._state = state

    @property
    def state(self) -> State:
        """The latest frame. Raises UnreadableError before the first one."""
        if self._state is None:
            raise UnreadableError("the stream starts without a key frame")
        return self._state

    def scene(self) -> Scene:
        return self.state.scene(self._memo)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a residual frame is to become. now: (rows,) source row of every row that the decoder has, -1 for gone ones.
    new: source rows that are new. source: the scene that these count in. motion: (7,) of the whole."""

    now: I64
    new: I64
    source: Scene
    motion: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Coded:
    """A residual frame. of: source row of every row that a decoder has after it."""

    aim: Aim
    streams: dict[str, bytes]
    of: I64


class MatchedEncoder(FrameEncoder):
    """Follows every row that the decoder has through the source frames. Source rows that the key frame's codec gave up
    stay given up for as long as they can be followed.

    largest: share of the key frame's bytes above which a residual frame gives way to a key frame. refresh: every so
    many frames precision is set anew, and earlier for a frame whose picture would be ``sag`` dB worse than after the
    last time; 0 for never.
    """

    largest: ClassVar[float] = np.inf
    refresh: int = 0
    sag: float = np.inf

    def __init__(self, quality: float, ctx: Context, decoder: MatchedDecoder, updates: int = 0) -> None:
        """updates: of tuning for a frame that matching does not explain, 0 for none."""
        self.ctx, self.decoder, self._updates = ctx, decoder, updates
        self.keys = DefaultCodec(quality=quality, prune=_PRUNE)
        self._key_bytes, self._since, self._level = 0, 0, 0.0
        self._source: Scene | None = None
        self._of: I64 = np.zeros(0, np.int64)  # source row of every row that the decoder has
        self._motion: npt.NDArray[np.float64] | None = None

    @abstractmethod
    def changes(
        self, state: State, goal: Splats, before: Scene, now: Scene, precision: Precision | None
    ) -> dict[str, bytes] | None:
        """The streams that ``MatchedDecoder.changed`` takes, None when they cannot say it. goal: the state's rows as
        they should be. before, now: the source frames as a whole. precision: from now on."""

    def scene(self) -> Scene:
        return self.decoder.scene()

    def key(self, scene: Scene) -> Streams:
        streams, self._of = encode_key(scene, self.keys, self.ctx)
        self._key_bytes = _size(streams)
        self.decoder.key(streams)
        self._source, self._since = scene, 0
        self._level = self._error(scene)
        return streams

    def residual(self, scene: Scene) -> Streams | None:
        before = self._source
        if before is None or scene.splats.sh_degree != before.splats.sh_degree:
            return None
        self._since += 1
        fresh = self.refresh > 0 and self._since >= self.refresh
        coded = self._coded(scene, before, fresh)
        if not self._fits(coded):
            return None
        known = self.decoder.state
        self.decoder.residual(coded.streams)
        error = self._error(scene)
        if not fresh and self._since >= _SOONEST and error > 10 ** (self.sag / 10) * max(self._level, _PERFECT):
            fresh = True
            self.decoder.back_to(known)
            coded = self._encoded(coded.aim, before, fresh)
            if not self._fits(coded):
                return None
            self.decoder.residual(coded.streams)
            error = self._error(scene)
        if fresh:
            self._level, self._since = error, 0
        self._of, self._motion, self._source = coded.of, coded.aim.motion, coded.aim.source
        return coded.streams

    def _coded(self, scene: Scene, before: Scene, fresh: bool) -> _Coded | None:
        """By matching, or by tuning where that does not explain the frame; None if neither does."""
        found = match(before, scene, self._motion)
        coded: _Coded | None = None
        if 1 - found.share <= _MOST_NEW:
            here = np.full(len(before) + 1, -1)
            here[found.of] = np.arange(len(scene))
            here[-1] = -1
            aim = Aim(here[self._of], np.flatnonzero(found.of < 0), scene, found.motion)
            coded = self._encoded(aim, before, fresh)
        if self._updates and (coded is None or _size(coded.streams) > _DEAR * self._key_bytes):
            wanted = 26 + 0.3 * self.keys.quality
            state = self.decoder.state
            tuned = retarget(state, found.motion, scene, self.ctx, self._updates, wanted)
            if tuned is not None:
                rows = np.arange(len(tuned.scene))
                now = np.where(tuned.faded, -1, rows[: len(state)])
                coded = self._encoded(Aim(now, rows[len(state) :], tuned.scene, found.motion), before, fresh)
        return coded

    def _fits(self, coded: _Coded | None) -> TypeGuard[_Coded]:
        return coded is not None and _size(coded.streams) <= self.largest * self._key_bytes

    def _error(self, scene: Scene) -> float:
        """Of the decoder's picture, where that matters and can be told."""
        if not np.isfinite(self.sag) or self.ctx.renderer is None or not self.ctx.cameras:
            return 0.0
        few = replace(self.ctx, cameras=self.ctx.cameras[:_WATCHED])
        return picture_error(replace(self.scene(), frame=scene.frame, model=scene.model), scene, few)

    def _encoded(self, aim: Aim, before: Scene, fresh: bool) -> _Coded | None:
        """The streams, if there is a way."""
        now, new = aim.now, aim.new
        gone = now < 0
        streams = encode_gone(gone, self.decoder.state)
        state, now = self.decoder.state.kept(~gone) if gone.any() else self.decoder.state, now[~gone]
        found: Precision | None = None
        if fresh:
            found, missed = self._as_key(aim.source, now, state)
            new = np.union1d(new, missed)
        changes = self.changes(state, aim.source.splats.take(now), before, aim.source, found)
        if changes is None:
            return None
        streams |= changes
        if len(new):
            precise = found.of(state) if found is not None else state
            streams["new"], new = encode_new(aim.source.splats.take(new), new, precise)
        return _Coded(aim, streams, np.concatenate([now, new]))

    def _as_key(self, source: Scene, now: I64, state: State) -> tuple[Precision | None, I64]:
        """What a key frame would do better: the precision of the state's rows, and source rows that it lacks."""
        plan, rows = planned(source, replace(self.keys, settle=0), self.ctx)
        shape, colour = np.full((2, len(source)), -1)
        shape[rows], colour[rows] = plan.classes.shape, plan.classes.colour
        return wanted(plan.shared.steps, Classes(shape[now], colour[now]), state), np.setdiff1d(rows, now)


def _size(streams: Streams) -> int:
    return sum(map(len, streams.values()))
