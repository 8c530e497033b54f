"""Blend depth-sorted screen ellipses into a picture, tile by tile.

Slow twin: ``gscompress.renderers.reference.blend``. One Gaussian meets one 16-pixel row of a tile at a time: that
inner loop is what the compiler vectorises, so the state of a tile lies in one flat buffer (distances between its
fields are then compile-time constants), indices are unsigned, and the exponential is a polynomial. A pixel that is
done (transmittance would fall under 1e-4) keeps its transmittance with the sign flipped.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from gscompress.kernels.cpu_jit import pixel_kernel, pixel_part
from gscompress.kernels.cpu_project import (
    BLUE,
    CHORD2,
    DEPTH,
    GREEN,
    INV_REACH2,
    LOG,
    QXX,
    QXY,
    QYY,
    REACH_Y,
    RED,
    SLOPE,
    X,
    Y,
)

TILE_W, TILE_H = 16, 32
PIXELS = TILE_W * TILE_H
LOG_MIN = np.float32(-math.log2(255))
T_MIN = np.float32(1e-4)
ALPHA_MAX = np.float32(0.99)
CHECK = 16  # Gaussians between two looks for rows that are done

_W = nb.uint64(TILE_W)
_P = nb.uint64(PIXELS)
ONE, ZERO = np.float32(1), np.float32(0)
FLOOR, HALF = np.float32(-20), np.float32(0.5)
# minimax polynomial of 2^f on [-0.5, 0.5]: relative error 9.2e-8, in float32 1.9e-7
_E1, _E2, _E3 = np.float32(0.6931469775988583), np.float32(0.2402224208517314), np.float32(0.05550733743690742)
_E4, _E5 = np.float32(0.009671512648915692), np.float32(0.0013264727065481173)


@pixel_part
def exp2(e: Any) -> Any:
    """2 ** e of a float32 in [-20, 0]."""
    n = np.int32(e - HALF)
    f = e - np.float32(n)
    p = ONE + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * _E5))))
    return np.int32(np.float32(p).view(np.int32) + (n << np.int32(23))).view(np.float32)


@pixel_part
def row_span(row: Any, y0: int) -> Any:
    """First and one past the last tile row (0 to TILE_H) that the ellipse can touch."""
    first = math.ceil(row[Y] - row[REACH_Y] - HALF) - y0
    last = math.floor(row[Y] + row[REACH_Y] - HALF) + 1 - y0
    return max(0, min(first, TILE_H)), max(0, min(last, TILE_H))


@pixel_part
def misses(row: Any, dy: Any, left: Any) -> bool:
    """True if the ellipse's chord at height ``dy`` lies outside the 16 pixel centres from ``left``."""
    chord = row[SLOPE] * dy
    gap = max(left - chord, chord - left - np.float32(TILE_W - 1), ZERO)
    return gap * gap > row[CHORD2] * (ONE - dy * dy * row[INV_REACH2])


@pixel_part
def blend_row(state: Any, at: Any, row: Any, dx0: Any, dy: Any) -> None:
    """Blend one Gaussian over the 16 pixels at ``at``; dx0, dy: first pixel centre minus Gaussian centre."""
    qxx, q1, q0 = row[QXX], row[QXY] * dy, row[LOG] + row[QYY] * dy * dy
    red, green, blue, depth = row[RED], row[GREEN], row[BLUE], row[DEPTH]
    for lane in range(_W):
        i = at + lane
        dx = dx0 + np.float32(np.int32(lane))
        e = q0 + dx * (q1 + qxx * dx)
        alpha = min(ALPHA_MAX, exp2(max(e, FLOOR)))
        alpha = alpha if e >= LOG_MIN else ZERO
        t = state[i]
        after = t - t * alpha
        going = after >= T_MIN
        weight = t * alpha if going else ZERO
        state[i] = after if going else -abs(t)
        state[i + _P] += weight * red
        state[i + _P * nb.uint64(2)] += weight * green
        state[i + _P * nb.uint64(3)] += weight * blue
        state[i + _P * nb.uint64(4)] += weight * depth


@pixel_part
def update_live(state: Any, live: Any) -> int:
    """Drop rows without a live pixel; returns how many are left."""
    left = 0
    for y in range(TILE_H):
        if live[y]:
            going = 0
            at = nb.uint64(y * TILE_W)
            for lane in range(_W):
                going += 1 if state[at + lane] > ZERO else 0
            live[y] = going > 0
            left += live[y]
    return left


@pixel_kernel
def blend(
    start: int,
    stop: int,
    columns: int,
    offsets: Any,
    ids: Any,
    rows: Any,
    background: Any,
    rgb: Any,
    alpha: Any,
    depth: Any,
    used: Any,
) -> None:
    """Blend tiles ``start`` to ``stop``.

    columns: tiles per row. offsets (tiles + 1,), ids (pairs,): each tile's Gaussians as depth ranks, ascending.
    rows: (V, 16) packed, by rank.
    Out: rgb (H, W, 3), alpha (H, W), depth (H, W), used (tiles,): Gaussians walked before every pixel was done.
    """
    height, width = alpha.shape
    state = np.empty(PIXELS * 5, np.float32)
    live = np.empty(TILE_H, np.uint8)
    for tile in range(start, stop):
        x0, y0 = tile % columns * TILE_W, tile // columns * TILE_H
        state[:PIXELS] = ONE
        state[PIXELS:] = ZERO
        live[:] = 0
        live[: min(TILE_H, height - y0)] = 1
        if x0 + TILE_W > width:
            for i in range(PIXELS):
                state[i] = ONE if x0 + i % TILE_W < width else -ONE
        p, end = offsets[tile], offsets[tile + 1]
        while p < end:
            row = rows[ids[p]]
            dx0 = np.float32(x0) + HALF - row[X]
            first, last = row_span(row, y0)
            for y in range(first, last):
                dy = np.float32(y0 + y) + HALF - row[Y]
                if live[y] and not misses(row, dy, dx0):
                    blend_row(state, nb.uint64(y * TILE_W), row, dx0, dy)
            p += 1
            if (p - offsets[tile]) % CHECK == 0 and update_live(state, live) == 0:
                break
        used[tile] = p - offsets[tile]
        for y in range(min(TILE_H, height - y0)):
            for x in range(min(TILE_W, width - x0)):
                i = y * TILE_W + x
                t = abs(state[i])
                for c in range(3):
                    rgb[y0 + y, x0 + x, c] = state[i + PIXELS * (c + 1)] + t * background[c]
                alpha[y0 + y, x0 + x] = ONE - t
                depth[y0 + y, x0 + x] = state[i + PIXELS * 4]
