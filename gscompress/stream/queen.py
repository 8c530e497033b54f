"""QUEEN (Girish et al., NeurIPS 2024): residual frames by learned integer latents and gated positions.

Every attribute of frame t is that of frame t - 1 plus D(l): integer latents l per Gaussian, a linear decoder D per
attribute and frame, tuned against renders with the gradient passed straight through the rounding. Positions move by a
full-precision residual behind a hard-concrete gate, whose first guess comes from the view-space gradient difference:
where the frame before, rendered against the new pictures, pulls harder than against its own, and where the matching
says that a Gaussian has moved by more than a position step.

As in the paper: numbers of latents, gate constants, float32 shifts and decoders, no prediction. Otherwise than there:
key frames are the default codec's; the tuning starts from matched Gaussians instead of from zero, because pseudo-views
of far motion have no gradients that lead there, and so it takes smaller steps and no first round on moving pixels
alone; new and vanished Gaussians are those of the matching; higher SH are residual, too; and what the paper estimates
by entropy is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import decode_one, encode_one
from gscompress.context import Context
from gscompress.entropy.float_columns import decode_columns, encode_columns
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError
from gscompress.scene import Scene, Splats
from gscompress.stream.base import FrameCodec, FrameDecoder, FrameEncoder, Streams
from gscompress.stream.matched import MatchedDecoder, MatchedEncoder
from gscompress.stream.precision import Precision
from gscompress.stream.queen_model import LARGEST, LATENTS, QueenModel, changed, columns_of
from gscompress.stream.residual import Steps
from gscompress.stream.state import State
from gscompress.stream.target import Target
from gscompress.tune.loop import fit
from gscompress.tune.targets import rendered

if TYPE_CHECKING:
    from gscompress.renderers.base import Image

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
_FINER = 0.25  # first guess of a latent's step, relative to that of a typical key frame row
_GATE = Shape(columns=1, first_classes=1, second_classes=1, signed=False)


@dataclass(frozen=True)
class QueenCodec(FrameCodec):
    """quality: 0 to 100, of key frames, and what sets the latents' steps.

    updates: of the latents, decoders, gates and shifts per frame. lasso: cost of an open gate. views: that it is tuned
    on.
    """

    quality: float = 50.0
    updates: int = 30
    lasso: float = 0.01
    views: int = 8

    name: ClassVar[str] = "queen"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = "Girish et al., QUEEN: quantized efficient encoding of dynamic Gaussians, NeurIPS 2024"

    def encoder(self, ctx: Context) -> FrameEncoder:
        return _Encoder(self, ctx)

    def decoder(self) -> FrameDecoder:
        return _Decoder()


class _Decoder(MatchedDecoder):
    def changed(self, streams: Streams, state: State) -> State:
        latents = {}
        for name, count in LATENTS.items():
            if f"{name}.latents" not in streams:
                continue
            columns = columns_of(state, name).shape[1]
            symbols = decode_one(_shape(count), streams[f"{name}.latents"], len(state), Side())
            decoder = np.frombuffer(streams[f"{name}.decoder"], "<f4").reshape(count, columns)
            if not np.isfinite(decoder).all():
                raise UnreadableError("a decoder of latents is not finite: the frame is corrupt")
            latents[name] = (np.clip(symbols, -LARGEST, LARGEST), decoder)
        shift = np.zeros((len(state), 3), np.float32)
        if "gate" in streams:
            rows = decode_one(_GATE, streams["gate"], len(state), Side(near=state.near))[:, 0] != 0
            shift[rows] = decode_columns(streams["shift"], int(rows.sum()), 3).view(np.float32)
            if not np.isfinite(shift).all():
                raise UnreadableError("a position's shift is not finite: the frame is corrupt")
        return changed(state, latents, shift.astype(np.float64))


class _Encoder(MatchedEncoder):
    def __init__(self, codec: QueenCodec, ctx: Context) -> None:
        super().__init__(codec.quality, ctx, _Decoder())
        self._codec = codec

    def changes(
        self, state: State, goal: Splats, before: Scene, now: Scene, precision: Precision | None
    ) -> dict[str, bytes]:
        if not len(state):
            return {}
        target = Target.of(goal, state)
        steps = Steps.of(state)
        typical = np.median(steps.shape, axis=0)
        step = {
            "widened": float(typical[:3].mean()),
            "quats": float(typical[3:6].mean()),
            "t": float(typical[6]),
            "colour": float(np.median(steps.colour)),
            "sh": float(np.median(steps.sh)),
        }
        step = {name: _FINER * value for name, value in step.items()}
        aim = {name: np.asarray(getattr(target, name)).reshape(len(state), -1) for name in (*LATENTS, "means")}
        aim["quats"] = _same_side(aim["quats"], state.quats)
        ctx = Context(self.ctx.seed, self.ctx.log, self.ctx.renderer, self.ctx.cameras[: self._codec.views])
        far = np.linalg.norm(aim["means"] - state.means, axis=1)
        likely = far / (far + state.grain)
        if ctx.renderer is not None and ctx.cameras:
            moved = gradient_difference(state.scene(), before, now, ctx)
            likely = np.maximum(likely, moved / np.maximum(moved + np.median(moved), 1e-30))
        model = QueenModel(state, aim, likely, step, self._codec.lasso, ctx.seed)
        if ctx.renderer is not None and ctx.cameras:
            aims = [rendered(ctx.renderer, now, camera) for camera in ctx.cameras]
            fit(model, aims, ctx, self._codec.updates, loss=_mean_squared, title="Tuning a frame")
        return _packed(model, state)


def gradient_difference(scene: Scene, before: Scene, now: Scene, ctx: Context) -> F64:
    """(N,) sum over views of |gradient of each projected centre for the new pictures minus that for the old ones|."""
    renderer = ctx.need_renderer("finding what moved")
    total = np.zeros(len(scene))
    for camera in ctx.cameras:
        pulls = []
        for source in (now, before):
            aim = renderer.render(source, camera).rgb

            def pull(image: Image, aim: Any = aim) -> F32:
                return _mean_squared(image.rgb, aim)[1]

            pulls.append(renderer.render_with_grad(scene, camera, pull)[1].means2d)
        total += np.linalg.norm(pulls[0] - pulls[1], axis=1)
    return total


def _packed(model: QueenModel, state: State) -> dict[str, bytes]:
    streams = {}
    for name, latents in model.latents.items():
        symbols = latents.symbols
        if symbols.any():
            streams[f"{name}.latents"] = encode_one(_shape(symbols.shape[1]), symbols, Side())
            streams[f"{name}.decoder"] = latents.decoder.astype("<f4").tobytes()
    gates = model.gates()
    rows = gates > 0
    if rows.any():
        shift = (gates[rows, None] * model.shifts()[rows]).astype(np.float32)
        streams["gate"] = encode_one(_GATE, rows[:, None].astype(np.int64), Side(near=state.near))
        streams["shift"] = encode_columns(np.ascontiguousarray(shift).view(np.uint32))
    return streams


def _mean_squared(rgb: F32, target: npt.NDArray[Any]) -> tuple[float, F32]:
    difference = rgb - target.astype(np.float32)
    return float(np.square(difference).mean()), difference * np.float32(2 / difference.size)


def _same_side(quats: F64, like: F64) -> F64:
    """q or -q, whichever is nearer."""
    return np.where(((quats * like).sum(1) < 0)[:, None], -quats, quats)


def _shape(columns: int) -> Shape:
    return Shape(columns=columns, first_classes=1, second_classes=1, signed=True)
