"""A plane's features times a line's at points in a box, and the gradients of both: numba, one thread.

Features lie side by side in memory, so that one point reads four runs of the plane and two of the line.
``lookup_twin`` is the same in plain numpy.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Axes = tuple[int, int, int]
"""Which coordinates run along the plane's columns, along its rows, and along the line."""
PLANES: tuple[Axes, ...] = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
"""The three pairs of a VM decomposition (Chen et al. 2022)."""


def lookup(places: F32, axes: Axes, plane: F32, line: F32) -> F32:
    """(S, 3) places in [0, 1], plane (H, W, R), line (N, R) to (S, R): bilinear times linear, ends on the first and
    last samples (align_corners)."""
    out = np.empty((len(places), plane.shape[2]), np.float32)
    _forwards(np.ascontiguousarray(places), *axes, np.ascontiguousarray(plane), np.ascontiguousarray(line), out)
    return out


def pull_back(places: F32, axes: Axes, plane: F32, line: F32, grad: F32) -> tuple[F32, F32]:
    """Gradients of plane (H, W, R) and line (N, R) from those of the products (S, R)."""
    d_plane, d_line = np.zeros(plane.shape, np.float32), np.zeros(line.shape, np.float32)
    arrays = (np.ascontiguousarray(a) for a in (plane, line, grad))
    _backwards(np.ascontiguousarray(places), *axes, *arrays, d_plane, d_line)
    return d_plane, d_line


def lookup_twin(places: F32, axes: Axes, plane: F32, line: F32) -> F32:
    """``lookup``, slow and obvious."""
    out = np.zeros((len(places), plane.shape[2]))
    for s, place in enumerate(places.astype(np.float64)):
        sizes = plane.shape[1], plane.shape[0], len(line)
        at = [np.clip(place[axis], 0, 1) * (size - 1) for axis, size in zip(axes, sizes)]
        low = [min(int(x), max(size - 2, 0)) for x, size in zip(at, sizes)]
        share = [x - k for x, k in zip(at, low)]
        across = np.zeros(plane.shape[2])
        for dy, dx in np.ndindex(2, 2):
            weight = (share[0] if dx else 1 - share[0]) * (share[1] if dy else 1 - share[1])
            across += weight * plane[min(low[1] + dy, sizes[1] - 1), min(low[0] + dx, sizes[0] - 1)]
        along = (1 - share[2]) * line[low[2]] + share[2] * line[min(low[2] + 1, sizes[2] - 1)]
        out[s] = across * along
    return out.astype(np.float32)


@nb.njit(inline="always")
def _cell(x: float, size: int) -> tuple[int, int, float]:
    """Sample below, sample above, and how far towards the latter."""
    at = min(max(x, np.float32(0)), np.float32(1)) * np.float32(size - 1)
    low = min(np.int64(at), max(size - 2, 0))
    return low, min(low + 1, size - 1), at - np.float32(low)


@nb.njit(cache=True, nogil=True)
def _forwards(places: F32, a: int, b: int, c: int, plane: F32, line: F32, out: F32) -> None:
    one = np.float32(1)
    for s in range(len(places)):
        x0, x1, u = _cell(places[s, a], plane.shape[1])
        y0, y1, v = _cell(places[s, b], plane.shape[0])
        z0, z1, w = _cell(places[s, c], len(line))
        w00, w01, w10, w11 = (one - u) * (one - v), u * (one - v), (one - u) * v, u * v
        p00, p01, p10, p11 = plane[y0, x0], plane[y0, x1], plane[y1, x0], plane[y1, x1]
        l0, l1, row = line[z0], line[z1], out[s]
        for r in range(plane.shape[2]):
            across = w00 * p00[r] + w01 * p01[r] + w10 * p10[r] + w11 * p11[r]
            row[r] = across * ((one - w) * l0[r] + w * l1[r])


@nb.njit(cache=True, nogil=True)
def _backwards(
    places: F32, a: int, b: int, c: int, plane: F32, line: F32, grad: F32, d_plane: F32, d_line: F32
) -> None:
    one = np.float32(1)
    across = np.empty(plane.shape[2], np.float32)
    for s in range(len(places)):
        x0, x1, u = _cell(places[s, a], plane.shape[1])
        y0, y1, v = _cell(places[s, b], plane.shape[0])
        z0, z1, w = _cell(places[s, c], len(line))
        w00, w01, w10, w11 = (one - u) * (one - v), u * (one - v), (one - u) * v, u * v
        p00, p01, p10, p11 = plane[y0, x0], plane[y0, x1], plane[y1, x0], plane[y1, x1]
        l0, l1, g = line[z0], line[z1], grad[s]
        for r in range(plane.shape[2]):
            across[r] = g[r] * ((one - w) * l0[r] + w * l1[r])
        # One run at a time: two of them may be the same, and what is added to one must be seen by the other.
        for y, x, weight in ((y0, x0, w00), (y0, x1, w01), (y1, x0, w10), (y1, x1, w11)):
            to = d_plane[y, x]
            for r in range(plane.shape[2]):
                to[r] += weight * across[r]
        for r in range(plane.shape[2]):
            across[r] = g[r] * (w00 * p00[r] + w01 * p01[r] + w10 * p10[r] + w11 * p11[r])
        for z, weight in ((z0, one - w), (z1, w)):
            end = d_line[z]
            for r in range(plane.shape[2]):
                end[r] += weight * across[r]
