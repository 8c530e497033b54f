"""The geometry of multi-resolution hash grids (Müller et al. 2022): which entries a level has, and which it looks up.

Two software conventions: "nerfstudio" (its torch implementation: every level is hashed, vertices at x * resolution) and
"tcnn" (tiny-cuda-nn: levels that fit are stored densely, vertices half a cell off).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

I64 = npt.NDArray[np.int64]
PRIMES = (1, 2654435761, 805459861)
_MOST_LEVELS, _LARGEST, _FINEST = 64, 26, 1 << 20


@dataclass(frozen=True)
class Levels:
    """scales: (L,) vertices per unit length, float64. shift: added after scaling. strides: (L,) vertices per axis of a
    dense level, 0 for a hashed one. starts, sizes: (L,) rows of each level in the table of all."""

    scales: npt.NDArray[np.float64]
    shift: float
    strides: I64
    starts: I64
    sizes: I64

    @property
    def rows(self) -> int:
        return int(self.sizes.sum())

    def __len__(self) -> int:
        return len(self.sizes)

    def rows_of(self, level: int) -> slice:
        """Where a level lies in the table of all."""
        return slice(int(self.starts[level]), int(self.starts[level] + self.sizes[level]))

    def entries(self, level: int, vertices: npt.NDArray[Any]) -> I64:
        """(..., 3) whole vertex coordinates to rows within the level."""
        v = np.asarray(vertices, np.int64)
        stride = int(self.strides[level])
        if stride:
            return (v[..., 0] + stride * (v[..., 1] + stride * v[..., 2])) % self.sizes[level]
        mixed = (v[..., 0] * PRIMES[0]) ^ (v[..., 1] * PRIMES[1]) ^ (v[..., 2] * PRIMES[2])
        return mixed % self.sizes[level]


def scales_of(geometry: Mapping[str, Any]) -> list[float]:
    """What the software makes of levels, base, finest and indexing: vertices per unit length of every level.

    nerfstudio's torch grid computes in single precision, by which 2048 becomes 2047; the result belongs into geometry
    as "scales", so that nobody computes it again. Raises UsageError for impossible ones.
    """
    count, base, finest, _ = _sizes(geometry)
    growth = math.exp((math.log(finest) - math.log(base)) / (count - 1)) if count > 1 else 1.0
    if geometry.get("indexing") == "tcnn":
        return (np.exp2(np.arange(count) * math.log2(growth)) * base - 1).tolist()
    return np.floor(np.float32(base) * np.float32(growth) ** np.arange(count, dtype=np.float32)).tolist()


def levels_of(geometry: Mapping[str, Any]) -> Levels:
    """From geometry's levels, base, finest, log2_size, indexing and scales. Raises UsageError for impossible ones."""
    count, _, _, log2_size = _sizes(geometry)
    given = geometry["scales"] if "scales" in geometry else scales_of(geometry)
    try:
        scales = np.array(given, np.float64)
    except (TypeError, ValueError):
        scales = np.zeros(0)
    if scales.shape != (count,) or not (np.isfinite(scales).all() and (scales > 0).all() and (scales <= _FINEST).all()):
        raise UsageError("a hash grid's scales are out of range")
    largest = 1 << log2_size
    if geometry["indexing"] == "nerfstudio":
        strides, sizes, shift = np.zeros(count, np.int64), np.full(count, largest, np.int64), 0.0
    else:
        vertices = np.ceil(scales).astype(np.int64) + 1
        sizes = np.minimum(-(-(vertices**3) // 8) * 8, largest)
        strides, shift = np.where(vertices**3 <= sizes, vertices, 0), 0.5
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    return Levels(scales, shift, strides.astype(np.int64), starts, sizes.astype(np.int64))


def _sizes(geometry: Mapping[str, Any]) -> tuple[int, int, float, int]:
    """levels, base, finest, log2_size. Raises UsageError."""
    try:
        count, base, finest = int(geometry["levels"]), int(geometry["base"]), float(geometry["finest"])
        log2_size, indexing = int(geometry["log2_size"]), geometry["indexing"]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"a hash grid's geometry is incomplete ({error})") from None
    within = 0 < count <= _MOST_LEVELS and 0 < log2_size <= _LARGEST and 0 < base <= finest <= _FINEST
    if not within or indexing not in ("nerfstudio", "tcnn"):
        raise UsageError("a hash grid's geometry is out of range")
    return count, base, finest, log2_size
