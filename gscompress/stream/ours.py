"""Our stream codec: key frames by the default codec, then motion, and residuals where motion does not explain a frame.

    prediction = (blended motions of graph nodes, then one motion of the whole) of what the decoder has
    residual   = (target - prediction) / step of the Gaussian's own class, rounded, others cost next to nothing

The encoder predicts from the decoder's own frame, so errors do not add up. Rows that vanish are dropped, new ones are
coded as a small key frame of their own.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.scene import Scene, Splats
from gscompress.stream import motion, residual
from gscompress.stream.base import FrameCodec, FrameDecoder, FrameEncoder, Streams
from gscompress.stream.fit import applied, node_motions, undone, whole_motion
from gscompress.stream.matched import MatchedDecoder, MatchedEncoder
from gscompress.stream.precision import Precision
from gscompress.stream.state import Change, State
from gscompress.stream.target import Target

F64 = npt.NDArray[np.float64]
_OF_ROWS = {"gone", "precision", "new"}
"""Streams that change which rows there are, or what their symbols mean."""
_NODE_STEP = 0.05  # step of a node's shift, in typical position steps
_NODE_BITS = 20.0  # what a node's motion costs, roughly


@dataclass(frozen=True)
class StreamCodec(FrameCodec):
    """quality: 0 to 100, as the default codec's.

    dead_zone: residuals below so many steps are dropped; above 0.5 it keeps Gaussians from flickering between steps.
    tune: updates of tracking by optimisation, for frames whose Gaussians are not those of the frame before (a key frame
    each otherwise); needs a renderer.
    refresh: frames after which every Gaussian's precision is set anew where the picture has come to need more; 0 keeps
    that of the key frame. sag: dB by which a picture may be worse than after the last time before that happens early.
    """

    quality: float = 50.0
    dead_zone: float = 0.55
    tune: int = 0
    sag: float = 0.75
    refresh: int = 5

    name: ClassVar[str] = "stream"
    version: ClassVar[int] = 2

    def encoder(self, ctx: Context) -> FrameEncoder:
        return _Encoder(self, ctx)

    def decoder(self) -> FrameDecoder:
        return _Decoder()


class _Decoder(MatchedDecoder):
    """Symbols depend on which rows there are and on which changed last, not on values: while one thread computes the
    values of a frame, others decode the symbols of the next."""

    def __init__(self) -> None:
        super().__init__()
        self._pool, self._groups = ThreadPoolExecutor(1), ThreadPoolExecutor(2)
        self._coming: Future[State] | None = None
        self._marks = np.zeros(0, np.uint16)

    def key(self, streams: Streams) -> None:
        self._coming = None
        super().key(streams)

    def residual(self, streams: Streams) -> None:
        if not _OF_ROWS.isdisjoint(streams):
            super().residual(streams)
            return
        before = super().state  # the frame before the coming one has the same rows
        before = before if self._coming is None else replace(before, marks=self._marks)
        symbols = residual.decode(streams, before, self._groups)
        self._coming, self._marks = self._pool.submit(_valued, streams, self.state, symbols), symbols[1]

    def changed(self, streams: Streams, state: State) -> State:
        if "precision" in streams:
            state = Precision.decode(streams["precision"], state).of(state)
        return _valued(streams, state, residual.decode(streams, state, self._groups))

    def back_to(self, state: State) -> None:
        self._coming = None
        super().back_to(state)

    @property
    def state(self) -> State:
        if self._coming is not None:
            coming, self._coming = self._coming, None
            super().back_to(coming.result())
        return super().state


def _valued(streams: Streams, state: State, symbols: residual.Decoded) -> State:
    return residual.corrected(state.moved(motion.decode(streams, state)), symbols)


class _Encoder(MatchedEncoder):
    largest: ClassVar[float] = 0.8

    def __init__(self, codec: StreamCodec, ctx: Context) -> None:
        super().__init__(codec.quality, ctx, _Decoder(), codec.tune)
        self._dead_zone, self.sag, self.refresh = codec.dead_zone, codec.sag, codec.refresh

    def changes(
        self, state: State, goal: Splats, before: Scene, now: Scene, precision: Precision | None
    ) -> dict[str, bytes] | None:
        streams: dict[str, bytes] = {}
        if precision is not None:
            streams, state = precision.encode(state), precision.of(state)
        target = Target.of(goal, state)
        step = _NODE_STEP * float(np.median(state.grain)) if len(state) else 1.0
        moving = motion.encode(_change(state, target), state, step)
        state = state.moved(moving.change)
        symbols = target.symbols(state, self._dead_zone)
        if any(np.abs(values).max(initial=0) > residual.LARGEST for values in symbols.values()):
            return None
        return streams | moving.streams | residual.encode(symbols, state)


def _change(state: State, target: Target) -> Change:
    """The motion of the whole, then of the nodes where they are worth their bits, then what fades alike for all."""
    steps = state.grain
    weights = 1 / steps**2
    whole = whole_motion(state.means, target.means, weights)
    graph, nodes = state.graph, np.zeros((len(state.graph), 7))
    moved, growth = applied(state.means, graph, nodes, whole)
    if len(graph):
        fitted = node_motions(state.means, undone(target.means, whole), weights, graph)
        bent, grown = applied(state.means, graph, fitted, whole)
        if _bits(target.means - moved, steps) - _bits(target.means - bent, steps) > _NODE_BITS * len(graph):
            nodes, growth = fitted, grown
    return Change(whole, nodes, target.fade(state, growth))


def _bits(off: F64, steps: F64) -> float:
    """What residuals cost, roughly."""
    return float(np.log2(1 + (off / steps[:, None]) ** 2).sum())
