"""Axis systems. A frame is three letters that say where +x, +y and +z point: R/L, U/D, F/B.

RDF is COLMAP and INRIA 3DGS, RUB is OpenGL, nerfstudio cameras, SPZ and glTF, RUF is Unity (left-handed),
RFU is Blender and other Z-up worlds, FRD and NED-like systems work as well: any of the 48 signed permutations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

# What each letter means as a vector in RUB (right, up, back).
_LETTER = {"R": (0, 1), "L": (0, -1), "U": (1, 1), "D": (1, -1), "B": (2, 1), "F": (2, -1)}


@dataclass(frozen=True, slots=True)
class Frame:
    """An axis system by its three letters, for example ``Frame("RDF")``. Raises UsageError on nonsense."""

    axes: str

    def __post_init__(self) -> None:
        letters = self.axes.upper()
        object.__setattr__(self, "axes", letters)
        if len(letters) != 3 or any(c not in _LETTER for c in letters) or len({_LETTER[c][0] for c in letters}) != 3:
            raise UsageError(
                f"'{self.axes}' is no axis system: give one of R/L, one of U/D and one of F/B, such as RDF"
            )

    @property
    def basis(self) -> npt.NDArray[np.float64]:
        """(3, 3): column j is the direction of axis j in RUB."""
        out = np.zeros((3, 3))
        for column, letter in enumerate(self.axes):
            row, sign = _LETTER[letter]
            out[row, column] = sign
        return out

    @property
    def right_handed(self) -> bool:
        return bool(np.linalg.det(self.basis) > 0)

    def matrix_to(self, other: Frame) -> npt.NDArray[np.float64]:
        """(3, 3) signed permutation M with x_other = M @ x_self; its determinant is -1 when handedness changes."""
        return other.basis.T @ self.basis


RDF = Frame("RDF")
RUB = Frame("RUB")
RUF = Frame("RUF")
RFU = Frame("RFU")


def quat_to_matrix(quats: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(N, 4) wxyz of any length to (N, 3, 3) rotations, float64. A zero quaternion becomes the identity."""
    q = np.asarray(quats, np.float64)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    q = np.where(norm > 0, q / np.where(norm > 0, norm, 1), [1.0, 0, 0, 0])
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*q.shape[:-1], 3, 3)


def matrix_to_quat(matrices: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(N, 3, 3) rotations to (N, 4) unit wxyz with w >= 0 (Shepperd 1978: the largest component first)."""
    m = np.asarray(matrices, np.float64)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1)
    a, b, c = m[..., 2, 1], m[..., 0, 2], m[..., 1, 0]
    d, e, f = m[..., 1, 2], m[..., 2, 0], m[..., 0, 1]
    rows = np.stack(
        [
            np.stack([squares[..., 0], a - d, b - e, c - f], -1),
            np.stack([a - d, squares[..., 1], c + f, b + e], -1),
            np.stack([b - e, c + f, squares[..., 2], a + d], -1),
            np.stack([c - f, b + e, a + d, squares[..., 3]], -1),
        ],
        -2,
    )
    best = np.argmax(squares, axis=-1)
    quat = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    quat = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
    return np.where(quat[..., :1] < 0, -quat, quat)


def rotate_quats(quats: npt.NDArray[Any], matrix: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Turn Gaussians by an orthogonal 3x3. A mirror is undone on the Gaussian's own x axis, which nobody sees."""
    turned = np.asarray(matrix, np.float64) @ quat_to_matrix(quats)
    if np.linalg.det(matrix) < 0:
        turned[..., 0] *= -1
    return matrix_to_quat(turned).astype(np.float32)
