"""``cpu_blend_grad`` and ``cpu_removal`` in one walk: the exponentials and the weights are the same for both.

Slow twins: those two. What lies behind a Gaussian is kept per channel, as for removal; its product with the pixel's
gradient follows from it.
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
from gscompress.kernels.cpu_blend_grad import LANES, fold_lanes
from gscompress.kernels.cpu_jit import pixel_kernel, pixel_part
from gscompress.kernels.cpu_project import BLUE, GREEN, LOG, QXX, QXY, QYY, RED, X, Y

_W = nb.uint64(TILE_W)
_P = nb.uint64(PIXELS)
TWO = np.float32(2)


@pixel_part
def judge_row(state: Any, at: Any, lanes: Any, row: Any, dx0: Any, dy: Any) -> Any:
    """Walk one Gaussian over 16 pixels; add to the lane sums of ``pull_row`` and return the error of ``remove_row``.

    state: transmittance, the colour (3) still to come, the gradient (3), twice how far the picture is off (3).
    """
    qxx, q1, q0 = row[QXX], row[QXY] * dy, row[LOG] + row[QYY] * dy * dy
    red, green, blue = row[RED], row[GREEN], row[BLUE]
    error = ZERO
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
        odds = alpha / (ONE - alpha) if going else ZERO
        behind_red = state[i + _P] - weight * red
        behind_green = state[i + _P * nb.uint64(2)] - weight * green
        behind_blue = state[i + _P * nb.uint64(3)] - weight * blue
        state[i + _P] = behind_red
        state[i + _P * nb.uint64(2)] = behind_green
        state[i + _P * nb.uint64(3)] = behind_blue
        d_red, d_green = weight * red - odds * behind_red, weight * green - odds * behind_green
        d_blue = weight * blue - odds * behind_blue
        error += d_red * (d_red - state[i + _P * nb.uint64(7)])
        error += d_green * (d_green - state[i + _P * nb.uint64(8)])
        error += d_blue * (d_blue - state[i + _P * nb.uint64(9)])
        g_red = state[i + _P * nb.uint64(4)]
        g_green = state[i + _P * nb.uint64(5)]
        g_blue = state[i + _P * nb.uint64(6)]
        h = d_red * g_red + d_green * g_green + d_blue * g_blue
        h = h if free < ALPHA_MAX else ZERO
        lanes[lane] += h
        lanes[lane + _W] += h * dy
        lanes[lane + _W * nb.uint64(2)] += h * dy * dy
        lanes[lane + _W * nb.uint64(3)] += weight * g_red
        lanes[lane + _W * nb.uint64(4)] += weight * g_green
        lanes[lane + _W * nb.uint64(5)] += weight * g_blue
        lanes[lane + _W * nb.uint64(6)] += weight
    return error


@pixel_part
def load_tile(state: Any, x0: int, y0: int, rgb: Any, grad: Any, off: Any) -> None:
    """Set a tile's state to the start of the walk; pixels outside the picture are done before they begin."""
    height, width = rgb.shape[:2]
    state[:PIXELS] = -ONE
    state[PIXELS:] = ZERO
    for y in range(min(TILE_H, height - y0)):
        for x in range(min(TILE_W, width - x0)):
            i = y * TILE_W + x
            state[i] = ONE
            for c in range(3):
                state[i + PIXELS * (c + 1)] = rgb[y0 + y, x0 + x, c]
                state[i + PIXELS * (c + 4)] = grad[y0 + y, x0 + x, c]
                state[i + PIXELS * (c + 7)] = TWO * off[y0 + y, x0 + x, c]


@pixel_kernel
def judge(
    start: int,
    stop: int,
    columns: int,
    offsets: Any,
    ids: Any,
    slots: Any,
    rows: Any,
    rgb: Any,
    grad: Any,
    off: Any,
    used: Any,
    sums: Any,
    errors: Any,
) -> None:
    """Tiles ``start`` to ``stop``; arguments as for ``blend_grad`` and ``removal``, which have their own outputs."""
    height = rgb.shape[0]
    state = np.empty(PIXELS * 10, np.float32)
    lanes = np.empty(TILE_W * LANES, np.float32)
    live = np.empty(TILE_H, np.uint8)
    for tile in range(start, stop):
        x0, y0 = tile % columns * TILE_W, tile // columns * TILE_H
        load_tile(state, x0, y0, rgb, grad, off)
        live[:] = 0
        live[: min(TILE_H, height - y0)] = 1
        begin = offsets[tile]
        for p in range(begin, begin + used[tile]):
            row = rows[ids[p]]
            dx0 = np.float32(x0) + HALF - row[X]
            first, last = row_span(row, y0)
            lanes[:] = ZERO
            error = ZERO
            for y in range(first, last):
                dy = np.float32(y0 + y) + HALF - row[Y]
                if live[y] and not misses(row, dy, dx0):
                    error += judge_row(state, nb.uint64(y * TILE_W), lanes, row, dx0, dy)
            fold_lanes(lanes, dx0, sums[slots[p]])
            errors[slots[p]] = error
            if (p + 1 - begin) % CHECK == 0:
                update_live(state, live)
        for p in range(begin + used[tile], offsets[tile + 1]):
            sums[slots[p]] = ZERO
            errors[slots[p]] = ZERO
