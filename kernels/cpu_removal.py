"""How much farther from a wanted picture a picture gets if one Gaussian alone is removed: squared error over pixels.

A Gaussian with colour c changes a pixel by d = T alpha (c - B), where B is what would be seen behind it (background
included); T alpha B is the final colour not yet blended, times alpha / (1 - alpha). Where the picture is off by D
already, the squared error grows by |D - d|^2 - |D|^2. Slow twin: render without it.
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

_W = nb.uint64(TILE_W)
_P = nb.uint64(PIXELS)
TWO = np.float32(2)


@pixel_part
def remove_row(state: Any, at: Any, row: Any, dx0: Any, dy: Any) -> Any:
    """Walk one Gaussian over 16 pixels; state: transmittance, the colour (3) still to come, how far the picture is off
    (3). Returns the error."""
    qxx, q1, q0 = row[QXX], row[QXY] * dy, row[LOG] + row[QYY] * dy * dy
    red, green, blue = row[RED], row[GREEN], row[BLUE]
    error = ZERO
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
        odds = alpha / (ONE - alpha) if going else ZERO
        behind_red = state[i + _P] - weight * red
        behind_green = state[i + _P * nb.uint64(2)] - weight * green
        behind_blue = state[i + _P * nb.uint64(3)] - weight * blue
        state[i + _P] = behind_red
        state[i + _P * nb.uint64(2)] = behind_green
        state[i + _P * nb.uint64(3)] = behind_blue
        d_red, d_green = weight * red - odds * behind_red, weight * green - odds * behind_green
        d_blue = weight * blue - odds * behind_blue
        error += d_red * (d_red - TWO * state[i + _P * nb.uint64(4)])
        error += d_green * (d_green - TWO * state[i + _P * nb.uint64(5)])
        error += d_blue * (d_blue - TWO * state[i + _P * nb.uint64(6)])
    return error


@pixel_kernel
def removal(
    start: int,
    stop: int,
    columns: int,
    offsets: Any,
    ids: Any,
    slots: Any,
    rows: Any,
    rgb: Any,
    off: Any,
    used: Any,
    errors: Any,
) -> None:
    """Tiles ``start`` to ``stop``; arguments as for ``blend_grad``. off: (H, W, 3) picture less the wanted one.
    errors: (pairs,) out, by slot."""
    height, width = rgb.shape[:2]
    state = np.empty(PIXELS * 7, np.float32)
    live = np.empty(TILE_H, np.uint8)
    for tile in range(start, stop):
        x0, y0 = tile % columns * TILE_W, tile // columns * TILE_H
        tall, wide = min(TILE_H, height - y0), min(TILE_W, width - x0)
        state[:PIXELS] = -ONE
        state[PIXELS:] = ZERO
        for y in range(tall):
            for x in range(wide):
                state[y * TILE_W + x] = ONE
                for c in range(3):
                    state[y * TILE_W + x + PIXELS * (c + 1)] = rgb[y0 + y, x0 + x, c]
                    state[y * TILE_W + x + PIXELS * (c + 4)] = off[y0 + y, x0 + x, c]
        live[:] = 0
        live[:tall] = 1
        begin = offsets[tile]
        for p in range(begin, begin + used[tile]):
            row = rows[ids[p]]
            dx0 = np.float32(x0) + HALF - row[X]
            first, last = row_span(row, y0)
            error = ZERO
            for y in range(first, last):
                dy = np.float32(y0 + y) + HALF - row[Y]
                if live[y] and not misses(row, dy, dx0):
                    error += remove_row(state, nb.uint64(y * TILE_W), row, dx0, dy)
            errors[slots[p]] = error
            if (p + 1 - begin) % CHECK == 0:
                update_live(state, live)
        for p in range(begin + used[tile], offsets[tile + 1]):
            errors[slots[p]] = ZERO
