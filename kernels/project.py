"""EWA projection: Gaussians in scene space → records (slots 0-5 and 9), and its vector–Jacobian product.

Zwicker et al., "EWA Splatting" (TVCG 2002), with the clamped-slope Jacobian and the 0.3 px^2 dilation of 3DGS
(Kerbl et al. 2023) and the opacity compensation of Mip-Splatting (Yu et al. 2024). The determinant of the
projected covariance M M^T (M is 2x3) is the squared cross product of M's rows, which stays exact where
a c - b^2 cancels. Arrays are planar, (channels, N), so that neighbouring lanes read neighbouring words.
"""

from __future__ import annotations

import numpy as np
import triton
import triton.language as tl

from gscompress.camera import Camera
from gscompress.kernels.record import BLUR, GAIN, LOG2_ALPHA_MIN, SLOTS

BLOCK = 128


def camera_vector(camera: Camera) -> np.ndarray:
    """(24,) float32: w2c's three rows, fx, fy, cx, cy, slope limits (-x, +x, -y, +y), near, centre in scene units."""
    margin_x, margin_y = 0.15 * camera.width / camera.fx, 0.15 * camera.height / camera.fy
    limits = [
        -camera.cx / camera.fx - margin_x,
        (camera.width - camera.cx) / camera.fx + margin_x,
        -camera.cy / camera.fy - margin_y,
        (camera.height - camera.cy) / camera.fy + margin_y,
    ]
    intrinsics = [camera.fx, camera.fy, camera.cx, camera.cy]
    return np.concatenate([camera.w2c[:3].ravel(), intrinsics, limits, [camera.near], camera.position]).astype(
        np.float32
    )


@triton.jit
def _turn(camera: tl.tensor, row: tl.constexpr, x: tl.tensor, y: tl.tensor, z: tl.tensor) -> tl.tensor:
    """Row ``row`` of the view rotation times (x, y, z)."""
    at = camera + 4 * row
    return tl.load(at) * x + tl.load(at + 1) * y + tl.load(at + 2) * z


@triton.jit
def _unturn(camera: tl.tensor, column: tl.constexpr, x: tl.tensor, y: tl.tensor, z: tl.tensor) -> tl.tensor:
    """Column ``column`` of the view rotation times (x, y, z)."""
    at = camera + column
    return tl.load(at) * x + tl.load(at + 4) * y + tl.load(at + 8) * z


@triton.jit
def view(camera: tl.tensor, x: tl.tensor, y: tl.tensor, z: tl.tensor) -> tuple[tl.tensor, ...]:
    """Slopes x / z and y / z in view space, the same clamped to the picture's margin, depth, and whether it is drawn.

    The depth of what is nearer than ``near`` is replaced by 1, so that no infinity arises.
    """
    tx = _turn(camera, 0, x, y, z) + tl.load(camera + 3)
    ty = _turn(camera, 1, x, y, z) + tl.load(camera + 7)
    tz = _turn(camera, 2, x, y, z) + tl.load(camera + 11)
    drawn = tz > tl.load(camera + 20)
    tz = tl.where(drawn, tz, 1.0)
    sx, sy = tx / tz, ty / tz
    ux = tl.minimum(tl.maximum(sx, tl.load(camera + 16)), tl.load(camera + 17))
    uy = tl.minimum(tl.maximum(sy, tl.load(camera + 18)), tl.load(camera + 19))
    return sx, sy, ux, uy, tz, drawn


@triton.jit
def _image_axis(
    camera: tl.tensor, ux: tl.tensor, uy: tl.tensor, tz: tl.tensor, x: tl.tensor, y: tl.tensor, z: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """J W (x, y, z), in pixels per scene unit, and the component of (x, y, z) along the view axis."""
    along = _turn(camera, 2, x, y, z)
    in_x = tl.load(camera + 12) / tz * (_turn(camera, 0, x, y, z) - ux * along)
    in_y = tl.load(camera + 13) / tz * (_turn(camera, 1, x, y, z) - uy * along)
    return in_x, in_y, along


@triton.jit
def image_axes(
    camera: tl.tensor,
    ux: tl.tensor,
    uy: tl.tensor,
    tz: tl.tensor,
    w: tl.tensor,
    x: tl.tensor,
    y: tl.tensor,
    z: tl.tensor,
) -> tuple[tl.tensor, ...]:
    """J W R for a unit quaternion: (x, y, along) of each of the three principal axes."""
    a0, b0, c0 = _image_axis(camera, ux, uy, tz, 1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    a1, b1, c1 = _image_axis(camera, ux, uy, tz, 2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
    a2, b2, c2 = _image_axis(camera, ux, uy, tz, 2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y))
    return a0, b0, c0, a1, b1, c1, a2, b2, c2


@triton.jit
def covariance(
    a0: tl.tensor, b0: tl.tensor, a1: tl.tensor, b1: tl.tensor, a2: tl.tensor, b2: tl.tensor
) -> tuple[tl.tensor, ...]:
    """Dilated 2D covariance (xx, xy, yy) of M M^T, and its determinant before and after the dilation."""
    xx, xy, yy = a0 * a0 + a1 * a1 + a2 * a2, a0 * b0 + a1 * b1 + a2 * b2, b0 * b0 + b1 * b1 + b2 * b2
    n0, n1, n2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    sharp = n0 * n0 + n1 * n1 + n2 * n2
    return xx + BLUR, xy, yy + BLUR, sharp, sharp + BLUR * (xx + yy) + BLUR * BLUR


@triton.jit
def store_geometry(
    records: tl.tensor,
    row: tl.tensor,
    inside: tl.tensor,
    camera: tl.tensor,
    x: tl.tensor,
    y: tl.tensor,
    z: tl.tensor,
    s0: tl.tensor,
    s1: tl.tensor,
    s2: tl.tensor,
    qw: tl.tensor,
    qx: tl.tensor,
    qy: tl.tensor,
    qz: tl.tensor,
    opacity: tl.tensor,
    MIP: tl.constexpr,
) -> None:
    """Project activated Gaussians (linear scales, unit quaternions, opacity in [0, 1]) and store slots 0-5 and 9."""
    sx, sy, ux, uy, tz, drawn = view(camera, x, y, z)
    a0, b0, _c0, a1, b1, _c1, a2, b2, _c2 = image_axes(camera, ux, uy, tz, qw, qx, qy, qz)
    _xx, xy, yy, sharp, det = covariance(a0 * s0, b0 * s0, a1 * s1, b1 * s1, a2 * s2, b2 * s2)
    log2_opacity = tl.log2(opacity)
    if MIP:
        log2_opacity += 0.5 * (tl.log2(sharp) - tl.log2(det))
    drawn = drawn & (log2_opacity >= LOG2_ALPHA_MIN) & (det < float("inf"))
    p = GAIN * tl.sqrt(yy / det)
    at = records + row.to(tl.int64) * SLOTS
    tl.store(at, tl.where(drawn, tl.load(camera + 12) * sx + tl.load(camera + 14), 0.0), mask=inside)
    tl.store(at + 1, tl.where(drawn, tl.load(camera + 13) * sy + tl.load(camera + 15), 0.0), mask=inside)
    tl.store(at + 2, tl.where(drawn, p, 1.0), mask=inside)
    tl.store(at + 3, tl.where(drawn, -p * xy / yy, 0.0), mask=inside)
    tl.store(at + 4, tl.where(drawn, GAIN * tl.rsqrt(yy), 1.0), mask=inside)
    tl.store(at + 5, tl.where(drawn, log2_opacity, float("-inf")), mask=inside)
    tl.store(at + 9, tl.where(drawn, tz, float("inf")), mask=inside)


@triton.jit
def activated(
    log_scales: tl.tensor, quats: tl.tensor, logits: tl.tensor, n: tl.tensor, row: tl.tensor, inside: tl.tensor
) -> tuple[tl.tensor, ...]:
    """Linear scales (3), unit quaternion (4), inverse quaternion length and opacity of the Gaussians at ``row``."""
    s0 = tl.exp(tl.load(log_scales + row, mask=inside, other=0.0))
    s1 = tl.exp(tl.load(log_scales + n + row, mask=inside, other=0.0))
    s2 = tl.exp(tl.load(log_scales + 2 * n + row, mask=inside, other=0.0))
    w = tl.load(quats + row, mask=inside, other=1.0)
    x = tl.load(quats + n + row, mask=inside, other=0.0)
    y = tl.load(quats + 2 * n + row, mask=inside, other=0.0)
    z = tl.load(quats + 3 * n + row, mask=inside, other=0.0)
    shrink = tl.rsqrt(tl.maximum(w * w + x * x + y * y + z * z, 1e-24))
    opacity = 1 / (1 + tl.exp(-tl.load(logits + row, mask=inside, other=0.0)))
    return s0, s1, s2, w * shrink, x * shrink, y * shrink, z * shrink, shrink, opacity


@triton.jit
def project_kernel(
    means: tl.tensor,
    log_scales: tl.tensor,
    quats: tl.tensor,
    logits: tl.tensor,
    camera: tl.tensor,
    records: tl.tensor,
    n: tl.tensor,
    MIP: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n
    x = tl.load(means + row, mask=inside, other=0.0)
    y = tl.load(means + n + row, mask=inside, other=0.0)
    z = tl.load(means + 2 * n + row, mask=inside, other=0.0)
    s0, s1, s2, qw, qx, qy, qz, _shrink, opacity = activated(log_scales, quats, logits, n, row, inside)
    store_geometry(records, row, inside, camera, x, y, z, s0, s1, s2, qw, qx, qy, qz, opacity, MIP)


@triton.jit
def _covariance_gradient(
    xx: tl.tensor,
    xy: tl.tensor,
    yy: tl.tensor,
    det: tl.tensor,
    sharp: tl.tensor,
    gradient: tl.tensor,
    MIP: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """dL/d(xx, xy, yy), xy counted once, of the record gradient at ``gradient`` (p, r, m and, for mip, opacity)."""
    p = GAIN * tl.sqrt(yy / det)
    r, m = -p * xy / yy, GAIN * tl.rsqrt(yy)
    gp, gr, gm = tl.load(gradient + 2), tl.load(gradient + 3), tl.load(gradient + 4)
    g_det = -(gp * p + gr * r) / (2 * det)
    g_xx = g_det * yy
    g_xy = -gr * p / yy - 2 * g_det * xy
    g_yy = (gp * p - gr * r - gm * m) / (2 * yy) + g_det * xx
    if MIP:
        g_log2 = tl.load(gradient + 5)
        scale = 0.5 * 1.4426950408889634 * g_log2
        g_sharp, g_wide = scale / tl.maximum(sharp, 1e-30), scale / det
        g_xx += g_sharp * (yy - BLUR) - g_wide * yy
        g_xy += -2 * xy * (g_sharp - g_wide)
        g_yy += g_sharp * (xx - BLUR) - g_wide * xx
    return g_xx, g_xy, g_yy


@triton.jit
def _rotation_gradient(
    camera: tl.tensor,
    jx: tl.tensor,
    jy: tl.tensor,
    ux: tl.tensor,
    uy: tl.tensor,
    ga: tl.tensor,
    gb: tl.tensor,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Gradient of a principal axis in scene space, W^T J^T, from that of its picture-plane components."""
    v0, v1 = jx * ga, jy * gb
    v2 = -ux * v0 - uy * v1
    return _unturn(camera, 0, v0, v1, v2), _unturn(camera, 1, v0, v1, v2), _unturn(camera, 2, v0, v1, v2)


@triton.jit
def project_backward_kernel(
    means: tl.tensor,
    log_scales: tl.tensor,
    quats: tl.tensor,
    logits: tl.tensor,
    camera: tl.tensor,
    records: tl.tensor,
    record_grads: tl.tensor,
    mean_grads: tl.tensor,
    log_scale_grads: tl.tensor,
    quat_grads: tl.tensor,
    logit_grads: tl.tensor,
    n: tl.tensor,
    MIP: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Pull record gradients (slots 0-5) back to the stored parameters; what was not drawn gets zeros."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n
    safe = tl.where(inside, row, 0)
    at = safe.to(tl.int64) * SLOTS
    drawn = inside & (tl.load(records + at + 5) >= LOG2_ALPHA_MIN)
    x, y, z = tl.load(means + safe), tl.load(means + n + safe), tl.load(means + 2 * n + safe)
    s0, s1, s2, qw, qx, qy, qz, shrink, opacity = activated(log_scales, quats, logits, n, row, inside)
    sx, sy, ux, uy, tz, _near = view(camera, x, y, z)
    a0, b0, c0, a1, b1, c1, a2, b2, c2 = image_axes(camera, ux, uy, tz, qw, qx, qy, qz)
    xx, xy, yy, sharp, det = covariance(a0 * s0, b0 * s0, a1 * s1, b1 * s1, a2 * s2, b2 * s2)
    g_xx, g_xy, g_yy = _covariance_gradient(xx, xy, yy, det, sharp, record_grads + at, MIP)

    # dM = (G + G^T) M, column by column, as gradients of J W R (divided by the scale again).
    ga0, gb0 = (2 * g_xx * a0 + g_xy * b0) * s0 * s0, (2 * g_yy * b0 + g_xy * a0) * s0 * s0
    ga1, gb1 = (2 * g_xx * a1 + g_xy * b1) * s1 * s1, (2 * g_yy * b1 + g_xy * a1) * s1 * s1
    ga2, gb2 = (2 * g_xx * a2 + g_xy * b2) * s2 * s2, (2 * g_yy * b2 + g_xy * a2) * s2 * s2
    along0, along1, along2 = ga0 * a0 + gb0 * b0, ga1 * a1 + gb1 * b1, ga2 * a2 + gb2 * b2
    tl.store(log_scale_grads + row, tl.where(drawn, along0, 0.0), mask=inside)
    tl.store(log_scale_grads + n + row, tl.where(drawn, along1, 0.0), mask=inside)
    tl.store(log_scale_grads + 2 * n + row, tl.where(drawn, along2, 0.0), mask=inside)
    g_logit = tl.load(record_grads + at + 5) * 1.4426950408889634 * (1 - opacity)
    tl.store(logit_grads + row, tl.where(drawn, g_logit, 0.0), mask=inside)

    jx, jy = tl.load(camera + 12) / tz, tl.load(camera + 13) / tz
    gu = tl.load(record_grads + at) * tl.load(camera + 12)
    gv = tl.load(record_grads + at + 1) * tl.load(camera + 13)
    gu += tl.where(sx == ux, -jx * (ga0 * c0 + ga1 * c1 + ga2 * c2), 0.0)
    gv += tl.where(sy == uy, -jy * (gb0 * c0 + gb1 * c1 + gb2 * c2), 0.0)
    gx, gy = gu / tz, gv / tz
    gz = -(gu * sx + gv * sy + along0 + along1 + along2) / tz
    tl.store(mean_grads + row, tl.where(drawn, _unturn(camera, 0, gx, gy, gz), 0.0), mask=inside)
    tl.store(mean_grads + n + row, tl.where(drawn, _unturn(camera, 1, gx, gy, gz), 0.0), mask=inside)
    tl.store(mean_grads + 2 * n + row, tl.where(drawn, _unturn(camera, 2, gx, gy, gz), 0.0), mask=inside)

    r00, r10, r20 = _rotation_gradient(camera, jx, jy, ux, uy, ga0, gb0)
    r01, r11, r21 = _rotation_gradient(camera, jx, jy, ux, uy, ga1, gb1)
    r02, r12, r22 = _rotation_gradient(camera, jx, jy, ux, uy, ga2, gb2)
    gqw = 2 * (qx * (r21 - r12) + qy * (r02 - r20) + qz * (r10 - r01))
    gqx = 2 * (qw * (r21 - r12) + qy * (r01 + r10) + qz * (r02 + r20) - 2 * qx * (r11 + r22))
    gqy = 2 * (qw * (r02 - r20) + qx * (r01 + r10) + qz * (r12 + r21) - 2 * qy * (r00 + r22))
    gqz = 2 * (qw * (r10 - r01) + qx * (r02 + r20) + qy * (r12 + r21) - 2 * qz * (r00 + r11))
    radial = gqw * qw + gqx * qx + gqy * qy + gqz * qz
    tl.store(quat_grads + row, tl.where(drawn, (gqw - radial * qw) * shrink, 0.0), mask=inside)
    tl.store(quat_grads + n + row, tl.where(drawn, (gqx - radial * qx) * shrink, 0.0), mask=inside)
    tl.store(quat_grads + 2 * n + row, tl.where(drawn, (gqy - radial * qy) * shrink, 0.0), mask=inside)
    tl.store(quat_grads + 3 * n + row, tl.where(drawn, (gqz - radial * qz) * shrink, 0.0), mask=inside)
