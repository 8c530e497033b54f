"""Shapes of Gaussians in forms that cluster well: one way of writing each ellipsoid, and covariances of unit size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.frame import matrix_to_quat, quat_to_matrix
from gscompress.quant.rotation import sort_axes
from gscompress.quant.spherical import canonical
from gscompress.scene import Splats

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
_ROWS, _COLUMNS = np.array([0, 1, 2, 0, 0, 1]), np.array([0, 1, 2, 1, 2, 2])
_WEIGHT = np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])  # so that distances of the six are those of the matrices
_THINNEST = 1e-4  # smallest axis of a code, relative to the root of the sum of squared axes


def in_one_form(splats: Splats) -> Splats:
    """The same ellipsoids with axes in descending order and, of the rotations that this leaves, the smallest.

    An ellipsoid has 48 ways of being written (orders of its axes, half-turns, the quaternion's sign); k-means would
    spend codes on each.
    """
    log_scales, axes = sort_axes(splats.log_scales, splats.quats)
    axes[:, 2] *= np.sign(np.linalg.det(axes))[:, None] if len(axes) else 1.0
    quats = canonical(matrix_to_quat(np.swapaxes(axes, 1, 2)))
    return replace(splats, log_scales=log_scales.astype(np.float32), quats=quats.astype(np.float32))


def unit_covariances(log_scales: npt.NDArray[Any], quats: npt.NDArray[Any]) -> tuple[F32, F64]:
    """(N, 6) covariances of ellipsoids scaled to trace 1, off-diagonal entries times sqrt 2, and (N,) the log of the
    root of the trace that they had (Niedermayr et al. 2024)."""
    size = 0.5 * np.log(np.exp(2 * np.asarray(log_scales, np.float64)).sum(1))
    axes = quat_to_matrix(quats)
    spread = axes * np.exp(2 * (log_scales - size[:, None]))[:, None, :]
    covariances = spread @ np.swapaxes(axes, 1, 2)
    return (covariances[:, _ROWS, _COLUMNS] * _WEIGHT).astype(np.float32), size


def from_covariances(entries: npt.NDArray[Any]) -> tuple[F32, F32]:
    """Log scales (K, 3), descending, and quats (K, 4) of (K, 6) entries as above."""
    matrices = np.empty((len(entries), 3, 3))
    matrices[:, _ROWS, _COLUMNS] = matrices[:, _COLUMNS, _ROWS] = entries / _WEIGHT
    squares, axes = np.linalg.eigh(matrices)
    squares, axes = squares[:, ::-1], axes[:, :, ::-1].copy()
    axes[:, :, 2] *= np.sign(np.linalg.det(axes))[:, None] if len(axes) else 1.0
    log_scales = 0.5 * np.log(np.maximum(squares, _THINNEST**2))
    return log_scales.astype(np.float32), canonical(matrix_to_quat(axes)).astype(np.float32)
