"""SH basis of one direction and its derivatives, for the CPU kernels (twin: ``gscompress.sh.basis``)."""

from __future__ import annotations

from typing import Any

from gscompress.kernels.cpu_jit import splat_part
from gscompress.sh import C0, C1, C2, C3

C20, C21, C22, C23, C24 = C2
C30, C31, C32, C33, C34, C35, C36 = C3


@splat_part
def sh_basis(x: float, y: float, z: float, bands: int, out: Any) -> None:
    """Write the first ``bands`` (1, 4, 9 or 16) basis values of the unit direction (x, y, z) to ``out``."""
    out[0] = C0
    if bands < 4:
        return
    out[1], out[2], out[3] = -C1 * y, C1 * z, -C1 * x
    if bands < 9:
        return
    xx, yy, zz = x * x, y * y, z * z
    out[4], out[5], out[6] = C20 * x * y, C21 * y * z, C22 * (2 * zz - xx - yy)
    out[7], out[8] = C23 * x * z, C24 * (xx - yy)
    if bands < 16:
        return
    out[9], out[10], out[11] = C30 * y * (3 * xx - yy), C31 * x * y * z, C32 * y * (4 * zz - xx - yy)
    out[12], out[13] = C33 * z * (2 * zz - 3 * xx - 3 * yy), C34 * x * (4 * zz - xx - yy)
    out[14], out[15] = C35 * z * (xx - yy), C36 * x * (xx - 3 * yy)


@splat_part
def sh_basis_grad(x: float, y: float, z: float, bands: int, out: Any) -> None:
    """Write the partial derivatives of the basis polynomials by x, y and z to ``out`` (3, 16)."""
    out[:, :4] = 0
    if bands < 4:
        return
    dx, dy, dz = out[0], out[1], out[2]
    dy[1], dz[2], dx[3] = -C1, C1, -C1
    if bands < 9:
        return
    dx[4], dy[4], dz[4] = C20 * y, C20 * x, 0.0
    dx[5], dy[5], dz[5] = 0.0, C21 * z, C21 * y
    dx[6], dy[6], dz[6] = -2 * C22 * x, -2 * C22 * y, 4 * C22 * z
    dx[7], dy[7], dz[7] = C23 * z, 0.0, C23 * x
    dx[8], dy[8], dz[8] = 2 * C24 * x, -2 * C24 * y, 0.0
    if bands < 16:
        return
    xx, yy, zz = x * x, y * y, z * z
    dx[9], dy[9], dz[9] = 6 * C30 * x * y, 3 * C30 * (xx - yy), 0.0
    dx[10], dy[10], dz[10] = C31 * y * z, C31 * x * z, C31 * x * y
    dx[11], dy[11], dz[11] = -2 * C32 * x * y, C32 * (4 * zz - xx - 3 * yy), 8 * C32 * y * z
    dx[12], dy[12], dz[12] = -6 * C33 * x * z, -6 * C33 * y * z, 3 * C33 * (2 * zz - xx - yy)
    dx[13], dy[13], dz[13] = C34 * (4 * zz - 3 * xx - yy), -2 * C34 * x * y, 8 * C34 * x * z
    dx[14], dy[14], dz[14] = 2 * C35 * x * z, -2 * C35 * y * z, C35 * (xx - yy)
    dx[15], dy[15], dz[15] = 3 * C36 * (xx - yy), -6 * C36 * x * y, 0.0
