"""Our stream codec: key frames by the default codec, then motion, and residuals where motion does not explain a frame.

    prediction = (blended motions of graph nodes, then one motion of the whole) of what the decoder has
    residual   = (target - prediction) / step of the Gaussian's own class, rounded, others cost next to nothing

The encoder predicts from the decoder's own frame, so errors do not add up. Rows that vanish are dropped, new ones are
coded as a small key frame of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs import colour
from gscompress.codecs.default import DefaultCodec
from gscompress.codecs.geometry import Classes, decode_one, encode_one
from gscompress.codecs.part import encode_bands, encode_base
from gscompress.codecs.positions import Box, order
from gscompress.container.chunk import pack_streams, unpack_streams
from gscompress.context import Context
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError
from gscompress.scene import Scene, Splats
from gscompress.stream import motion, residual
from gscompress.stream.base import FrameCodec, FrameDecoder, FrameEncoder, Streams
from gscompress.stream.fit import applied, node_motions, whole_motion
from gscompress.stream.keyframe import Key, decode_block, decode_key, encode_key
from gscompress.stream.nearest import nearest
from gscompress.stream.state import Change, State
from gscompress.stream.target import Target
from gscompress.stream.tracking import match

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_GONE = Shape(columns=1, first_classes=1, second_classes=1, signed=False)
_MOST_NEW = 0.4  # share of new Gaussians from which a key frame is the better way
_NODE_STEP = 0.5  # step of a node's shift, in typical position steps
_NODE_BITS = 20.0  # what a node's motion costs, roughly


@dataclass(frozen=True)
class StreamCodec(FrameCodec):
    """quality: 0 to 100, as the default codec's.

    dead_zone: residuals below so many steps are dropped; above 0.5 it keeps Gaussians from flickering between steps.
    finer: residual steps in terms of the key frame's.
    """

    quality: float = 50.0
    dead_zone: float = 0.6

    name: ClassVar[str] = "stream"
    version: ClassVar[int] = 1

    def encoder(self, ctx: Context) -> FrameEncoder:
        return _Encoder(self, ctx)

    def decoder(self) -> FrameDecoder:
        return _Decoder()


class _Decoder(FrameDecoder):
    def __init__(self) -> None:
        self.state: State | None = None

    def key(self, streams: Streams) -> None:
        self.state = State.of(decode_key(streams))

    def residual(self, streams: Streams) -> None:
        state = self.latest()
        if "gone" in streams:
            gone = decode_one(_GONE, streams["gone"], len(state), Side(near=state.near))[:, 0]
            state = state.kept(gone == 0)
        state = state.moved(motion.decode(streams, state))
        state = residual.corrected(state, *residual.decode(streams, state))
        if "new" in streams:
            state = state.with_rows(_decode_new(streams["new"], state))
        self.state = state

    def latest(self) -> State:
        if self.state is None:
            raise UnreadableError("the stream starts without a key frame")
        return self.state

    def scene(self) -> Scene:
        return self.latest().scene()


class _Encoder(FrameEncoder):
    """of: for every row that the decoder has, its row in the last source frame. pruned: source rows that the codec
    gave up, which go on being given up as long as they can be followed."""

    def __init__(self, codec: StreamCodec, ctx: Context) -> None:
        self._codec, self._ctx, self._decoder = codec, ctx, _Decoder()
        self._source: Scene | None = None
        self._of = np.zeros(0, np.int64)
        self._motion: F64 | None = None

    def scene(self) -> Scene:
        return self._decoder.scene()

    def key(self, scene: Scene) -> Streams:
        streams, self._of = encode_key(scene, DefaultCodec(quality=self._codec.quality), self._ctx)
        self._decoder.key(streams)
        self._source = scene
        return streams

    def residual(self, scene: Scene) -> Streams | None:
        assert self._source is not None
        if scene.splats.sh_degree != self._source.splats.sh_degree:
            return None
        found = match(self._source, scene, self._motion)
        if 1 - found.share > _MOST_NEW:
            return None
        here = np.full(len(self._source) + 1, -1)
        here[found.of] = np.arange(len(scene))
        here[-1] = -1
        now = here[self._of]
        new = np.flatnonzero(found.of < 0)
        streams = self._encoded(now, new, scene)
        self._decoder.residual(streams)
        self._motion, self._source = found.motion, scene
        return streams

    def _encoded(self, now: I64, new: I64, scene: Scene) -> dict[str, bytes]:
        """now: source row of every row that the decoder has, -1 for none. new: source rows that are new."""
        streams: dict[str, bytes] = {}
        state = self._decoder.latest()
        gone = now < 0
        if gone.any():
            streams["gone"] = encode_one(_GONE, gone[:, None].astype(np.int64), Side(near=state.near))
            state, now = state.kept(~gone), now[~gone]
        target = Target.of(scene.splats.take(now), state)
        moving = motion.encode(_change(state, target), state, _NODE_STEP * float(np.median(state.position_steps())))
        streams |= moving.streams
        state = state.moved(moving.change)
        streams |= residual.encode(target.symbols(state, self._codec.dead_zone), state)
        if len(new):
            streams["new"], new = _encode_new(scene.splats.take(new), new, state)
        self._of = np.concatenate([now, new])
        return streams


def _change(state: State, target: Target) -> Change:
    """The motion of the whole, then of the nodes where they are worth their bits, then what fades alike for all."""
    steps = state.position_steps()
    weights = 1 / steps**2
    whole = whole_motion(state.means, target.means, weights)
    graph, nodes = state.graph, np.zeros((len(state.graph), 7))
    moved, growth = applied(state.means, graph, nodes, whole)
    if len(graph):
        fitted = node_motions(state.means, _undone(target.means, whole), weights, graph)
        bent, grown = applied(state.means, graph, fitted, whole)
        if _bits(target.means - moved, steps) - _bits(target.means - bent, steps) > _NODE_BITS * len(graph):
            nodes, growth = fitted, grown
    return Change(whole, nodes, target.fade(state, growth))


def _bits(off: F64, steps: F64) -> float:
    """What residuals cost, roughly."""
    return float(np.log2(1 + (off / steps[:, None]) ** 2).sum())


def _undone(points: F64, whole: F64) -> F64:
    g = whole[:3]
    away = (points - whole[4:]) * np.exp(-whole[3])
    cross = np.cross(-g, away)
    return away + 2 * (cross + np.cross(-g, cross)) / (1 + (g * g).sum())


def _encode_new(splats: Splats, rows: I64, state: State) -> tuple[bytes, I64]:
    """New Gaussians with the classes of the present ones nearest to them; and their source rows in coded order."""
    box = Box.around(splats.means)
    sequence = order(box, splats.means)
    splats, rows = splats.take(sequence), rows[sequence]
    none = np.zeros((len(state), 0))
    like, _ = nearest(state.means, splats.means.astype(np.float64), none, np.zeros((len(rows), 0)))
    typical = [int(np.median(c)) if len(state) else 3 for c in (state.classes.shape, state.classes.colour)]
    classes = Classes(
        np.where(like >= 0, np.append(state.classes.shape, typical[0])[like], typical[0]),
        np.where(like >= 0, np.append(state.classes.colour, typical[1])[like], typical[1]),
    )
    shared = replace(state.shared, box=box)
    base, near = encode_base(splats, classes, shared)
    scaled = shared.basis.analyse(splats.sh[:, 1:]) / shared.steps.of("sh", classes.colour)[:, None]
    bands = encode_bands(np.floor(scaled + 0.5).astype(np.int64), classes, near, shared)
    parts = {"box": box.pack(), "base": pack_streams(base)}
    parts |= {f"band{k}": pack_streams(band) for k, band in enumerate(bands)}
    return pack_streams(parts), rows


def _decode_new(data: bytes, state: State) -> Key:
    parts = unpack_streams(data)
    shared = replace(state.shared, box=Box.unpack(parts["box"]))
    bands = [unpack_streams(parts[f"band{k}"]) for k in range(len(colour.bands(shared.sh_columns)))]
    return replace(decode_block(unpack_streams(parts["base"]), bands, shared), shared=state.shared)
