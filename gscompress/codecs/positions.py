"""Positions of the default codec: a tree of splits down to lone points, then as many bits as each Gaussian needs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.entropy.octree import LEVELS, encode_tree, morton_order
from gscompress.entropy.raw_bits import pack_refinement, unpack_refinement
from gscompress.errors import UnreadableError

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
_GRID = 1 << 30


@dataclass(frozen=True, slots=True)
class Box:
    """The cube that the integer grid fills: 2^30 cells per axis from ``origin`` (3,) over ``extent`` scene units."""

    origin: tuple[float, float, float]
    extent: float

    @staticmethod
    def around(means: npt.NDArray[Any]) -> Box:
        if not len(means):
            return Box((0.0, 0.0, 0.0), 1.0)
        low, high = means.min(0).astype(np.float64), means.max(0).astype(np.float64)
        span = float((high - low).max())
        # A power of two keeps every product below exact; the margin keeps the maximum inside the grid.
        extent = 2.0 ** np.ceil(np.log2(max(span, 1e-30) * (1 + 2.0**-20)))
        return Box((float(low[0]), float(low[1]), float(low[2])), float(extent))

    def to_grid(self, means: npt.NDArray[Any]) -> I64:
        cells = np.floor((np.asarray(means, np.float64) - self.origin) / self.extent * _GRID)
        return np.clip(cells, 0, _GRID - 1).astype(np.int64)

    def pack(self) -> bytes:
        return struct.pack("<4d", *self.origin, self.extent)

    @staticmethod
    def unpack(data: bytes) -> Box:
        if len(data) != 32:
            raise UnreadableError("the position box has a wrong length: the file is corrupt")
        x, y, z, extent = struct.unpack("<4d", data)
        if not np.isfinite([x, y, z, extent]).all() or extent <= 0:
            raise UnreadableError("the position box is not finite: the file is corrupt")
        return Box((x, y, z), extent)


def wanted_levels(box: Box, log2_cell: F64) -> I64:
    """Binary levels (N,) after which a cell is no larger than 2^log2_cell scene units on average over the axes."""
    levels = np.floor(3 * (np.log2(box.extent) - log2_cell) + 0.5)
    return np.clip(levels, 0, LEVELS).astype(np.int64)


def order(box: Box, means: npt.NDArray[Any]) -> I64:
    """The row order in which positions are coded (Morton order of the grid)."""
    return morton_order(box.to_grid(means))


def encode_coarse(box: Box, means: npt.NDArray[Any]) -> tuple[bytes, I64, I64]:
    """The tree stream; the coarse coordinates as the decoder will see them, and their known levels."""
    grid = box.to_grid(means)
    stream, known = encode_tree(grid)
    missing = 30 - (known[:, None] + 2 - np.arange(3)) // 3
    return stream, grid >> missing << missing, known


def encode_fine(box: Box, means: npt.NDArray[Any], known: I64, wanted: I64) -> bytes:
    return pack_refinement(box.to_grid(means), known, wanted)


def decode_fine(box: Box, data: bytes, coarse: I64, known: I64, wanted: I64) -> npt.NDArray[np.float32]:
    """Means (N, 3): the centres of the cells."""
    return cell_centres(unpack_refinement(data, coarse, known, wanted), np.maximum(known, wanted), box)


def cell_centres(cells: I64, depth: I64, box: Box) -> npt.NDArray[np.float32]:
    """Means (N, 3) from grid coordinates (N, 3) of which the first ``depth`` (N,) binary levels are known."""
    out = np.empty(cells.shape, np.float32)
    _centres(cells, depth, np.asarray(box.origin), box.extent / _GRID, out)
    return out


@nb.njit(cache=True, nogil=True)
def _centres(cells: I64, depth: I64, origin: F64, unit: float, out: npt.NDArray[np.float32]) -> None:
    for i in range(len(cells)):
        for axis in range(3):
            missing = 30 - (depth[i] + 2 - axis) // 3
            half = np.int64(1) << (missing - 1) if missing > 0 else np.int64(0)
            out[i, axis] = np.float32(origin[axis] + np.float64(cells[i, axis] + half) * unit)
