"""Real spherical harmonics in the 3DGS basis and sign, degree 0 to 3.

The polynomials are those of Sloan, "Efficient Spherical Harmonic Evaluation" (JCGT 2013), with the signs
that the 3DGS reference uses; colour = 0.5 + sum_k basis_k(direction) * sh_k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


def degree_of(bands: int) -> int:
    """SH degree for a number of coefficients per channel (1, 4, 9 or 16). Raises UsageError."""
    if bands not in (1, 4, 9, 16):
        raise UsageError(f"{bands} SH coefficients per channel: expected 1, 4, 9 or 16")
    return {1: 0, 4: 1, 9: 2, 16: 3}[bands]


def basis(directions: npt.NDArray[Any], degree: int) -> npt.NDArray[Any]:
    """Evaluate the basis. directions: (..., 3) unit vectors; returns (..., (degree + 1)^2)."""
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    columns = [np.full_like(x, C0)]
    if degree > 0:
        columns += [-C1 * y, C1 * z, -C1 * x]
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        columns += [
            C2[0] * x * y,
            C2[1] * y * z,
            C2[2] * (2 * zz - xx - yy),
            C2[3] * x * z,
            C2[4] * (xx - yy),
        ]
    if degree > 2:
        columns += [
            C3[0] * y * (3 * xx - yy),
            C3[1] * x * y * z,
            C3[2] * y * (4 * zz - xx - yy),
            C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            C3[4] * x * (4 * zz - xx - yy),
            C3[5] * z * (xx - yy),
            C3[6] * x * (xx - 3 * yy),
        ]
    return np.stack(columns, axis=-1)


def rotation_matrices(matrix: npt.NDArray[Any], degree: int) -> npt.NDArray[np.float64]:
    """Block matrix M (K, K) with basis(R d) = basis(d) @ M.T... applied as sh' = M @ sh for a turned scene.

    ``matrix`` is any orthogonal 3x3 (mirrors included). Each degree is closed under turning, so its block
    follows from the basis at a few directions by least squares, exact to rounding.
    """
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = basis(directions, degree)
    after = basis(directions @ np.asarray(matrix, np.float64).T, degree)
    out = np.zeros((before.shape[1],) * 2)
    for band in range(degree + 1):
        block = slice(band * band, (band + 1) ** 2)
        out[block, block] = np.linalg.lstsq(after[:, block], before[:, block], rcond=None)[0]
    return out


def rotate_sh(sh: npt.NDArray[np.float32], matrix: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Turn SH coefficients with the scene: the colour seen along R d afterwards is that along d before."""
    degree = degree_of(sh.shape[1])
    if degree == 0:
        return sh
    turn = rotation_matrices(matrix, degree).astype(np.float32)
    return np.einsum("kj,njc->nkc", turn, sh, optimize=True).astype(np.float32)
