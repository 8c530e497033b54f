"""Spherical harmonics → colour (slots 6-8 of the records), and its vector–Jacobian product.

Basis, signs and sources as in ``gscompress.sh``, whose ``basis`` is the slow twin. Coefficients are planar,
(3 K, N) with the channel fastest: sh[3 k + c, n]. Gaussians that are not drawn are not read.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gscompress.kernels.record import SLOTS

BLOCK = 128
C0 = tl.constexpr(0.28209479177387814)
C1 = tl.constexpr(0.4886025119029199)
C20 = tl.constexpr(1.0925484305920792)
C22 = tl.constexpr(0.31539156525252005)
C24 = tl.constexpr(0.5462742152960396)
C30 = tl.constexpr(-0.5900435899266435)
C31 = tl.constexpr(2.890611442640554)
C32 = tl.constexpr(-0.4570457994644658)
C33 = tl.constexpr(0.3731763325901154)
C35 = tl.constexpr(1.445305721320277)


@triton.jit
def view_direction(
    camera: tl.tensor, x: tl.tensor, y: tl.tensor, z: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Unit vector from the camera centre to (x, y, z), and the inverse distance."""
    x -= tl.load(camera + 21)
    y -= tl.load(camera + 22)
    z -= tl.load(camera + 23)
    near = tl.rsqrt(tl.maximum(x * x + y * y + z * z, 1e-24))
    return x * near, y * near, z * near, near


@triton.jit
def sh_basis(x: tl.tensor, y: tl.tensor, z: tl.tensor) -> tuple[tl.tensor, ...]:
    """The fifteen basis functions of degrees 1 to 3 at a unit vector; unused ones cost nothing."""
    xx, yy, zz = x * x, y * y, z * z
    return (
        -C1 * y,
        C1 * z,
        -C1 * x,
        C20 * x * y,
        -C20 * y * z,
        C22 * (2 * zz - xx - yy),
        -C20 * x * z,
        C24 * (xx - yy),
        C30 * y * (3 * xx - yy),
        C31 * x * y * z,
        C32 * y * (4 * zz - xx - yy),
        C33 * z * (2 * zz - 3 * xx - 3 * yy),
        C32 * x * (4 * zz - xx - yy),
        C35 * z * (xx - yy),
        C30 * x * (xx - 3 * yy),
    )


@triton.jit
def sh_kernel(
    means: tl.tensor,
    sh: tl.tensor,
    camera: tl.tensor,
    records: tl.tensor,
    n: tl.tensor,
    BANDS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """BANDS = (degree + 1)^2 coefficients per channel are used."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n
    at = records + row.to(tl.int64) * SLOTS
    drawn = tl.load(at + 5, mask=inside, other=float("-inf")) > float("-inf")
    x = tl.load(means + row, mask=drawn, other=0.0)
    y = tl.load(means + n + row, mask=drawn, other=0.0)
    z = tl.load(means + 2 * n + row, mask=drawn, other=0.0)
    x, y, z, _near = view_direction(camera, x, y, z)
    basis = sh_basis(x, y, z)
    for channel in tl.static_range(3):
        plane = sh + channel * n + row
        colour = 0.5 + C0 * tl.load(plane, mask=drawn, other=0.0)
        for band in tl.static_range(1, BANDS):
            plane += 3 * n
            colour += basis[band - 1] * tl.load(plane, mask=drawn, other=0.0)
        tl.store(at + 6 + channel, tl.maximum(colour, 0.0), mask=inside)


@triton.jit
def sh_slopes(x: tl.tensor, y: tl.tensor, z: tl.tensor) -> tuple[tuple[tl.tensor, ...], ...]:
    """Derivatives by x, by y and by z of the polynomials of ``sh_basis``, as written there."""
    xx, yy, zz = x * x, y * y, z * z
    xy, yz, xz = x * y, y * z, x * z
    o, one = tl.zeros_like(x), tl.zeros_like(x) + 1
    by_x = (o, o, -C1 * one, C20 * y, o, -2 * C22 * x, -C20 * z, 2 * C24 * x)
    by_y = (-C1 * one, o, o, C20 * x, -C20 * z, -2 * C22 * y, o, -2 * C24 * y)
    by_z = (o, C1 * one, o, o, -C20 * y, 4 * C22 * z, -C20 * x, o)
    a, b = 3 * C30 * (xx - yy), 6 * C30 * xy
    by_x += (b, C31 * yz, -2 * C32 * xy, -6 * C33 * xz, C32 * (4 * zz - 3 * xx - yy), 2 * C35 * xz, a)
    by_y += (a, C31 * xz, C32 * (4 * zz - xx - 3 * yy), -6 * C33 * yz, -2 * C32 * xy, -2 * C35 * yz, -b)
    by_z += (o, C31 * xy, 8 * C32 * yz, 3 * C33 * (2 * zz - xx - yy), 8 * C32 * xz, C35 * (xx - yy), o)
    return by_x, by_y, by_z


@triton.jit
def sh_backward_kernel(
    means: tl.tensor,
    sh: tl.tensor,
    camera: tl.tensor,
    records: tl.tensor,
    record_grads: tl.tensor,
    mean_grads: tl.tensor,
    sh_grads: tl.tensor,
    n: tl.tensor,
    BANDS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Pull record gradients (slots 6-8) back to the coefficients, and *add* the share of the direction to the means."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n
    at = row.to(tl.int64) * SLOTS
    drawn = tl.load(records + at + 5, mask=inside, other=float("-inf")) > float("-inf")
    x = tl.load(means + row, mask=drawn, other=0.0)
    y = tl.load(means + n + row, mask=drawn, other=0.0)
    z = tl.load(means + 2 * n + row, mask=drawn, other=0.0)
    x, y, z, near = view_direction(camera, x, y, z)
    basis = sh_basis(x, y, z)
    by_x, by_y, by_z = sh_slopes(x, y, z)
    gx, gy, gz = tl.zeros_like(x), tl.zeros_like(x), tl.zeros_like(x)
    for channel in tl.static_range(3):
        lit = tl.load(records + at + 6 + channel, mask=drawn, other=0.0) > 0
        pull = tl.load(record_grads + at + 6 + channel, mask=lit, other=0.0)
        plane, out = sh + channel * n + row, sh_grads + channel * n + row
        tl.store(out, pull * C0, mask=inside)
        for band in tl.static_range(1, BANDS):
            plane += 3 * n
            out += 3 * n
            tl.store(out, pull * basis[band - 1], mask=inside)
            weight = pull * tl.load(plane, mask=lit, other=0.0)
            gx += weight * by_x[band - 1]
            gy += weight * by_y[band - 1]
            gz += weight * by_z[band - 1]
    radial = gx * x + gy * y + gz * z
    tl.store(mean_grads + row, tl.load(mean_grads + row, mask=drawn) + (gx - radial * x) * near, mask=drawn)
    out = mean_grads + n + row
    tl.store(out, tl.load(out, mask=drawn) + (gy - radial * y) * near, mask=drawn)
    out += n
    tl.store(out, tl.load(out, mask=drawn) + (gz - radial * z) * near, mask=drawn)
