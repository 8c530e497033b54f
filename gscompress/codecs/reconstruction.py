"""What a default-codec file will decode to, without writing it: the codec's rounding alone, for tuning with it in the
loop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gscompress.codecs import geometry
from gscompress.codecs.colour import LUMA_CHROMA
from gscompress.codecs.geometry import LEAST, Classes, Turns
from gscompress.codecs.part import Shared, log2_cells
from gscompress.codecs.positions import Box, cell_centres, encode_coarse, order, wanted_levels
from gscompress.codecs.synthesis import quats_from_parameters
from gscompress.quant.exact_blocks import log_opacities_to_logits, sharpen
from gscompress.quant.rotation import sort_axes
from gscompress.scene import Splats

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def known_levels(box: Box, means: F32) -> I64:
    """(N,) binary level at which the tree of positions leaves each point alone, for rows in any order."""
    rows = order(box, means)
    known = np.empty(len(means), np.int64)
    known[rows] = encode_coarse(box, means[rows])[2]
    return known


def centres(box: Box, means: F32, depth: I64) -> F32:
    """Means (N, 3) as they decode when ``depth`` (N,) binary levels of them are sent."""
    bits = (depth[:, None] + 2 - np.arange(3)) // 3
    missing = np.maximum(30 - bits, 0)
    return cell_centres(box.to_grid(means) >> missing << missing, depth, box)


def shapes(splats: Splats, classes: Classes, shared: Shared, known: I64) -> Splats:
    """``splats`` with everything but colour as it decodes, axes by descending scale. known: of ``known_levels``."""
    steps = shared.steps
    log_scales, axes = sort_axes(splats.log_scales, splats.quats)
    symbols = geometry.round_scales(geometry.widen(log_scales, steps.blur), steps, classes)
    scales = geometry.restored_scales(symbols, steps, classes)
    opacity = geometry.round_opacities(log_opacity(splats.logit_opacities), steps, classes)
    turns = Turns.given(steps, classes, scales)
    face, warped, angle = turns.round(axes)
    wanted = wanted_levels(shared.box, log2_cells(steps, classes, scales))
    found = Splats(
        centres(shared.box, splats.means, np.maximum(known, wanted)),
        np.empty_like(splats.log_scales),
        np.empty_like(splats.quats),
        np.empty_like(splats.logit_opacities),
        splats.sh,
    )
    sharpen(scales, steps.blur, found.log_scales)
    quats_from_parameters(face, turns.parameters(warped, angle), turns.lead, found.quats)
    t = np.maximum(opacity * steps.of("opacity", classes.shape), LEAST)
    log_opacities_to_logits(t, found.logit_opacities)
    return found


def log_opacity(logits: F32) -> F64:
    """-ln(opacity) (N,)."""
    return np.logaddexp(0.0, -logits.astype(np.float64))


def colours(dc: F32, sh: F32, classes: Classes, shared: Shared) -> F32:
    """(N, K, 3) as it decodes, from DC (N, 3) in luma and chroma and coefficients (N, columns) in the fitted basis."""
    step = shared.steps.of("dc", classes.colour)[:, None]
    offset = np.asarray(shared.steps.dc_offset)
    base = (offset + np.floor((dc - offset) / step + 0.5) * step) @ LUMA_CHROMA
    out = np.empty((len(dc), shared.sh_columns // 3 + 1, 3), np.float32)
    out[:, 0] = base
    if shared.sh_columns:
        step32 = shared.steps.of("sh", classes.colour)[:, None].astype(np.float32)
        higher = np.floor(sh / step32 + np.float32(0.5)) * step32
        out[:, 1:] = (higher @ shared.basis.matrix.astype(np.float32)).reshape(len(dc), -1, 3)
    return out
