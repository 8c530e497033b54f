"""Losses of a picture against a target: value and gradient with respect to the picture.

A target is uint8 (0 to 255) or floating point (about 0 to 1), of the picture's shape (H, W, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.tune.ssim import ssim_with_grad

F32 = npt.NDArray[np.float32]
Loss = Callable[[F32, npt.NDArray[Any]], tuple[float, F32]]


def as_floats(target: npt.NDArray[Any]) -> F32:
    """A target as float32 in about [0, 1]."""
    floats = target.astype(np.float32)
    return floats * np.float32(1 / 255) if target.dtype == np.uint8 else floats


def squared(rgb: F32, target: npt.NDArray[Any]) -> tuple[float, F32]:
    """Sum of squared differences."""
    difference = rgb - as_floats(target)
    return float(np.vdot(difference, difference)), 2 * difference


def photo(rgb: F32, target: npt.NDArray[Any], dssim: float = 0.2) -> tuple[float, F32]:
    """(1 - dssim) times the mean absolute difference plus dssim times (1 - SSIM), as 3DGS trains (Kerbl et al. 2023).

    SSIM: 11x11 Gaussian window, sigma 1.5, zeros beyond the border, like the 3DGS trainer.
    """
    wanted = as_floats(target)
    difference = rgb - wanted
    value = (1 - dssim) * float(np.abs(difference).mean(dtype=np.float64))
    gradient = np.sign(difference) * np.float32((1 - dssim) / difference.size)
    if dssim:
        score, slope = ssim_with_grad(rgb, wanted)
        value += dssim * (1 - score)
        gradient -= np.float32(dssim) * slope
    return value, gradient
