"""SH basis of one direction and its derivatives, for the CPU kernels (twin: ``gscompress.sh.basis``)."""

from __future__ import annotations

from typing import Any

import numba as nb

from gscompress.sh import C0, C1, C2, C3

C20, C21, C22, C23, C24 = C2
C30, C31, C32, C33, C34, C35, C36 = C3


@nb.njit(nogil=True, fastmath=True, cache=True)
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
