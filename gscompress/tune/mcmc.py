"""3DGS-MCMC (Kheradmand et al., NeurIPS 2024): a Gaussian budget, dead Gaussians moved to live ones, noise on means.

n copies of a Gaussian with opacity o look like it when each has opacity o' = 1 - (1 - o)^(1/n) and its scales times
o / sum_k C(n, k+1) (-1)^k o'^(k+1) / sqrt(k+1), k = 0 … n-1 (their eq. 9, with the inner sum done).
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt

from gscompress.frame import quat_to_matrix
from gscompress.tune.growing import F64, I64, GrowingModel

DEAD = 0.005  # opacity
GROWTH = 1.05
MOST_COPIES = 51
SCALE_WEIGHT = OPACITY_WEIGHT = 0.01
_NOISE = 5e5  # times the rate of means, per unit of covariance
_SHARPNESS, _FAINT = 100.0, 0.005  # noise is for Gaussians fainter than about this


class Mcmc:
    """What happens between updates. budget: most Gaussians. rate: of means, in scene units.

    Relocation and growth take place every ``interval`` updates from 2 % to 83 % of ``steps``.
    """

    def __init__(self, model: GrowingModel, budget: int, steps: int, rate: float, seed: int) -> None:
        self._model, self._budget, self._steps, self._rate = model, budget, steps, rate
        self._interval = min(100, max(10, steps // 100))
        self._rng = np.random.default_rng(seed)
        model.opacity_weight, model.scale_weight = OPACITY_WEIGHT, SCALE_WEIGHT

    def __call__(self, done: int) -> None:
        """After update number ``done``."""
        if done % self._interval == 0 and 0.02 < done / self._steps < 0.83:
            self._relocate()
        if done < self._steps:
            self._shake(0.5 + 0.5 * float(np.cos(np.pi * done / self._steps)))

    def _relocate(self) -> None:
        """Dead Gaussians, and those that the budget still allows, become copies of live ones drawn by opacity."""
        model = self._model
        opacity = model.opacities()
        alive = np.flatnonzero(opacity > DEAD)
        if not len(alive):
            return
        count = max(len(model), min(self._budget, int(GROWTH * len(model)) + 1))
        copies = self._rng.choice(alive, count - len(alive), p=opacity[alive] / opacity[alive].sum())
        times = np.bincount(copies, minlength=len(model)) + 1
        rows = np.concatenate([alive, copies])
        shared = times[rows] > 1
        model.rearrange(rows, shared)
        logits, log_factor = split_alike(opacity[rows[shared]], np.minimum(times[rows[shared]], MOST_COPIES))
        model.value("logit_opacities")[shared, 0] = logits
        model.value("log_scales")[shared] += log_factor[:, None].astype(np.float32)

    def _shake(self, factor: float) -> None:
        """Noise along each faint Gaussian's own shape, so that it explores."""
        opacity = self._model.opacities()
        weight = 1 / (1 + np.exp(np.minimum(_SHARPNESS * (opacity - _FAINT), 50.0)))
        rows = np.flatnonzero(weight > 1e-4)
        turn = quat_to_matrix(self._model.value("quats")[rows])
        variances = np.exp(2.0 * self._model.value("log_scales")[rows])
        noise = self._rng.normal(size=(len(rows), 3, 1)) * (weight[rows] * _NOISE * self._rate * factor)[:, None, None]
        along = turn @ (variances[:, :, None] * (np.swapaxes(turn, 1, 2) @ noise))
        self._model.value("means")[rows] += along[:, :, 0].astype(np.float32)


def split_alike(opacity: F64, copies: I64) -> tuple[npt.NDArray[np.float32], F64]:
    """Logit opacity of each of ``copies`` Gaussians that together look like one of ``opacity``, and what to add to its
    log scales. Both (N,)."""
    opacity = np.clip(opacity, DEAD, 1 - 1e-6)
    each = np.clip(1 - (1 - opacity) ** (1 / copies), DEAD, 1 - 1e-6)
    total = np.zeros(len(opacity))
    for k in range(int(copies.max(initial=0))):
        ways = np.array([comb(n, k + 1) for n in range(int(copies.max()) + 1)], np.float64)[copies]
        total += ways * (-1.0) ** k * each ** (k + 1) / np.sqrt(k + 1)
    return np.log(each / (1 - each)).astype(np.float32), np.log(opacity / total)
