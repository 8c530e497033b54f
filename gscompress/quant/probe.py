"""Squares of one probe's gradients in each Gaussian's own axes: the obvious twin of ``kernels.cpu_squares``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.frame import quat_to_matrix

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F64 = npt.NDArray[np.float64]


def squares(quats: F64, g: Gradients) -> F64:
    """(N, 15): means (own axes) 3, log_scales 3, turns 3, dc 3, logit_opacities, higher sh (mean), contribution.

    quats: (N, 4) wxyz as stored; turns are radians about the Gaussian's own axes. The contribution is not squared.
    """
    axes = np.swapaxes(quat_to_matrix(quats), 1, 2)
    w, x, y, z = quats.T
    spins = 0.5 * np.stack([[-x, w, z, -y], [-y, -z, w, x], [-z, y, -x, w]]).transpose(2, 0, 1)
    higher = np.square(g.sh[:, 1:], dtype=np.float64)
    columns = [
        np.einsum("nkj,nj->nk", axes, g.means) ** 2,
        np.square(g.log_scales, dtype=np.float64),
        np.einsum("nkj,nj->nk", spins, g.quats) ** 2,
        np.square(g.sh[:, 0], dtype=np.float64),
        np.square(g.logit_opacities, dtype=np.float64)[:, None],
        higher.mean(axis=(1, 2))[:, None] if higher.size else np.zeros((len(quats), 1)),
        g.contribution[:, None],
    ]
    return np.concatenate(columns, axis=1)
