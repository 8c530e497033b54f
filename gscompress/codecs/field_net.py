"""The small network behind the colour field, and its bake to SH: features to SH coefficients and back.

    hidden_u(d) = relu(sum_m w1[m, u] feature_m + sum_k view[k, u] Y_k(d))
    colour_c(d) = bias_c + sum_u w2[u, c] hidden_u(d)

The view direction d goes in as its 16 SH basis values Y_k. The bake is the least-squares SH of degree 3 of colour(d)
over the sphere. Lebedev's 26 points (6 axes, 12 edges, 8 corners of a cube) integrate polynomials up to degree 7
exactly, so under their weights the basis is orthonormal and the pseudo-inverse is 4 pi diag(w) Y: constants, no matrix
is inverted.

The forward kernel uses exactly rounded operations in a fixed order (no fastmath), so that a file decodes to the same
bits everywhere; its loops run over directions and coefficients, which vectorise all the same.
"""

from __future__ import annotations

import itertools
import math

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.sh import basis

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
BANDS = 16


def _lebedev() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Directions (26, 3) and weights (26,), which add up to 1 (Lebedev 1976, order 7)."""
    signs = [np.array(p, np.float64) for p in itertools.product((-1, 0, 1), repeat=3) if any(p)]
    share = {1: 1 / 21, 2: 4 / 105, 3: 9 / 280}
    lengths = [int(np.abs(p).sum()) for p in signs]
    return np.stack([p / math.sqrt(n) for p, n in zip(signs, lengths)]), np.array([share[n] for n in lengths])


DIRECTIONS, WEIGHTS = _lebedev()
_COUNT = 32  # directions with six of no weight: whole vector registers
VIEWS = np.pad(basis(DIRECTIONS, 3), ((0, _COUNT - len(WEIGHTS)), (0, 0)))
"""(32, 16) Y_k of the directions."""
BAKE = (4 * math.pi * np.pad(WEIGHTS, (0, _COUNT - len(WEIGHTS)))[:, None] * VIEWS).astype(np.float32)
"""(32, 16) what a colour in each direction adds to each coefficient."""
_SPREAD = np.ascontiguousarray(BAKE.T)


@nb.njit(cache=True, nogil=True)
def bake(start: int, stop: int, features: F32, w1: F32, seen: F32, w2: F32, bias: F32, out: F32) -> None:
    """SH (N, 16, 3) of rows ``start`` to ``stop``. features (N, M), w1 (M, U), seen (U, 32): view part of each hidden
    value per direction, w2 (U, 3), bias (3,)."""
    width = w1.shape[1]
    a = np.empty(width, np.float32)
    red, green, blue = np.empty(_COUNT, np.float32), np.empty(_COUNT, np.float32), np.empty(_COUNT, np.float32)
    s0, s1, s2 = np.empty(BANDS, np.float32), np.empty(BANDS, np.float32), np.empty(BANDS, np.float32)
    for i in range(start, stop):
        a[:] = 0
        for m in range(w1.shape[0]):
            f = features[i, m]
            for u in range(width):
                a[u] += f * w1[m, u]
        red[:], green[:], blue[:] = bias[0], bias[1], bias[2]
        for u in range(width):
            x, r, g, b = a[u], w2[u, 0], w2[u, 1], w2[u, 2]
            for j in range(_COUNT):
                h = x + seen[u, j]
                h = h if h > np.float32(0) else np.float32(0)
                red[j] += r * h
                green[j] += g * h
                blue[j] += b * h
        s0[:], s1[:], s2[:] = 0, 0, 0
        for j in range(_COUNT):
            r, g, b = red[j], green[j], blue[j]
            for k in range(BANDS):
                weight = BAKE[j, k]
                s0[k] += r * weight
                s1[k] += g * weight
                s2[k] += b * weight
        for k in range(BANDS):
            out[i, k, 0], out[i, k, 1], out[i, k, 2] = s0[k], s1[k], s2[k]


@nb.njit(cache=True, nogil=True, fastmath=True)
def pull_back(
    start: int,
    stop: int,
    rows: I64,
    features: F32,
    w1: F32,
    seen: F32,
    w2: F32,
    gradient: F32,
    d_features: F32,
    d_w1: F32,
    d_seen: F32,
    d_w2: F32,
    d_bias: F32,
) -> None:
    """Gradients from dL/d SH ``gradient`` (N, 16, 3) of rows[start:stop].

    Written to d_features (len(rows), M); added to d_w1 (M, U), d_seen (U, 32), d_w2 (U, 3) and d_bias (3,).
    """
    inputs, width = w1.shape
    a, d_a = np.empty(width, np.float32), np.empty(width, np.float32)
    d0, d1, d2 = np.empty(_COUNT, np.float32), np.empty(_COUNT, np.float32), np.empty(_COUNT, np.float32)
    for at in range(start, stop):
        i = rows[at]
        a[:] = 0
        for m in range(inputs):
            f = features[i, m]
            for u in range(width):
                a[u] += f * w1[m, u]
        d0[:], d1[:], d2[:] = 0, 0, 0
        for k in range(BANDS):
            r, g, b = gradient[i, k, 0], gradient[i, k, 1], gradient[i, k, 2]
            for j in range(_COUNT):
                weight = _SPREAD[k, j]
                d0[j] += r * weight
                d1[j] += g * weight
                d2[j] += b * weight
        for j in range(_COUNT):
            d_bias[0] += d0[j]
            d_bias[1] += d1[j]
            d_bias[2] += d2[j]
        for u in range(width):
            x, r, g, b = a[u], w2[u, 0], w2[u, 1], w2[u, 2]
            total, red, green, blue = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for j in range(_COUNT):
                h = x + seen[u, j]
                on = np.float32(1) if h > 0 else np.float32(0)
                h *= on
                red += h * d0[j]
                green += h * d1[j]
                blue += h * d2[j]
                pull = on * (r * d0[j] + g * d1[j] + b * d2[j])
                d_seen[u, j] += pull
                total += pull
            d_a[u] = total
            d_w2[u, 0] += red
            d_w2[u, 1] += green
            d_w2[u, 2] += blue
        for m in range(inputs):
            f, total = features[i, m], np.float32(0)
            for u in range(width):
                total += w1[m, u] * d_a[u]
                d_w1[m, u] += f * d_a[u]
            d_features[at, m] = total
