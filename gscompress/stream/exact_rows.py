"""Row-wise arithmetic of the decoder of residual frames: exactly rounded operations in a fixed order, no fastmath, so
that every machine predicts the same bits. Float64 throughout.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.quant.exact import exp, log
from gscompress.quant.exact_blocks import BLOCK, exp_block, log_block

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
INFLUENCES = 4
"""Nodes of the motion graph that move a Gaussian."""


@nb.njit(cache=True, nogil=True)
def widen(log_scales: F32, blur: float) -> F64:
    """Log scales (N, 3) as the codec sees them: ln sqrt(s^2 + blur^2)."""
    rows, columns = log_scales.shape
    out = np.empty((rows, columns), np.float64)
    given, flat = log_scales.reshape(rows * columns), out.reshape(rows * columns)
    x, y = np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, rows * columns, BLOCK):
        n = min(BLOCK, rows * columns - start)
        for i in range(n):
            x[i] = 2.0 * np.float64(given[start + i])
        exp_block(x[:n], y[:n])
        for i in range(n):
            y[i] += blur * blur
        log_block(y[:n], x[:n])
        for i in range(n):
            flat[start + i] = 0.5 * x[i]
    return out


@nb.njit(cache=True, nogil=True)
def thinnest(log_scales: F64) -> F64:
    """(N,) the smallest scale of each row."""
    out, x = np.empty(len(log_scales), np.float64), np.empty(BLOCK)
    for start in range(0, len(log_scales), BLOCK):
        n = min(BLOCK, len(log_scales) - start)
        for i in range(n):
            x[i] = min(log_scales[start + i, 0], log_scales[start + i, 1], log_scales[start + i, 2])
        exp_block(x[:n], out[start : start + n])
    return out


@nb.njit(cache=True, nogil=True)
def logits_to_log_opacities(logits: F32) -> F64:
    """(N,) logits to t = -ln(opacity)."""
    out = np.empty(len(logits), np.float64)
    for i in range(len(logits)):
        x = np.float64(logits[i])
        out[i] = log(1.0 + exp(-x)) if x > -30.0 else -x
    return out


@nb.njit(cache=True, nogil=True)
def move(
    means: F64, quats: F64, nearest: I32, weights: F64, centres: F64, moves: F64, whole: F64
) -> tuple[F64, F64, F64]:
    """Means (N, 3), quats (N, 4) and growth (N,) (ln of the factor) after blended motions of nodes and of the whole.

    nearest, weights: (N, INFLUENCES) which nodes pull at a row and how much. centres: (K, 3).
    moves (K, 7), whole (7,): Gibbs vector of the turn, ln of the growth, shift. A node turns about its centre, the
    whole about the origin, after the nodes.
    """
    rows, nodes = len(means), len(centres)
    matrices, turns = np.empty((nodes + 1, 3, 3)), np.empty((nodes + 1, 4))
    for k in range(nodes + 1):
        _motion(moves[k] if k < nodes else whole, matrices[k], turns[k])
    out, turned, growth = np.empty((rows, 3)), np.empty((rows, 4)), np.empty(rows)
    last = matrices[nodes]
    for i in range(rows):
        x, y, z = means[i, 0], means[i, 1], means[i, 2]
        if nodes:
            sx, sy, sz, grown = 0.0, 0.0, 0.0, 0.0
            qw, qx, qy, qz = 0.0, 0.0, 0.0, 0.0
            for j in range(INFLUENCES):
                k, w = nearest[i, j], weights[i, j]
                m, c, b = matrices[k], centres[k], moves[k]
                dx, dy, dz = x - c[0], y - c[1], z - c[2]
                sx += w * (m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz + c[0] + b[4])
                sy += w * (m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz + c[1] + b[5])
                sz += w * (m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz + c[2] + b[6])
                grown += w * b[3]
                q = turns[k]
                qw, qx, qy, qz = qw + w * q[0], qx + w * q[1], qy + w * q[2], qz + w * q[3]
            x, y, z = sx, sy, sz
            _times(qw, qx, qy, qz, quats[i], turned[i])
            growth[i] = grown + whole[3]
        else:
            for k in range(4):
                turned[i, k] = quats[i, k]
            growth[i] = whole[3]
        out[i, 0] = last[0, 0] * x + last[0, 1] * y + last[0, 2] * z + whole[4]
        out[i, 1] = last[1, 0] * x + last[1, 1] * y + last[1, 2] * z + whole[5]
        out[i, 2] = last[2, 0] * x + last[2, 1] * y + last[2, 2] * z + whole[6]
        q = turns[nodes]
        _times(q[0], q[1], q[2], q[3], turned[i], turned[i])
    return out, turned, growth


@nb.njit(cache=True, nogil=True)
def turn_own_axes(quats: F64, rows: I64, gibbs: F64) -> None:
    """Turn some rows of quats (N, 4) about their own axes by Gibbs vectors (R, 3), in place."""
    own = np.empty(4)
    for r in range(len(rows)):
        q = quats[rows[r]]
        own[0], own[1], own[2], own[3] = 1.0, gibbs[r, 0], gibbs[r, 1], gibbs[r, 2]
        _times(q[0], q[1], q[2], q[3], own, q)


@nb.njit(cache=True, nogil=True)
def among(near: I32, rows: I64) -> I32:
    """Neighbours of some rows (R,) as places in ``rows``, those that are in it first, -1 for the others.
    near: (N, K) rows, -1 for none."""
    place = np.full(len(near), -1, np.int32)
    for r in range(len(rows)):
        place[rows[r]] = r
    out = np.full((len(rows), near.shape[1]), -1, np.int32)
    for r in range(len(rows)):
        found = 0
        for k in range(near.shape[1]):
            other = near[rows[r], k]
            if other >= 0 and place[other] >= 0:
                out[r, found] = place[other]
                found += 1
    return out


@nb.njit(cache=True, nogil=True)
def _motion(move: Any, matrix: Any, turn: Any) -> None:
    """The matrix (3, 3) and the unit quaternion (4,) of a motion (7,)."""
    a, b, c = move[0], move[1], move[2]
    length = 1.0 + a * a + b * b + c * c
    grow = exp(move[3]) / length
    matrix[0, 0] = grow * (1.0 + a * a - b * b - c * c)
    matrix[1, 1] = grow * (1.0 - a * a + b * b - c * c)
    matrix[2, 2] = grow * (1.0 - a * a - b * b + c * c)
    matrix[0, 1], matrix[1, 0] = grow * 2.0 * (a * b - c), grow * 2.0 * (a * b + c)
    matrix[0, 2], matrix[2, 0] = grow * 2.0 * (a * c + b), grow * 2.0 * (a * c - b)
    matrix[1, 2], matrix[2, 1] = grow * 2.0 * (b * c - a), grow * 2.0 * (b * c + a)
    root = math.sqrt(length)
    turn[0], turn[1], turn[2], turn[3] = 1.0 / root, a / root, b / root, c / root


@nb.njit(cache=True, nogil=True)
def _times(w: float, x: float, y: float, z: float, right: Any, out: Any) -> None:
    """The unit quaternion along (w, x, y, z) times ``right``; ``out`` may be ``right``."""
    a, b, c, d = right[0], right[1], right[2], right[3]
    pw, px = w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c
    py, pz = w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a
    scale = 1.0 / math.sqrt(max(pw * pw + px * px + py * py + pz * pz, 1e-300))
    out[0], out[1], out[2], out[3] = pw * scale, px * scale, py * scale, pz * scale
