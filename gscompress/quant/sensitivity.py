"""How much a picture changes when a stored parameter changes: the currency of every lossy choice.

For a picture I(theta) and independent noise e on the parameters, E|I(theta + e) - I(theta)|^2 = sum_i h_i Var(e_i) with
h_i = sum over pixels and channels of (dI/dtheta_i)^2. Drawing every pixel's sign r = +-1 at random gives, with one
backward pass of <r, I>, g = J^T r and E[g_i^2] = h_i (Hutchinson's estimator; quantization.md 3.2). Sums run over all
cameras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.scene import Scene

F64 = npt.NDArray[np.float64]
COLUMNS = 15
"""Of a renderer's ``squares``: see ``quant.probe``."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """h per parameter, squared picture error (sum over pixels and channels, all cameras by weight) per squared unit.

    means (N, 3): along the Gaussian's own axes. log_scales (N, 3). turns (N, 3): radians about its own axes.
    logit_opacities (N,). dc (N, 3). sh (N,): mean over the higher coefficients. contribution (N,): sum of blending
    weights.
    pixels: number of pixels and channels over which the sums ran, by weight.
    """

    means: F64
    log_scales: F64
    turns: F64
    logit_opacities: F64
    dc: F64
    sh: F64
    contribution: F64
    pixels: float

    def take(self, rows: npt.NDArray[Any]) -> Sensitivity:
        """Of some Gaussians, by index or mask."""
        return Sensitivity(
            self.means[rows],
            self.log_scales[rows],
            self.turns[rows],
            self.logit_opacities[rows],
            self.dc[rows],
            self.sh[rows],
            self.contribution[rows],
            self.pixels,
        )


def signs(shape: Sequence[int], *seed: int) -> npt.NDArray[np.float32]:
    """A picture of random signs, the same for the same seed."""
    drawn = np.random.default_rng(seed).integers(0, 2, shape, dtype=np.int8)
    return (drawn * 2 - 1).astype(np.float32)


def measure(scene: Scene, ctx: Context, probes: int = 1) -> Sensitivity:
    """Estimate sensitivities from ``ctx.cameras`` with ``probes`` random sign pictures each. Deterministic in
    ctx.seed."""
    renderer: Any = ctx.need_renderer("measuring sensitivities")

    def look(k: int, camera: Camera) -> F64:
        view = renderer.view(scene, camera)
        each = [renderer.squares(view, signs(view.image.rgb.shape, ctx.seed, k, probe)) for probe in range(probes)]
        return np.asarray(np.sum(each, axis=0, dtype=np.float64) * (camera.weight / probes))

    columns = np.zeros((len(scene), COLUMNS))
    for more in ctx.each_view("Measuring sensitivities", look):
        columns += more
    return from_squares(columns, ctx)


def from_squares(columns: F64, ctx: Context) -> Sensitivity:
    """(N, COLUMNS) a renderer's ``squares``, added up over the views of ``ctx`` by weight, by name."""
    means, log_scales, turns, dc = np.split(columns[:, :12], 4, axis=1)
    pixels = 3 * sum(camera.weight * camera.width * camera.height for camera in ctx.cameras)
    return Sensitivity(means, log_scales, turns, columns[:, 12], dc, columns[:, 13], columns[:, 14], pixels)
