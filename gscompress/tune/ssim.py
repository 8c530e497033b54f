"""Mean SSIM and its gradient. A picture's rows are taken as flat (W * 3) vectors, so that taps are whole-row shifts.

The window (separable, symmetric, zeros outside) is its own transpose: with local means m, mixed moments e and
S = (2 mx my + C1)(2 (exy - mx my) + C2) / ((mx^2 + my^2 + C1)(exx + eyy - mx^2 - my^2 + C2)), the gradient is
G * dS/dmx + y (G * dS/dexy) + 2 x (G * dS/dexx), where G * is the same blur.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numba as nb
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
_RADIUS, _SIGMA = 5, 1.5
_C1, _C2 = np.float32(0.01**2), np.float32(0.03**2)
_TAPS = np.exp(-0.5 * (np.arange(_RADIUS + 1) / _SIGMA) ** 2)
_TAPS = (_TAPS / (2 * _TAPS.sum() - 1)).astype(np.float32)


def ssim_with_grad(x: F32, y: F32) -> tuple[float, F32]:
    """Mean SSIM of two (H, W, 3) pictures in [0, 1] and its gradient (H, W, 3) with respect to ``x``."""
    height, width, channels = x.shape
    rows = height, width * channels
    flat_x, flat_y = (np.ascontiguousarray(p, np.float32).reshape(rows) for p in (x, y))
    moments = np.empty((4, *rows), np.float32)
    _moments(flat_x, flat_y, moments)
    _blur_all(moments, channels)
    total = _slopes(moments)
    _blur_all(moments[:3], channels)
    gradient = moments[0] + flat_y * moments[1] + 2 * flat_x * moments[2]
    gradient *= np.float32(1 / x.size)
    return total / x.size, gradient.reshape(x.shape)


def _blur_all(planes: F32, stride: int) -> None:
    """Blur every plane in place, on all cores."""
    with ThreadPoolExecutor(min(len(planes), _cores())) as pool:
        list(pool.map(lambda plane: _blur(plane, _TAPS, stride), planes))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@nb.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _moments(x: F32, y: F32, out: F32) -> None:
    """x, y, x^2 + y^2 and x y."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            a, b = x[i, j], y[i, j]
            out[0, i, j], out[1, i, j] = a, b
            out[2, i, j], out[3, i, j] = a * a + b * b, a * b


@nb.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _slopes(m: F32) -> float:
    """Sum of S; the planes become dS/dmx, dS/dexy and dS/dexx."""
    total = np.float64(0)
    for i in range(m.shape[1]):
        row = np.float32(0)
        for j in range(m.shape[2]):
            mx, my = m[0, i, j], m[1, i, j]
            product, squares = 2 * mx * my, mx * mx + my * my
            a1, a2 = product + _C1, 2 * m[3, i, j] - product + _C2
            b1, b2 = squares + _C1, m[2, i, j] - squares + _C2
            inverse = 1 / (b1 * b2)
            score = a1 * a2 * inverse
            row += score
            m[0, i, j] = 2 * (my * (a2 - a1) * inverse + mx * score * (b1 - b2) * inverse)
            m[1, i, j] = 2 * a1 * inverse
            m[2, i, j] = -score * b1 * inverse
        total += row
    return total


@nb.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _blur(plane: F32, taps: F32, stride: int) -> None:
    """In place, down the columns and along the rows; neighbours in a row are ``stride`` apart. All eleven taps in one
    expression: one pass over a row instead of six."""
    height, width = plane.shape
    scratch = np.zeros((height + 2 * _RADIUS, width), np.float32)
    scratch[_RADIUS : _RADIUS + height] = plane
    pad = _RADIUS * stride
    line = np.zeros(width + 2 * pad, np.float32)
    a, b, c, d, e, f = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    for i in range(height):
        rows = scratch[i : i + 2 * _RADIUS + 1]
        middle, out = line[pad : pad + width], plane[i]
        for j in range(np.uint64(width)):
            middle[j] = (
                a * rows[5, j]
                + b * (rows[4, j] + rows[6, j])
                + c * (rows[3, j] + rows[7, j])
                + d * (rows[2, j] + rows[8, j])
                + e * (rows[1, j] + rows[9, j])
                + f * (rows[0, j] + rows[10, j])
            )
        t = np.uint64(stride)
        for j in range(np.uint64(width)):
            out[j] = (
                a * line[j + 5 * t]
                + b * (line[j + 4 * t] + line[j + 6 * t])
                + c * (line[j + 3 * t] + line[j + 7 * t])
                + d * (line[j + 2 * t] + line[j + 8 * t])
                + e * (line[j + t] + line[j + 9 * t])
                + f * (line[j] + line[j + 10 * t])
            )
