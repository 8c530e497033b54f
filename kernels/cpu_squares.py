"""Squares of a picture's gradients per Gaussian, in its own axes: what one sign probe says of sensitivities.

Slow twin: ``gscompress.quant.probe.squares`` of the plain gradients. The same chain as ``cpu_project_grad``, but
nothing is stored per SH coefficient: their gradients are one colour times the basis, so their squares add up alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gscompress.kernels.cpu_blend_grad import D_RED, SUMS, WEIGHT, H
from gscompress.kernels.cpu_jit import splat_kernel
from gscompress.kernels.cpu_project import RED, half_axes, orientation, screen_rows, to_view
from gscompress.kernels.cpu_project_grad import axes_grad, colour_grad, covariance_grad, half_axes_grad, position_grad

SQUARES = 15
"""means (own axes) 3, log_scales 3, turns (own axes) 3, dc 3, logit_opacities, higher sh (mean), contribution."""


@splat_kernel
def project_squares(
    start: int,
    stop: int,
    cam: Any,
    mip: bool,
    bands: int,
    means: Any,
    log_scales: Any,
    quats: Any,
    logit_opacities: Any,
    sh: Any,
    rows: Any,
    total: Any,
    sums: Any,
    out: Any,
) -> None:
    """Rows ``start`` to ``stop``; arguments as for ``project_grad``. out: (N, SQUARES), the last not squared."""
    s = np.empty(SUMS, np.float64)
    basis, slope, d_sh = np.empty(16, np.float64), np.empty((3, 16), np.float64), np.empty((16, 3), np.float64)
    for i in range(start, stop):
        out[i] = 0
        s[:] = 0
        for e in range(total[i], total[i + 1]):
            for c in range(SUMS):
                s[c] += sums[e, c]
        if s[WEIGHT] == 0:
            continue
        mx, my, mz = float(means[i, 0]), float(means[i, 1]), float(means[i, 2])
        t = to_view(cam, mx, my, mz)
        jw = screen_rows(cam, t[0], t[1], t[2])
        r, scales = orientation(log_scales, quats, i)
        u = half_axes(jw, r, scales)
        v00, v01, v11, gx, gy = covariance_grad(s, u, mip)
        du = half_axes_grad(v00, v01, v11, u)
        dr, djw = axes_grad(du, jw, r, scales)
        px, py, pz = position_grad(cam, t, jw, djw, gx, gy)
        cx, cy, cz = colour_grad(cam, bands, (mx, my, mz), sh[i], rows[i], s, basis, slope, d_sh)
        px, py, pz = px + cx, py + cy, pz + cz
        for k in range(3):
            b, c = (k + 1) % 3, (k + 2) % 3
            out[i, k] = (r[k] * px + r[3 + k] * py + r[6 + k] * pz) ** 2
            out[i, 3 + k] = (u[k] * du[k] + u[3 + k] * du[3 + k]) ** 2
            turn = dr[b] * r[c] + dr[3 + b] * r[3 + c] + dr[6 + b] * r[6 + c]
            turn -= dr[c] * r[b] + dr[3 + c] * r[3 + b] + dr[6 + c] * r[6 + b]
            out[i, 6 + k] = turn**2
            out[i, 9 + k] = d_sh[0, k] ** 2
        out[i, 12] = (s[H] / (1 + math.exp(logit_opacities[i]))) ** 2
        if bands > 1:
            light = 0.0
            for c in range(3):
                light += s[D_RED + c] ** 2 if rows[i, RED + c] > 0 else 0.0
            spread = 0.0
            for k in range(1, bands):
                spread += basis[k] ** 2
            out[i, 13] = light * spread / (3 * (bands - 1))
        out[i, 14] = s[WEIGHT]
