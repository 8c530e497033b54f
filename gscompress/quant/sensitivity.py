"""How much a picture changes when a stored parameter changes: the currency of every lossy choice.

For a picture I(theta) and independent noise e on the parameters, E|I(theta + e) - I(theta)|^2 = sum_i h_i Var(e_i) with
h_i = sum over pixels and channels of (dI/dtheta_i)^2. Drawing every pixel's sign r = +-1 at random gives, with one
backward pass of <r, I>, g = J^T r and E[g_i^2] = h_i (Hutchinson's estimator; quantization.md 3.2). Sums run over all
cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.quant.probe import COLUMNS, add
from gscompress.scene import Scene

if TYPE_CHECKING:
    from gscompress.renderers.base import Image

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """h per parameter, squared picture error (sum over pixels and channels, all cameras) per squared unit.

    means (N, 3): along the Gaussian's own axes. log_scales (N, 3). turns (N, 3): radians about its own axes.
    logit_opacities (N,). dc (N, 3). sh (N,): mean over the higher coefficients. contribution (N,): sum of blending
    weights.
    pixels: number of pixels and channels over which the sums ran.
    """

    means: F64
    log_scales: F64
    turns: F64
    logit_opacities: F64
    dc: F64
    sh: F64
    contribution: F64
    pixels: int


def measure(scene: Scene, ctx: Context, probes: int = 1) -> Sensitivity:
    """Estimate sensitivities from ``ctx.cameras`` with ``probes`` random sign pictures each. Deterministic in
    ctx.seed."""
    renderer = ctx.need_renderer("measuring sensitivities")
    rng = np.random.default_rng(ctx.seed)
    columns = np.zeros((len(scene), COLUMNS))
    quats = np.ascontiguousarray(scene.splats.quats, np.float64)
    pixels = 0

    def signs(image: Image) -> npt.NDArray[np.float32]:
        return (rng.integers(0, 2, image.rgb.shape, dtype=np.int8) * 2 - 1).astype(np.float32)

    with ctx.log.phase("Measuring sensitivities", len(ctx.cameras)) as tick:
        for camera in ctx.cameras:
            for _ in range(probes):
                _, g = renderer.render_with_grad(scene, camera, signs)
                add(columns, quats, g.means, g.log_scales, g.quats, g.logit_opacities, g.sh, g.contribution)
            pixels += camera.width * camera.height * 3
            tick(1)
    columns /= probes
    means, log_scales, turns, dc = np.split(columns[:, :12], 4, axis=1)
    return Sensitivity(means, log_scales, turns, columns[:, 12], dc, columns[:, 13], columns[:, 14], pixels)
