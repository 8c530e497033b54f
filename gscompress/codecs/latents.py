"""What tuning moves: the values behind a default-codec file before rounding, and the grid that each is rounded to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gscompress.codecs.colour import LUMA_CHROMA
from gscompress.codecs.geometry import LEAST, widen
from gscompress.codecs.part import Shared
from gscompress.codecs.plan import Plan
from gscompress.codecs.reconstruction import log_opacity
from gscompress.quant.exact_blocks import log_opacities_to_logits, sharpen
from gscompress.scene import Splats

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Latents(NamedTuple):
    """Rows of a plan; arrays that kernels change in place.

    means (N, 3). scales (N, 3): logs, widened by the blur, axes in any order. quats (N, 4): unit wxyz. opacities (N,):
    -ln(opacity). colours (N, 3 + columns): luma and chroma from their offset, then the fitted basis, in steps.
    """

    means: F32
    scales: F64
    quats: F64
    opacities: F64
    colours: F32


class Grid(NamedTuple):
    """Steps of every row, as ``Steps`` gives them.

    scale, opacity (N,). position (N,): log2 of sigmas. turn (N,): radians at an axis ratio of the golden mean. colour
    (N, 2): of DC and of higher SH. shapes, colours (N,): classes. box (4,): origin and extent. blur, offset: of scales.
    """

    scale: F64
    opacity: F64
    position: F64
    turn: F64
    colour: F32
    shapes: I64
    colours: I64
    box: F64
    blur: float
    offset: float


def grid_of(plan: Plan) -> Grid:
    steps, shape, colour = plan.shared.steps, plan.classes.shape, plan.classes.colour
    return Grid(
        steps.of("scale", shape),
        steps.of("opacity", shape),
        np.log2(steps.of("position", shape)),
        np.ldexp(steps.turn, shape.astype(np.int32)),
        np.stack([steps.of("dc", colour), steps.of("sh", colour)], 1).astype(np.float32),
        shape,
        colour,
        np.array([*plan.shared.box.origin, plan.shared.box.extent]),
        steps.blur,
        steps.scale_offset,
    )


def latents_of(plan: Plan, grid: Grid) -> Latents:
    splats, columns = plan.splats, plan.shared.sh_columns
    quats = splats.quats.astype(np.float64)
    colours = np.empty((len(splats), 3 + columns), np.float32)
    colours[:, :3] = (splats.sh[:, 0] @ LUMA_CHROMA.T - plan.shared.steps.dc_offset) / grid.colour[:, :1]
    if columns:
        colours[:, 3:] = plan.shared.basis.analyse(splats.sh[:, 1:]) / grid.colour[:, 1:]
    return Latents(
        np.array(splats.means, np.float32),
        widen(splats.log_scales.astype(np.float64), grid.blur),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.maximum(log_opacity(splats.logit_opacities), LEAST),
        colours,
    )


def splats_of(latents: Latents, plan: Plan, grid: Grid) -> Splats:
    """The reverse of ``latents_of``: splats that have not been rounded."""
    values = latents.colours.copy()
    values[:, :3] *= grid.colour[:, :1]
    values[:, 3:] *= grid.colour[:, 1:]
    matrix, offset = synthesis_of(plan.shared)
    sh = values @ matrix
    sh[:, :3] += offset
    log_scales, logits = np.empty(latents.scales.shape, np.float32), np.empty(len(latents.opacities), np.float32)
    sharpen(latents.scales, grid.blur, log_scales)
    log_opacities_to_logits(latents.opacities, logits)
    return Splats(
        latents.means.copy(),
        log_scales,
        latents.quats.astype(np.float32),
        logits,
        sh.reshape(plan.splats.sh.shape),
        plan.splats.extras,
    )


def synthesis_of(shared: Shared) -> tuple[F32, F32]:
    """(3 + columns, 3 + columns) from colour values to flattened SH, and what is added to the DC (3,)."""
    matrix = np.zeros((3 + shared.sh_columns, 3 + shared.sh_columns), np.float32)
    matrix[:3, :3] = LUMA_CHROMA
    matrix[3:, 3:] = shared.basis.matrix
    return matrix, (np.asarray(shared.steps.dc_offset) @ LUMA_CHROMA).astype(np.float32)
