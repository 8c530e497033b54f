"""Peak signal-to-noise ratio of pictures in [0, 1] or in 8 bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

Picture = npt.NDArray[Any]
"""(H, W, 3) or (H, W), floating in [0, 1] or uint8."""


def eight_bit(picture: Picture) -> npt.NDArray[np.uint8]:
    """Clip to [0, 1] and round to 8 bits; uint8 passes through. Not-a-number becomes 0."""
    if picture.dtype == np.uint8:
        return picture
    return (np.nan_to_num(np.clip(picture, 0, 1)) * 255 + 0.5).astype(np.uint8)


def pair(first: Picture, second: Picture) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Both pictures as float32 in [0, 1]. Raises UsageError when shapes or kinds differ or there is no pixel."""
    if first.shape != second.shape or first.ndim not in (2, 3) or first.size == 0:
        raise UsageError(f"cannot compare pictures of shapes {first.shape} and {second.shape}")
    if (first.dtype == np.uint8) != (second.dtype == np.uint8):
        raise UsageError(f"cannot compare a {first.dtype} picture with a {second.dtype} one: round both or none")
    return _unit(first), _unit(second)


def mse(first: Picture, second: Picture) -> float:
    """Mean squared error over all pixels and channels, of values in [0, 1]."""
    if first.dtype == second.dtype == np.uint8 and first.shape == second.shape and first.size:
        difference = first.astype(np.int32) - second
        return float(np.square(difference, out=difference).sum(dtype=np.int64) / first.size / 255**2)
    a, b = pair(first, second)
    return float(np.square(a - b).mean(dtype=np.float64))


def psnr(first: Picture, second: Picture) -> float:
    """-10 log10(mse) in dB; infinite for equal pictures. Raises UsageError for shapes that differ."""
    error = mse(first, second)
    return -10 * math.log10(error) if error > 0 else math.inf


def _unit(picture: Picture) -> npt.NDArray[np.float32]:
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / np.float32(255)
    return np.nan_to_num(np.clip(picture, 0, 1)).astype(np.float32)
