"""Add up each Gaussian's sums over its tiles and pull them back through projection and SH to the stored parameters.

Slow twin: torch float64 autograd of the same projection, in the tests. With U = J W R S the screen covariance is
U U^T + blur; V = dL/d covariance gives dL/dU = 2 V U, and everything else follows from U by the product rule.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gscompress.kernels.cpu_blend_grad import D_RED, HX, HXX, HXY, HY, HYY, SUMS, WEIGHT, H
from gscompress.kernels.cpu_jit import splat_kernel, splat_part
from gscompress.kernels.cpu_project import (
    BLUR,
    EYE,
    FX,
    FY,
    LIM_X0,
    LIM_X1,
    LIM_Y0,
    LIM_Y1,
    RED,
    W2C,
    half_axes,
    orientation,
    screen_rows,
    to_view,
)
from gscompress.kernels.cpu_sh import sh_basis, sh_basis_grad


@splat_part
def covariance_grad(s: Any, u: Any, mip: bool) -> Any:
    """Gradient by the dilated covariance (xx, xy, yy; xy of one of the two equal entries) and by the centre."""
    xx, yy = u[0] * u[0] + u[1] * u[1] + u[2] * u[2], u[3] * u[3] + u[4] * u[4] + u[5] * u[5]
    xy = u[0] * u[3] + u[1] * u[4] + u[2] * u[5]
    det, bare = (xx + BLUR) * (yy + BLUR) - xy * xy, xx * yy - xy * xy
    a, b, c = (yy + BLUR) / det, -xy / det, (xx + BLUR) / det
    # half of conic @ [[hxx, hxy], [hxy, hyy]] @ conic
    k00, k01 = a * s[HXX] + b * s[HXY], a * s[HXY] + b * s[HYY]
    k10, k11 = b * s[HXX] + c * s[HXY], b * s[HXY] + c * s[HYY]
    v00, v01, v11 = 0.5 * (k00 * a + k01 * b), 0.5 * (k00 * b + k01 * c), 0.5 * (k10 * b + k11 * c)
    if mip:
        v00 += 0.5 * s[H] * (yy / bare - a)
        v01 += 0.5 * s[H] * (-xy / bare - b)
        v11 += 0.5 * s[H] * (xx / bare - c)
    return v00, v01, v11, a * s[HX] + b * s[HY], b * s[HX] + c * s[HY]


@splat_part
def half_axes_grad(v00: float, v01: float, v11: float, u: Any) -> Any:
    """dL/dU = 2 V U, six entries, of dL/d covariance V."""
    return (
        2 * (v00 * u[0] + v01 * u[3]),
        2 * (v00 * u[1] + v01 * u[4]),
        2 * (v00 * u[2] + v01 * u[5]),
        2 * (v01 * u[0] + v11 * u[3]),
        2 * (v01 * u[1] + v11 * u[4]),
        2 * (v01 * u[2] + v11 * u[5]),
    )


@splat_part
def rotation_grad(r: Any, quats: Any, i: int, out: Any) -> None:
    """dL/dR (nine entries) → gradient of the stored, unnormalised quaternion."""
    w, x, y, z = float(quats[i, 0]), float(quats[i, 1]), float(quats[i, 2]), float(quats[i, 3])
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if norm < 1e-12:
        return
    w, x, y, z = w / norm, x / norm, y / norm, z / norm
    dw = 2 * (x * (r[7] - r[5]) + y * (r[2] - r[6]) + z * (r[3] - r[1]))
    dx = 2 * (-2 * x * (r[4] + r[8]) + y * (r[1] + r[3]) + z * (r[2] + r[6]) + w * (r[7] - r[5]))
    dy = 2 * (x * (r[1] + r[3]) - 2 * y * (r[0] + r[8]) + z * (r[5] + r[7]) + w * (r[2] - r[6]))
    dz = 2 * (x * (r[2] + r[6]) + y * (r[5] + r[7]) - 2 * z * (r[0] + r[4]) + w * (r[3] - r[1]))
    along = w * dw + x * dx + y * dy + z * dz
    out[i, 0], out[i, 1] = (dw - w * along) / norm, (dx - x * along) / norm
    out[i, 2], out[i, 3] = (dy - y * along) / norm, (dz - z * along) / norm


@splat_part
def axes_grad(du: Any, jw: Any, r: Any, s: Any) -> Any:
    """dL/dU → dL/dR (nine entries) and dL/d(J W) (six)."""
    s0, s1, s2 = s
    a0, a1, a2, b0, b1, b2 = du[0] * s0, du[1] * s1, du[2] * s2, du[3] * s0, du[4] * s1, du[5] * s2
    dr = (
        jw[0] * a0 + jw[3] * b0,
        jw[0] * a1 + jw[3] * b1,
        jw[0] * a2 + jw[3] * b2,
        jw[1] * a0 + jw[4] * b0,
        jw[1] * a1 + jw[4] * b1,
        jw[1] * a2 + jw[4] * b2,
        jw[2] * a0 + jw[5] * b0,
        jw[2] * a1 + jw[5] * b1,
        jw[2] * a2 + jw[5] * b2,
    )
    return dr, (
        a0 * r[0] + a1 * r[1] + a2 * r[2],
        a0 * r[3] + a1 * r[4] + a2 * r[5],
        a0 * r[6] + a1 * r[7] + a2 * r[8],
        b0 * r[0] + b1 * r[1] + b2 * r[2],
        b0 * r[3] + b1 * r[4] + b2 * r[5],
        b0 * r[6] + b1 * r[7] + b2 * r[8],
    )


@splat_part
def position_grad(cam: Any, t: Any, jw: Any, d: Any, gx: float, gy: float) -> Any:
    """World gradient of a centre from dL/d(J W) = d and dL/d pixel = (gx, gy)."""
    tx, ty, tz = t
    jx, jy = cam[FX] / tz, cam[FY] / tz
    w = W2C
    vx, vy = gx * jx, gy * jy
    vz = -(gx * jx * tx + gy * jy * ty) / tz
    vz -= (d[0] * jw[0] + d[1] * jw[1] + d[2] * jw[2] + d[3] * jw[3] + d[4] * jw[4] + d[5] * jw[5]) / tz
    if -cam[LIM_X0] < tx / tz < cam[LIM_X1]:
        bend = -jx * (d[0] * cam[w + 8] + d[1] * cam[w + 9] + d[2] * cam[w + 10]) / tz
        vx += bend
        vz -= bend * tx / tz
    if -cam[LIM_Y0] < ty / tz < cam[LIM_Y1]:
        bend = -jy * (d[3] * cam[w + 8] + d[4] * cam[w + 9] + d[5] * cam[w + 10]) / tz
        vy += bend
        vz -= bend * ty / tz
    return (
        cam[w] * vx + cam[w + 4] * vy + cam[w + 8] * vz,
        cam[w + 1] * vx + cam[w + 5] * vy + cam[w + 9] * vz,
        cam[w + 2] * vx + cam[w + 6] * vy + cam[w + 10] * vz,
    )


@splat_part
def colour_grad(cam: Any, bands: int, mean: Any, sh: Any, row: Any, s: Any, basis: Any, slope: Any, out: Any) -> Any:
    """SH gradient (written to ``out`` (K, 3)) and the gradient of the centre through the viewing direction."""
    dx, dy, dz = mean[0] - cam[EYE], mean[1] - cam[EYE + 1], mean[2] - cam[EYE + 2]
    inv = 1 / math.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx * inv, dy * inv, dz * inv
    sh_basis(dx, dy, dz, bands, basis)
    sh_basis_grad(dx, dy, dz, bands, slope)
    red = s[D_RED] if row[RED] > 0 else 0.0
    green = s[D_RED + 1] if row[RED + 1] > 0 else 0.0
    blue = s[D_RED + 2] if row[RED + 2] > 0 else 0.0
    gx, gy, gz = 0.0, 0.0, 0.0
    for k in range(bands):
        out[k, 0], out[k, 1], out[k, 2] = basis[k] * red, basis[k] * green, basis[k] * blue
        dot = sh[k, 0] * red + sh[k, 1] * green + sh[k, 2] * blue
        gx += slope[0, k] * dot
        gy += slope[1, k] * dot
        gz += slope[2, k] * dot
    along = gx * dx + gy * dy + gz * dz
    return (gx - dx * along) * inv, (gy - dy * along) * inv, (gz - dz * along) * inv


@splat_kernel
def project_grad(
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
    """Gradients of Gaussians ``start`` to ``stop``; arguments as for ``project`` and ``bin_tiles``.

    sums: (pairs, 10) from ``blend_grad``. out: the arrays of ``Gradients`` in its order, zero on entry.
    """
    d_means, d_log_scales, d_quats, d_logits, d_sh, d_centres, contribution = out
    s = np.empty(SUMS, np.float64)
    basis, slope = np.empty(16, np.float64), np.empty((3, 16), np.float64)
    for i in range(start, stop):
        s[:] = 0
        for e in range(total[i], total[i + 1]):
            for c in range(SUMS):
                s[c] += sums[e, c]
        contribution[i] = s[WEIGHT]
        if s[WEIGHT] == 0:
            continue
        mx, my, mz = float(means[i, 0]), float(means[i, 1]), float(means[i, 2])
        t = to_view(cam, mx, my, mz)
        jw = screen_rows(cam, t[0], t[1], t[2])
        r, scales = orientation(log_scales, quats, i)
        u = half_axes(jw, r, scales)
        v00, v01, v11, gx, gy = covariance_grad(s, u, mip)
        du = half_axes_grad(v00, v01, v11, u)
        d_log_scales[i, 0] = u[0] * du[0] + u[3] * du[3]
        d_log_scales[i, 1] = u[1] * du[1] + u[4] * du[4]
        d_log_scales[i, 2] = u[2] * du[2] + u[5] * du[5]
        dr, djw = axes_grad(du, jw, r, scales)
        rotation_grad(dr, quats, i, d_quats)
        px, py, pz = position_grad(cam, t, jw, djw, gx, gy)
        cx, cy, cz = colour_grad(cam, bands, (mx, my, mz), sh[i], rows[i], s, basis, slope, d_sh[i])
        d_means[i, 0], d_means[i, 1], d_means[i, 2] = px + cx, py + cy, pz + cz
        d_logits[i] = s[H] / (1 + math.exp(logit_opacities[i]))
        d_centres[i, 0], d_centres[i, 1] = gx, gy
