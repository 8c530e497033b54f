"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 2004), as everyone reports it for splats.

Gaussian window of 11x11, sigma 1.5; K1 = 0.01, K2 = 0.03; biased (population) covariances; per channel, then the
mean. Borders: like scikit-image with ``gaussian_weights``, only pixels whose window lies inside count. (The 3DGS
trainer pads with zeros instead, which lands a little higher: ``border="zeros"`` does the same.)
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError
from gscompress.metrics.psnr import Picture, pair

RADIUS, SIGMA = 5, 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim(first: Picture, second: Picture, *, border: Literal["inside", "zeros"] = "inside") -> float:
    """Mean SSIM, 1 for equal pictures. Raises UsageError for shapes that differ and pictures under 11x11 pixels."""
    a, b = pair(first, second)
    if min(a.shape[:2]) <= 2 * RADIUS:
        raise UsageError(f"SSIM needs pictures of at least 11x11 pixels, got {a.shape[1]}x{a.shape[0]}")
    mean_a, mean_b = _blur(a, border), _blur(b, border)
    product, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    covariance = _blur(a * b, border) - product
    variances = _blur(a * a + b * b, border) - squares
    score = (2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))
    return float(score.mean(dtype=np.float64))


def _blur(picture: npt.NDArray[np.float32], border: str) -> npt.NDArray[Any]:
    """Weigh every window, one axis after the other."""
    if border == "zeros":
        picture = np.pad(picture, [(RADIUS, RADIUS)] * 2 + [(0, 0)] * (picture.ndim - 2))
    steps = np.arange(-RADIUS, RADIUS + 1)
    weights = np.exp(-0.5 * (steps / SIGMA) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        length = picture.shape[axis] - 2 * RADIUS
        front = np.moveaxis(picture, axis, 0)
        total = weights[RADIUS] * front[RADIUS : RADIUS + length]
        for k in range(RADIUS):
            total += weights[k] * (front[k : k + length] + front[2 * RADIUS - k : 2 * RADIUS - k + length])
        picture = np.moveaxis(total, 0, axis)
    return picture
