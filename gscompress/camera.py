"""A pinhole camera. Extrinsics are world-to-camera in the OpenCV convention (x right, y down, z forward)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError


@dataclass(frozen=True, eq=False, slots=True)
class Camera:
    """width, height: pixels. fx, fy, cx, cy: pixels, pixel centres lie at +0.5. w2c: (4, 4) float64, RDF.

    near: Gaussians closer than this (scene units along the view axis) are not drawn.
    weight: how much the view counts in what encoders average over views, 0 to 1.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    w2c: npt.NDArray[np.float64]
    name: str = ""
    near: float = 0.01
    weight: float = 1.0

    def __post_init__(self) -> None:
        w2c = np.asarray(self.w2c, np.float64)
        if w2c.shape != (4, 4) or not np.isfinite(w2c).all():
            raise UsageError(f"camera '{self.name}': w2c must be a finite 4x4 matrix, got shape {w2c.shape}")
        if not (0 < self.width <= 32768 and 0 < self.height <= 32768):
            raise UsageError(f"camera '{self.name}': size {self.width}x{self.height} is out of range (1 to 32768)")
        if not (np.isfinite([self.fx, self.fy, self.cx, self.cy]).all() and self.fx > 0 and self.fy > 0):
            raise UsageError(f"camera '{self.name}': focal lengths must be finite and positive")
        object.__setattr__(self, "w2c", w2c)

    @property
    def position(self) -> npt.NDArray[np.float64]:
        """(3,) the camera centre in scene units."""
        return -self.w2c[:3, :3].T @ self.w2c[:3, 3]

    def resized(self, width: int, height: int) -> Camera:
        """The same view at another picture size (intrinsics scale per axis)."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy
        )


def look_at(eye: npt.NDArray[Any], target: npt.NDArray[Any], up: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(4, 4) world-to-camera (RDF) of a camera at ``eye`` that looks at ``target`` with ``up`` upwards."""
    eye, target, up = (np.asarray(v, np.float64) for v in (eye, target, up))
    forward = target - eye
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-9:
        right = np.cross(forward, np.roll(up, 1) + np.array([0.1, 0.2, 0.3]))
    right = right / np.linalg.norm(right)
    out = np.eye(4)
    out[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    out[:3, 3] = -out[:3, :3] @ eye
    return out
