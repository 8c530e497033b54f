"""From what files hold (rotations that are nearly orthonormal, camera-to-world, OpenGL axes) to a Camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.errors import UnreadableError, UsageError

GL_TO_CV = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL and Blender cameras look along -z with y up; ours look along +z with y down."""
SLACK = 0.02
"""How far R Rᵀ may be from the identity before a pose counts as broken instead of rounded."""


def plausible(values: Any) -> bool:
    """Whether all numbers are finite and small enough (under 1e30) to be squared, added and stored as float32."""
    with np.errstate(invalid="ignore"):
        return bool((np.abs(np.asarray(values, np.float64)) < 1e30).all())


def rotation(matrix: npt.NDArray[Any], where: str) -> npt.NDArray[np.float64]:
    """The rotation nearest to a (3, 3) matrix. Raises UnreadableError when it is not nearly one."""
    if not plausible(matrix) or np.abs(matrix @ matrix.T - np.eye(3)).max() > SLACK or np.linalg.det(matrix) < 0:
        raise UnreadableError(f"{where}: the rotation is not orthonormal and right-handed")
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt


def from_w2c(turn: npt.NDArray[Any], shift: npt.NDArray[Any], where: str) -> npt.NDArray[np.float64]:
    """(4, 4) world-to-camera from a (3, 3) rotation and a (3,) translation."""
    out = np.eye(4)
    out[:3, :3] = rotation(turn, where)
    out[:3, 3] = shift
    return out


def from_c2w(turn: npt.NDArray[Any], centre: npt.NDArray[Any], where: str) -> npt.NDArray[np.float64]:
    """(4, 4) world-to-camera from the camera's axes (columns of a (3, 3)) and its (3,) centre."""
    turn = rotation(turn, where).T
    return from_w2c(turn, -turn @ centre, where)


def pinhole(
    size: tuple[float, float],
    focal: tuple[float, float],
    centre: tuple[float, float],
    w2c: npt.NDArray[Any],
    name: str,
    where: str,
) -> Camera:
    """A Camera from numbers out of a file. Raises UnreadableError for sizes and focal lengths that are out of range."""
    if not all(1 <= side <= 32768 and side == int(side) for side in size):
        raise UnreadableError(f"{where}: a picture of {size[0]:g}x{size[1]:g} pixels is out of range (1 to 32768)")
    if not all(side / 1000 < pixels < side * 1e5 for side, pixels in zip(size, focal, strict=True)):
        raise UnreadableError(f"{where}: focal lengths of {focal[0]:g} and {focal[1]:g} pixels are out of range")
    if not all(abs(at) < 100 * side for side, at in zip(size, centre, strict=True)):
        raise UnreadableError(
            f"{where}: the principal point {centre[0]:g}, {centre[1]:g} does not lie near the picture"
        )
    try:
        return Camera(int(size[0]), int(size[1]), *focal, *centre, w2c=w2c, name=name)
    except UsageError as error:
        raise UnreadableError(f"{where}: {error}") from None
