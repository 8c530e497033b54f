"""Multi-resolution hash grid (Müller et al. 2022, "Instant neural graphics primitives"): positions to
features and back.

Positions are contracted to a cube first: p = (x - centre) / radius stays as it is inside the unit ball and becomes
(2 - 1 / |p|) p / |p| outside (Mip-NeRF 360), then [-2, 2] maps to [0, 1]. Level l looks up the eight corners of a cell
of a grid of ``cells[l]`` cells per axis, directly where they fit the table and hashed where not, and interpolates
linearly. Only exactly rounded operations in a fixed order (no fastmath): every machine decodes to the same bits.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
FEATURES = 2  # per table entry
_PRIME_Y, _PRIME_Z = np.uint64(2654435761), np.uint64(805459861)


def resolutions(levels: int, coarsest: int, finest: int) -> I64:
    """(levels,) cells per axis, a geometric row."""
    if levels == 1:
        return np.array([coarsest], np.int64)
    growth = (finest / coarsest) ** (1 / (levels - 1))
    # The small addend keeps a power that is a whole number from falling below it on some machine.
    return np.floor(coarsest * growth ** np.arange(levels) + 1e-6).astype(np.int64)


@nb.njit(cache=True, nogil=True)
def contract(means: F32, centre: F64, radius: float) -> F64:
    """(N, 3) positions in [0, 1]; what is not finite lands in the middle."""
    out = np.empty(means.shape, np.float64)
    for i in range(len(means)):
        x = (np.float64(means[i, 0]) - centre[0]) / radius
        y = (np.float64(means[i, 1]) - centre[1]) / radius
        z = (np.float64(means[i, 2]) - centre[2]) / radius
        length = math.sqrt(x * x + y * y + z * z)
        factor = 1.0
        if length > 1.0:
            factor = (2.0 - 1.0 / length) / length
        if not length < 1e30:
            factor = x = y = z = 0.0
        out[i, 0], out[i, 1], out[i, 2] = 0.5 + 0.25 * factor * x, 0.5 + 0.25 * factor * y, 0.5 + 0.25 * factor * z
    return out


@nb.njit(inline="always")
def _place(x: np.uint64, y: np.uint64, z: np.uint64, side: np.uint64, dense: bool, mask: np.uint64) -> np.uint64:
    if dense:
        return (z * side + y) * side + x
    return (x ^ (y * _PRIME_Y) ^ (z * _PRIME_Z)) & mask


@nb.njit(cache=True, nogil=True)
def look_up(start: int, stop: int, cube: F64, cells: I64, table: F32, out: F32) -> None:
    """Features of rows ``start`` to ``stop``, into ``out`` (N, 2 L).

    cube: (N, 3) in [0, 1]. cells: (L,) per axis. table: (L, T, 2), T a power of two.
    """
    one, mask = np.uint64(1), np.uint64(table.shape[1] - 1)
    for level in range(len(cells)):
        side = np.uint64(cells[level] + 1)
        dense = (cells[level] + 1) ** 3 <= table.shape[1]
        entries = table[level]
        n = np.float64(cells[level])
        for i in range(start, stop):
            x, y, z = cube[i, 0] * n, cube[i, 1] * n, cube[i, 2] * n
            x0, y0, z0 = min(math.floor(x), n - 1.0), min(math.floor(y), n - 1.0), min(math.floor(z), n - 1.0)
            fx, fy, fz = np.float32(x - x0), np.float32(y - y0), np.float32(z - z0)
            u, v, w = np.uint64(x0), np.uint64(y0), np.uint64(z0)
            first, second = np.float32(0), np.float32(0)
            for corner in range(8):
                a, b, c = np.uint64(corner & 1), np.uint64((corner >> 1) & 1), np.uint64(corner >> 2)
                place = _place(u + a, v + b, w + c, side, dense, mask)
                weight = fx if a == one else np.float32(1) - fx
                weight *= fy if b == one else np.float32(1) - fy
                weight *= fz if c == one else np.float32(1) - fz
                first += weight * entries[place, 0]
                second += weight * entries[place, 1]
            out[i, 2 * level], out[i, 2 * level + 1] = first, second


@nb.njit(cache=True, nogil=True)
def scatter(start: int, stop: int, rows: I64, cube: F64, cells: I64, gradient: F32, out: F32) -> None:
    """Add dL/d features, (len(rows), 2 L) of the rows in question, to dL/d table for levels ``start`` to ``stop``."""
    one, mask = np.uint64(1), np.uint64(out.shape[1] - 1)
    for level in range(start, stop):
        side = np.uint64(cells[level] + 1)
        dense = (cells[level] + 1) ** 3 <= out.shape[1]
        entries = out[level]
        n = np.float64(cells[level])
        for k in range(len(rows)):
            i = rows[k]
            x, y, z = cube[i, 0] * n, cube[i, 1] * n, cube[i, 2] * n
            x0, y0, z0 = min(math.floor(x), n - 1.0), min(math.floor(y), n - 1.0), min(math.floor(z), n - 1.0)
            fx, fy, fz = np.float32(x - x0), np.float32(y - y0), np.float32(z - z0)
            u, v, w = np.uint64(x0), np.uint64(y0), np.uint64(z0)
            first, second = gradient[k, 2 * level], gradient[k, 2 * level + 1]
            for corner in range(8):
                a, b, c = np.uint64(corner & 1), np.uint64((corner >> 1) & 1), np.uint64(corner >> 2)
                place = _place(u + a, v + b, w + c, side, dense, mask)
                weight = fx if a == one else np.float32(1) - fx
                weight *= fy if b == one else np.float32(1) - fy
                weight *= fz if c == one else np.float32(1) - fz
                entries[place, 0] += weight * first
                entries[place, 1] += weight * second
