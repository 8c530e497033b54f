"""Our stream codec: key frames by the default codec, then motion, and residuals where motion does not explain a frame.

    prediction = (blended motions of graph nodes, then one motion of the whole) of what the decoder has
    residual   = (target - prediction) / step of the Gaussian's own class, rounded, others cost next to nothing

The encoder predicts from the decoder's own frame, so errors do not add up. Rows that vanish are dropped, new ones are
coded as a small key frame of their own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.stream import motion, residual
from gscompress.stream.base import FrameCodec, FrameDecoder, FrameEncoder, Streams
from gscompress.stream.fit import applied, node_motions, undone, whole_motion
from gscompress.stream.matched import MatchedDecoder, MatchedEncoder
from gscompress.stream.state import Change, State
from gscompress.stream.target import Target

F64 = npt.NDArray[np.float64]
_NODE_STEP = 0.05  # step of a node's shift, in typical position steps
_NODE_BITS = 20.0  # what a node's motion costs, roughly


@dataclass(frozen=True)
class StreamCodec(FrameCodec):
    """quality: 0 to 100, as the default codec's.

    dead_zone: residuals below so many steps are dropped; above 0.5 it keeps Gaussians from flickering between steps.
    tune: updates of tracking by optimisation, for frames whose Gaussians are not those of the frame before (a key frame
    each otherwise); needs a renderer.
    sag: dB by which a picture may be worse than its key frame's before a new one comes; needs a renderer, too.
    """

    quality: float = 50.0
    dead_zone: float = 0.55
    tune: int = 0
    sag: float = 1.5

    name: ClassVar[str] = "stream"
    version: ClassVar[int] = 1

    def encoder(self, ctx: Context) -> FrameEncoder:
        return _Encoder(self, ctx)

    def decoder(self) -> FrameDecoder:
        return _Decoder()


class _Decoder(MatchedDecoder):
    def changed(self, streams: Streams, state: State) -> State:
        with ThreadPoolExecutor(1) as pool:  # symbols do not depend on where the motion leads
            symbols = pool.submit(residual.decode, streams, state)
            moved = state.moved(motion.decode(streams, state))
            return residual.corrected(moved, *symbols.result())


class _Encoder(MatchedEncoder):
    largest: ClassVar[float] = 0.8

    def __init__(self, codec: StreamCodec, ctx: Context) -> None:
        super().__init__(codec.quality, ctx, _Decoder(), codec.tune)
        self._dead_zone, self.sag = codec.dead_zone, codec.sag

    def changes(self, state: State, target: Target, before: Scene, now: Scene) -> dict[str, bytes] | None:
        step = _NODE_STEP * float(np.median(state.grain)) if len(state) else 1.0
        moving = motion.encode(_change(state, target), state, step)
        state = state.moved(moving.change)
        symbols = target.symbols(state, self._dead_zone)
        if any(np.abs(values).max(initial=0) > residual.LARGEST for values in symbols.values()):
            return None
        return moving.streams | residual.encode(symbols, state)


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
