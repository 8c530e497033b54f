"""Add up what one probe says: squares of a picture's gradients, turned into each Gaussian's own axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from gscompress.frame import quat_to_matrix

COLUMNS = 15
"""means (own axes) 3, log_scales 3, turns 3, dc 3, logit_opacities, higher sh (mean), contribution."""
F64 = npt.NDArray[np.float64]


def add_slowly(
    sums: F64, q: F64, means: Any, log_scales: Any, quats: Any, logit_opacities: Any, sh: Any, contribution: Any
) -> None:
    """The obvious twin of ``add``."""
    seen = np.flatnonzero(contribution > 0)
    axes = np.swapaxes(quat_to_matrix(q), 1, 2)
    w, x, y, z = q.T
    spins = 0.5 * np.stack([[-x, w, z, -y], [-y, -z, w, x], [-z, y, -x, w]]).transpose(2, 0, 1)
    sums[seen, 0:3] += np.einsum("nkj,nj->nk", axes[seen], means[seen]) ** 2
    sums[seen, 3:6] += np.square(log_scales[seen], dtype=np.float64)
    sums[seen, 6:9] += np.einsum("nkj,nj->nk", spins[seen], quats[seen]) ** 2
    sums[seen, 9:12] += np.square(sh[seen, 0], dtype=np.float64)
    sums[seen, 12] += np.square(logit_opacities[seen], dtype=np.float64)
    if sh.shape[1] > 1:
        sums[seen, 13] += np.square(sh[seen, 1:], dtype=np.float64).mean(axis=(1, 2))
    sums[seen, 14] += contribution[seen]


@njit(cache=True, nogil=True)
def add(  # type: ignore[no-untyped-def]
    sums, q, means, log_scales, quats, logit_opacities, sh, contribution
):
    """Add one probe to ``sums`` (N, COLUMNS).

    q: (N, 4) the scene's quaternions wxyz, float64; turns are radians about the Gaussian's own axes, measured on the
    quaternion as it is stored. The rest: gradients as ``renderers.base.Gradients`` has them. Rows whose
    ``contribution`` is 0 stay as they are.
    """
    higher = (sh.shape[1] - 1) * 3
    for i in range(len(sums)):
        if not contribution[i] > 0:
            continue
        w, x, y, z = q[i]
        norm = np.sqrt(w * w + x * x + y * y + z * z)
        scale = 1 / norm if norm > 0 else 0.0
        a, b, c, d = w * scale, x * scale, y * scale, z * scale
        u, v, t = np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2])
        sums[i, 0] += ((1 - 2 * (c * c + d * d)) * u + 2 * (b * c + a * d) * v + 2 * (b * d - a * c) * t) ** 2
        sums[i, 1] += (2 * (b * c - a * d) * u + (1 - 2 * (b * b + d * d)) * v + 2 * (c * d + a * b) * t) ** 2
        sums[i, 2] += (2 * (b * d + a * c) * u + 2 * (c * d - a * b) * v + (1 - 2 * (b * b + c * c)) * t) ** 2
        gw, gx, gy, gz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        sums[i, 6] += (0.5 * (-x * gw + w * gx + z * gy - y * gz)) ** 2
        sums[i, 7] += (0.5 * (-y * gw - z * gx + w * gy + x * gz)) ** 2
        sums[i, 8] += (0.5 * (-z * gw + y * gx - x * gy + w * gz)) ** 2
        for k in range(3):
            sums[i, 3 + k] += np.float64(log_scales[i, k]) ** 2
            sums[i, 9 + k] += np.float64(sh[i, 0, k]) ** 2
        sums[i, 12] += np.float64(logit_opacities[i]) ** 2
        total = 0.0
        for j in range(1, sh.shape[1]):
            for k in range(3):
                total += np.float64(sh[i, j, k]) ** 2
        if higher:
            sums[i, 13] += total / higher
        sums[i, 14] += contribution[i]
