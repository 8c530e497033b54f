"""Features of points in a multi-resolution hash grid, trilinear, and the gradient of the table: numba, one thread.

Level by level, so that one level's table stays in the cache. ``lookup_twin`` is the same in plain numpy.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.hash_levels import Levels

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
_Y, _Z = np.uint64(2654435761), np.uint64(805459861)


def lookup(points: F32, table: F32, levels: Levels) -> F32:
    """(S, 3) points in [0, 1] and (rows, F) table to (S, L * F), the features of a level side by side."""
    out = np.empty((len(points), len(levels) * table.shape[1]), np.float32)
    _walk(np.ascontiguousarray(points), np.ascontiguousarray(table), out, False, *_arguments(levels))
    return out


def pull_back(points: F32, grad: F32, levels: Levels, features: int) -> F32:
    """Gradient (rows, F) of the table from that of the features (S, L * F)."""
    out = np.zeros((levels.rows, features), np.float32)
    _walk(np.ascontiguousarray(points), out, np.ascontiguousarray(grad), True, *_arguments(levels))
    return out


def lookup_twin(points: F32, table: F32, levels: Levels) -> F32:
    """``lookup``, slow and obvious."""
    parts = []
    for level in range(len(levels)):
        place = points.astype(np.float64) * levels.scales[level] + levels.shift
        low = np.floor(place).astype(np.int64)
        share = place - low
        total = np.zeros((len(points), table.shape[1]))
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, share, 1 - share), -1)
            rows = levels.starts[level] + levels.entries(level, low + corner)
            total += weight[:, None] * table[rows]
        parts.append(total)
    return np.concatenate(parts, 1).astype(np.float32)


def _arguments(levels: Levels) -> tuple[Any, ...]:
    return levels.scales, levels.shift, levels.strides, levels.starts, levels.sizes


@nb.njit(cache=True, nogil=True)
def _walk(
    points: F32,
    table: F32,
    values: F32,
    backwards: bool,
    scales: npt.NDArray[np.float64],
    shift: float,
    strides: I64,
    starts: I64,
    sizes: I64,
) -> None:
    """Forwards: values from table. Backwards: values are gradients and are added up in table."""
    features = table.shape[1]
    rows = np.empty(8, np.int64)
    weights = np.empty(8, np.float32)
    for level in range(len(sizes)):
        size, stride, start = np.uint64(sizes[level]), np.uint64(strides[level]), starts[level]
        scale = scales[level]
        power = (size & (size - np.uint64(1))) == 0
        for s in range(len(points)):
            x, y, z = points[s, 0] * scale + shift, points[s, 1] * scale + shift, points[s, 2] * scale + shift
            fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
            u, v, w = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
            ix, iy, iz = np.uint64(np.int64(fx)), np.uint64(np.int64(fy)), np.uint64(np.int64(fz))
            for corner in range(8):
                dx, dy, dz = np.uint64(corner & 1), np.uint64((corner >> 1) & 1), np.uint64(corner >> 2)
                if stride:
                    mixed = ix + dx + stride * (iy + dy + stride * (iz + dz))
                else:
                    mixed = (ix + dx) ^ ((iy + dy) * _Y) ^ ((iz + dz) * _Z)
                entry = mixed & (size - np.uint64(1)) if power else mixed % size
                rows[corner] = start + np.int64(entry)
                across = (u if dx else 1 - u) * (v if dy else 1 - v)
                weights[corner] = across * (w if dz else 1 - w)
            for f in range(features):
                place = level * features + f
                if backwards:
                    g = values[s, place]
                    for corner in range(8):
                        table[rows[corner], f] += weights[corner] * g
                else:
                    total = np.float32(0)
                    for corner in range(8):
                        total += weights[corner] * table[rows[corner], f]
                    values[s, place] = total
