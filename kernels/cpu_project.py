"""Project Gaussians to screen ellipses and colours: one packed float32 row per Gaussian (EWA, Zwicker et al. 2001).

Slow twin: ``gscompress.renderers.reference.project``. Geometry runs in float64 scalars (it costs nothing here
and keeps far-away scenes exact); only the packed rows are float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gscompress.kernels.cpu_jit import splat_kernel, splat_part
from gscompress.kernels.cpu_sh import sh_basis

# Columns of a packed row. The exponent of a pixel at offset (dx, dy) from the centre, in base 2, is
# LOG + dx * (QXX * dx + QXY * dy) + QYY * dy * dy, so alpha = min(0.99, 2 ** exponent).
X, Y, QXX, QXY, QYY, LOG, RED, GREEN, BLUE, DEPTH = range(10)
# The ellipse alpha >= 1/255: half extents, x shift of its chord per unit of y, squared half chord at dy = 0,
# 1 / (half height)^2.
REACH_X, REACH_Y, SLOPE, CHORD2, INV_REACH2 = range(10, 15)
ROW = 16

# Entries of the camera vector.
FX, FY, CX, CY, WIDTH, HEIGHT, NEAR = range(7)
W2C, EYE, LIM_X0, LIM_X1, LIM_Y0, LIM_Y1 = 7, 19, 22, 23, 24, 25
CAMERA = 26

LOG2_E = 1.4426950408889634
LN_255 = 5.541263545158426
BLUR = 0.3
MARGIN = 1e-3  # widens the ellipse against float32 rounding; the pixel test decides


@splat_part
def rotation(w: float, x: float, y: float, z: float) -> Any:
    """The nine entries of the rotation matrix of a unit quaternion, row by row."""
    return (
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    )


@splat_part
def screen_rows(cam: Any, tx: float, ty: float, tz: float) -> Any:
    """The 2x3 matrix J W: derivative of the pixel position by world position, with gsplat's clamped view angle."""
    ux = min(max(tx / tz, -cam[LIM_X0]), cam[LIM_X1])
    uy = min(max(ty / tz, -cam[LIM_Y0]), cam[LIM_Y1])
    jx, jy = cam[FX] / tz, cam[FY] / tz
    w = W2C
    return (
        jx * (cam[w] - ux * cam[w + 8]),
        jx * (cam[w + 1] - ux * cam[w + 9]),
        jx * (cam[w + 2] - ux * cam[w + 10]),
        jy * (cam[w + 4] - uy * cam[w + 8]),
        jy * (cam[w + 5] - uy * cam[w + 9]),
        jy * (cam[w + 6] - uy * cam[w + 10]),
    )


@splat_part
def to_view(cam: Any, x: float, y: float, z: float) -> Any:
    """World point → view point."""
    w = W2C
    return (
        cam[w] * x + cam[w + 1] * y + cam[w + 2] * z + cam[w + 3],
        cam[w + 4] * x + cam[w + 5] * y + cam[w + 6] * z + cam[w + 7],
        cam[w + 8] * x + cam[w + 9] * y + cam[w + 10] * z + cam[w + 11],
    )


@splat_part
def orientation(log_scales: Any, quats: Any, i: int) -> Any:
    """Rotation (nine entries, row by row) and scales (three) of Gaussian i."""
    qw, qx, qy, qz = float(quats[i, 0]), float(quats[i, 1]), float(quats[i, 2]), float(quats[i, 3])
    inv = 1 / max(math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz), 1e-12)
    r = rotation(qw * inv, qx * inv, qy * inv, qz * inv)
    s0, s1, s2 = math.exp(log_scales[i, 0]), math.exp(log_scales[i, 1]), math.exp(log_scales[i, 2])
    return r, (s0, s1, s2)


@splat_part
def half_axes(jw: Any, r: Any, s: Any) -> Any:
    """The 2x3 matrix U = J W R S: the screen covariance is U U^T."""
    s0, s1, s2 = s
    return (
        (jw[0] * r[0] + jw[1] * r[3] + jw[2] * r[6]) * s0,
        (jw[0] * r[1] + jw[1] * r[4] + jw[2] * r[7]) * s1,
        (jw[0] * r[2] + jw[1] * r[5] + jw[2] * r[8]) * s2,
        (jw[3] * r[0] + jw[4] * r[3] + jw[5] * r[6]) * s0,
        (jw[3] * r[1] + jw[4] * r[4] + jw[5] * r[7]) * s1,
        (jw[3] * r[2] + jw[4] * r[5] + jw[5] * r[8]) * s2,
    )


@splat_kernel
def project(
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
    keys: Any,
) -> None:
    """Fill ``rows[start:stop]`` and ``keys`` (bits of the float32 view depth; 0 where nothing is drawn).

    cam: (26,) float64, see the constants. rows: (N, 16) float32 out. keys: (N,) uint32 out.
    """
    basis = np.empty(16, np.float64)
    depth = np.empty(1, np.float32)
    for i in range(start, stop):
        keys[i] = 0
        mx, my, mz = float(means[i, 0]), float(means[i, 1]), float(means[i, 2])
        tx, ty, tz = to_view(cam, mx, my, mz)
        if not cam[NEAR] < tz < 1e10:
            continue
        r, s = orientation(log_scales, quats, i)
        u = half_axes(screen_rows(cam, tx, ty, tz), r, s)
        bare_xx = u[0] * u[0] + u[1] * u[1] + u[2] * u[2]
        bare_yy = u[3] * u[3] + u[4] * u[4] + u[5] * u[5]
        xy = u[0] * u[3] + u[1] * u[4] + u[2] * u[5]
        xx, yy = bare_xx + BLUR, bare_yy + BLUR
        det = xx * yy - xy * xy
        if not 1e-10 < det < 1e30:
            continue
        log_opacity = -math.log1p(math.exp(-logit_opacities[i]))
        if mip:
            bare = (bare_xx * bare_yy - xy * xy) / det
            if not bare > 1e-30:
                continue
            log_opacity += 0.5 * math.log(bare)
        reach = 2 * (log_opacity + LN_255) + MARGIN
        px, py = cam[FX] * tx / tz + cam[CX], cam[FY] * ty / tz + cam[CY]
        rx, ry = math.sqrt(max(reach, 0.0) * xx), math.sqrt(max(reach, 0.0) * yy)
        if not (reach > 0 and px + rx > 0.5 and px - rx < cam[WIDTH] - 0.5):
            continue
        if not (py + ry > 0.5 and py - ry < cam[HEIGHT] - 0.5):
            continue
        dx, dy, dz = mx - cam[EYE], my - cam[EYE + 1], mz - cam[EYE + 2]
        inv = 1 / math.sqrt(dx * dx + dy * dy + dz * dz)
        sh_basis(dx * inv, dy * inv, dz * inv, bands, basis)
        red, green, blue = 0.5, 0.5, 0.5
        for k in range(bands):
            red += basis[k] * sh[i, k, 0]
            green += basis[k] * sh[i, k, 1]
            blue += basis[k] * sh[i, k, 2]
        if not max(abs(red), abs(green), abs(blue)) < 1e30:
            continue
        row = rows[i]
        row[X], row[Y] = px, py
        row[QXX], row[QXY], row[QYY] = -0.5 * LOG2_E * yy / det, LOG2_E * xy / det, -0.5 * LOG2_E * xx / det
        row[LOG] = LOG2_E * log_opacity
        row[RED], row[GREEN], row[BLUE] = max(red, 0.0), max(green, 0.0), max(blue, 0.0)
        row[DEPTH] = tz
        row[REACH_X], row[REACH_Y] = rx, ry
        row[SLOPE], row[CHORD2], row[INV_REACH2] = xy / yy, reach * det / yy, 1 / (ry * ry)
        depth[0] = tz
        keys[i] = depth.view(np.uint32)[0]
