"""How far two scenes are apart, as a picture would show it: ellipsoids, not quaternions."""

from __future__ import annotations

import numpy as np

from gscompress.frame import quat_to_matrix
from gscompress.scene import Scene, Splats


def covariances(splats: Splats) -> np.ndarray:
    """(N, 3, 3) float64."""
    half = quat_to_matrix(splats.quats) * np.exp(splats.log_scales.astype(np.float64))[:, None]
    return half @ half.transpose(0, 2, 1)


def axis_angles(a: Splats, b: Splats) -> np.ndarray:
    """(N,) degrees between the same principal axes of two ellipsoids, the worst of three; their signs do not count."""
    turn = quat_to_matrix(a.quats).transpose(0, 2, 1) @ quat_to_matrix(b.quats)
    return np.degrees(np.arccos(np.clip(np.abs(np.diagonal(turn, axis1=1, axis2=2)).min(axis=1), 0, 1)))


def assert_same_picture(a: Scene, b: Scene, tolerance: float = 1e-5) -> None:
    """Equal up to float32 rounding, whatever axes and quaternions express it."""
    b = b.in_frame(a.frame)
    reach = np.abs(a.splats.means).max(initial=1)
    np.testing.assert_allclose(b.splats.means, a.splats.means, atol=tolerance * reach)
    x, y = covariances(a.splats), covariances(b.splats)
    size = np.trace(x, axis1=1, axis2=2)[:, None, None]
    assert np.abs((x - y) / size).max(initial=0) < 10 * tolerance
    np.testing.assert_allclose(b.splats.logit_opacities, a.splats.logit_opacities, atol=10 * tolerance, rtol=tolerance)
    np.testing.assert_allclose(b.splats.sh, a.splats.sh, atol=10 * tolerance)
