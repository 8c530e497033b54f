"""Pull dL/d rgb back to the SH coefficients alone: for whoever moves colours while shapes stand still.

Slow twin: the ``sh`` of ``CpuRenderer.pull_back``. Weights do not depend on colours, so nothing has to be known of what
lies behind a Gaussian, and three sums per (tile, Gaussian) pair say it all.
"""

from __future__ import annotations

import math
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
from gscompress.kernels.cpu_jit import pixel_kernel, pixel_part, splat_kernel
from gscompress.kernels.cpu_project import EYE, LOG, QXX, QXY, QYY, RED, X, Y
from gscompress.kernels.cpu_sh import sh_basis

_W = nb.uint64(TILE_W)
_P = nb.uint64(PIXELS)


@pixel_part
def weigh_row(state: Any, at: Any, row: Any, dx0: Any, dy: Any) -> Any:
    """Walk one Gaussian over the 16 pixels at ``at``; state: transmittance, gradient (3). Returns the three sums."""
    qxx, q1, q0 = row[QXX], row[QXY] * dy, row[LOG] + row[QYY] * dy * dy
    red, green, blue = ZERO, ZERO, ZERO
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
        red += weight * state[i + _P]
        green += weight * state[i + _P * nb.uint64(2)]
        blue += weight * state[i + _P * nb.uint64(3)]
    return red, green, blue


@pixel_kernel
def blend_colours(
    start: int,
    stop: int,
    columns: int,
    offsets: Any,
    ids: Any,
    slots: Any,
    rows: Any,
    grad: Any,
    used: Any,
    sums: Any,
) -> None:
    """Pull back tiles ``start`` to ``stop``; arguments as for ``blend_grad``. sums: (pairs, 3) out, by slot."""
    height, width = grad.shape[:2]
    state = np.empty(PIXELS * 4, np.float32)
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
                    state[y * TILE_W + x + PIXELS * (c + 1)] = grad[y0 + y, x0 + x, c]
        live[:] = 0
        live[:tall] = 1
        begin = offsets[tile]
        for p in range(begin, begin + used[tile]):
            row = rows[ids[p]]
            dx0 = np.float32(x0) + HALF - row[X]
            first, last = row_span(row, y0)
            red, green, blue = ZERO, ZERO, ZERO
            for y in range(first, last):
                dy = np.float32(y0 + y) + HALF - row[Y]
                if live[y] and not misses(row, dy, dx0):
                    more = weigh_row(state, nb.uint64(y * TILE_W), row, dx0, dy)
                    red, green, blue = red + more[0], green + more[1], blue + more[2]
            out = sums[slots[p]]
            out[0], out[1], out[2] = red, green, blue
            if (p + 1 - begin) % CHECK == 0:
                update_live(state, live)
        for p in range(begin + used[tile], offsets[tile + 1]):
            sums[slots[p]] = ZERO


@splat_kernel
def add_colours(
    start: int, stop: int, cam: Any, bands: int, means: Any, rows: Any, total: Any, sums: Any, out: Any
) -> None:
    """Add the SH gradients of Gaussians ``start`` to ``stop``, from ``blend_colours``, to out (N, K, 3) float32."""
    basis = np.empty(16, np.float64)
    for i in range(start, stop):
        if total[i] == total[i + 1]:
            continue
        dx, dy, dz = means[i, 0] - cam[EYE], means[i, 1] - cam[EYE + 1], means[i, 2] - cam[EYE + 2]
        inv = 1 / math.sqrt(dx * dx + dy * dy + dz * dz)
        sh_basis(dx * inv, dy * inv, dz * inv, bands, basis)
        red, green, blue = 0.0, 0.0, 0.0
        for e in range(total[i], total[i + 1]):
            red += sums[e, 0]
            green += sums[e, 1]
            blue += sums[e, 2]
        red = red if rows[i, RED] > 0 else 0.0
        green = green if rows[i, RED + 1] > 0 else 0.0
        blue = blue if rows[i, RED + 2] > 0 else 0.0
        for k in range(bands):
            out[i, k, 0] += basis[k] * red
            out[i, k, 1] += basis[k] * green
            out[i, k, 2] += basis[k] * blue
