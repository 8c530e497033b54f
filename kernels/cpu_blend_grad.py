"""Pull dL/d rgb back through the blend to ten sums per (tile, Gaussian) pair.

Slow twin: torch float64 autograd of the same blend, in the tests. Gaussians are walked front to back once more; what
lies behind one is the final colour minus what was blended so far, so nothing has to be stored per pixel and Gaussian.
Only the dot product of that colour with the pixel's gradient is needed: one number per pixel.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from gscompress.kernels.cpu_blend import (
    ALPHA_MAX,
    CHECK,
    FLOOR,
    HALF,
    LOG_MIN,
    ONE,
    PIXELS,
    T_MIN,
    TILE_H,
    TILE_W,
    ZERO,
    exp2,
    misses,
    row_span,
    update_live,
)
from gscompress.kernels.cpu_jit import pixel_kernel, pixel_part
from gscompress.kernels.cpu_project import BLUE, GREEN, LOG, QXX, QXY, QYY, RED, X, Y

# Columns of the sums over pixels. h = dL / d ln alpha; (dx, dy) = pixel centre minus Gaussian centre.
H, HX, HY, HXX, HXY, HYY, D_RED, D_GREEN, D_BLUE, WEIGHT = range(10)
SUMS = 10
LANES = 7  # per-lane sums over rows: h, h dy, h dy^2, three colours, weight

_W = nb.uint64(TILE_W)
_P = nb.uint64(PIXELS)


@pixel_part
def pull_row(state: Any, at: Any, lanes: Any, row: Any, dx0: Any, dy: Any) -> None:
    """Walk one Gaussian over the 16 pixels at ``at`` and add to the lane sums.

    state: fields of PIXELS floats: transmittance, colour still behind dotted with the gradient, gradient (3).
    """
    qxx, q1, q0 = row[QXX], row[QXY] * dy, row[LOG] + row[QYY] * dy * dy
    red, green, blue = row[RED], row[GREEN], row[BLUE]
    for lane in range(_W):
        i = at + lane
        dx = dx0 + np.float32(np.int32(lane))
        e = q0 + dx * (q1 + qxx * dx)
        free = exp2(max(e, FLOOR))
        alpha = min(ALPHA_MAX, free)
        alpha = alpha if e >= LOG_MIN else ZERO
        t = state[i]
        after = t - t * alpha
        going = after >= T_MIN
        weight = t * alpha if going else ZERO
        state[i] = after if going else -abs(t)
        g_red, g_green, g_blue = (
            state[i + _P * nb.uint64(2)],
            state[i + _P * nb.uint64(3)],
            state[i + _P * nb.uint64(4)],
        )
        ahead = weight * (red * g_red + green * g_green + blue * g_blue)
        behind = state[i + _P] - ahead
        state[i + _P] = behind
        h = ahead - behind * alpha / (ONE - alpha)
        h = h if going and free < ALPHA_MAX else ZERO
        lanes[lane] += h
        lanes[lane + _W] += h * dy
        lanes[lane + _W * nb.uint64(2)] += h * dy * dy
        lanes[lane + _W * nb.uint64(3)] += weight * g_red
        lanes[lane + _W * nb.uint64(4)] += weight * g_green
        lanes[lane + _W * nb.uint64(5)] += weight * g_blue
        lanes[lane + _W * nb.uint64(6)] += weight


@pixel_part
def fold_lanes(lanes: Any, dx0: Any, out: Any) -> None:
    """Lane sums → the ten sums of a pair: a lane's dx is the same in every row, so x moments wait until here."""
    h, hx, hxx, hy, hxy, hyy = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    red, green, blue, weight = ZERO, ZERO, ZERO, ZERO
    for lane in range(_W):
        dx = dx0 + np.float32(np.int32(lane))
        h0, h1 = lanes[lane], lanes[lane + _W]
        h += h0
        hx += h0 * dx
        hxx += h0 * dx * dx
        hy += h1
        hxy += h1 * dx
        hyy += lanes[lane + _W * nb.uint64(2)]
        red += lanes[lane + _W * nb.uint64(3)]
        green += lanes[lane + _W * nb.uint64(4)]
        blue += lanes[lane + _W * nb.uint64(5)]
        weight += lanes[lane + _W * nb.uint64(6)]
    out[H], out[HX], out[HY], out[HXX], out[HXY], out[HYY] = h, hx, hy, hxx, hxy, hyy
    out[D_RED], out[D_GREEN], out[D_BLUE], out[WEIGHT] = red, green, blue, weight


@pixel_part
def load_tile(state: Any, x0: int, y0: int, rgb: Any, grad: Any) -> None:
    """Set a tile's state to the start of the walk; pixels outside the picture are done before they begin."""
    height, width = rgb.shape[:2]
    state[:PIXELS] = -ONE
    state[PIXELS:] = ZERO
    for y in range(min(TILE_H, height - y0)):
        for x in range(min(TILE_W, width - x0)):
            i = y * TILE_W + x
            state[i] = ONE
            for c in range(3):
                g = grad[y0 + y, x0 + x, c]
                state[i + PIXELS * (c + 2)] = g
                state[i + PIXELS] += g * rgb[y0 + y, x0 + x, c]


@pixel_kernel
def blend_grad(
    start: int,
    stop: int,
    columns: int,
    offsets: Any,
    ids: Any,
    slots: Any,
    rows: Any,
    rgb: Any,
    grad: Any,
    used: Any,
    sums: Any,
) -> None:
    """Pull back tiles ``start`` to ``stop``; arguments as for ``blend``.

    rgb: the finished picture, background included. grad: (H, W, 3) dL/d rgb. sums: (pairs, 10) out, by slot.
    """
    height = rgb.shape[0]
    state = np.empty(PIXELS * 5, np.float32)
    lanes = np.empty(TILE_W * LANES, np.float32)
    live = np.empty(TILE_H, np.uint8)
    for tile in range(start, stop):
        x0, y0 = tile % columns * TILE_W, tile // columns * TILE_H
        load_tile(state, x0, y0, rgb, grad)
        live[:] = 0
        live[: min(TILE_H, height - y0)] = 1
        begin = offsets[tile]
        for p in range(begin, begin + used[tile]):
            row = rows[ids[p]]
            dx0 = np.float32(x0) + HALF - row[X]
            first, last = row_span(row, y0)
            lanes[:] = ZERO
            for y in range(first, last):
                dy = np.float32(y0 + y) + HALF - row[Y]
                if live[y] and not misses(row, dy, dx0):
                    pull_row(state, nb.uint64(y * TILE_W), lanes, row, dx0, dy)
            fold_lanes(lanes, dx0, sums[slots[p]])
            if (p + 1 - begin) % CHECK == 0:
                update_live(state, live)
        for p in range(begin + used[tile], offsets[tile + 1]):
            sums[slots[p]] = ZERO
