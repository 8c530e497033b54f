"""Lens distortion of the OPENCV family, undone: a pinhole camera and the map from its pixels to the photo's.

x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2), and y' alike, in normalised coordinates (Brown
1966; COLMAP's SIMPLE_RADIAL, RADIAL and OPENCV are the cases with fewer coefficients).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.datasets import pose
from gscompress.errors import UnreadableError

F64 = npt.NDArray[np.float64]
WORST = 0.01
"""Pixels by which undistorting and distorting again may miss; beyond it the lens model folds over."""


@dataclass(frozen=True, slots=True)
class Lens:
    """width, height, fx, fy, cx, cy in pixels of the photo; k1, k2, k3 radial, p1, p2 tangential."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    @property
    def straight(self) -> bool:
        """Whether there is nothing to undo."""
        return not (self.k1 or self.k2 or self.p1 or self.p2 or self.k3)

    def distort(self, points: F64) -> F64:
        """(..., 2) normalised coordinates of straight rays to those in the photo."""
        x, y = points[..., 0], points[..., 1]
        square = x * x + y * y
        radial = 1 + square * (self.k1 + square * (self.k2 + square * self.k3))
        return np.stack(
            [
                x * radial + 2 * self.p1 * x * y + self.p2 * (square + 2 * x * x),
                y * radial + self.p1 * (square + 2 * y * y) + 2 * self.p2 * x * y,
            ],
            axis=-1,
        )

    def undistort(self, points: F64, where: str) -> F64:
        """The inverse, by Newton's method with a numerical Jacobian. Raises UnreadableError when there is none."""
        guess, step = points.copy(), 1e-6
        with np.errstate(all="ignore"):
            for _ in range(30):
                miss = self.distort(guess) - points
                columns = [
                    (self.distort(guess + step * e) - self.distort(guess - step * e)) / (2 * step) for e in np.eye(2)
                ]
                (a, b), (c, d) = (np.moveaxis(column, -1, 0) for column in columns)
                determinant = a * d - b * c
                guess = (
                    guess
                    - np.stack([d * miss[..., 0] - c * miss[..., 1], a * miss[..., 1] - b * miss[..., 0]], -1)
                    / (determinant[..., None])
                )
            worst = np.abs(self.distort(guess) - points).max() * max(self.fx, self.fy)
            fine = np.isfinite(guess).all() and worst < WORST and (determinant > 0).all()
        if not fine:
            raise UnreadableError(f"{where}: the lens distortion cannot be undone (k1 {self.k1:g}, k2 {self.k2:g})")
        return guess

    def camera(self, w2c: F64, name: str, where: str) -> Camera:
        """The pinhole camera of the same size whose every pixel lies in the photo (the largest such rectangle)."""
        if self.straight:
            return pose.pinhole((self.width, self.height), (self.fx, self.fy), (self.cx, self.cy), w2c, name, where)
        pose.pinhole((self.width, self.height), (self.fx, self.fy), (self.cx, self.cy), w2c, name, where)
        across, down = np.linspace(0, self.width, 65), np.linspace(0, self.height, 65)

        def edge(x: Any, y: Any) -> F64:
            x, y = np.broadcast_arrays(x, y)
            return self.undistort(np.stack([(x - self.cx) / self.fx, (y - self.cy) / self.fy], axis=-1), where)

        left, right = edge(0.0, down)[:, 0].max(), edge(float(self.width), down)[:, 0].min()
        top, bottom = edge(across, 0.0)[:, 1].max(), edge(across, float(self.height))[:, 1].min()
        if not (left < right and top < bottom):
            raise UnreadableError(f"{where}: the lens distortion leaves no picture")
        focal = self.width / (right - left), self.height / (bottom - top)
        centre = -left * focal[0], -top * focal[1]
        return pose.pinhole((self.width, self.height), focal, centre, w2c, name, where)

    def straighten(self, photo: npt.NDArray[np.uint8], camera: Camera) -> npt.NDArray[np.uint8]:
        """Resample a (H, W, C) photo, at any size, for ``camera``: this lens's own camera, at any size."""
        x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
        straight = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy], axis=-1)
        bent = self.distort(straight)
        height, width = photo.shape[:2]
        column = (bent[..., 0] * self.fx + self.cx) * (width / self.width) - 0.5
        row = (bent[..., 1] * self.fy + self.cy) * (height / self.height) - 0.5
        return sample_cubic(photo, row, column)


def sample_cubic(photo: npt.NDArray[np.uint8], row: F64, column: F64) -> npt.NDArray[np.uint8]:
    """Catmull-Rom interpolation of (H, W, C) at fractional rows and columns; the border is repeated."""
    height, width = photo.shape[:2]
    first_row, first_column = np.floor(row).astype(np.intp), np.floor(column).astype(np.intp)
    row_weights, column_weights = _cubic(row - first_row), _cubic(column - first_column)
    total = np.zeros((*row.shape, photo.shape[2]), np.float32)
    for i in range(4):
        rows = np.clip(first_row + i - 1, 0, height - 1)
        for j in range(4):
            columns = np.clip(first_column + j - 1, 0, width - 1)
            total += (row_weights[i] * column_weights[j])[..., None] * photo[rows, columns]
    return np.clip(total + 0.5, 0, 255).astype(np.uint8)


def _cubic(t: F64) -> list[npt.NDArray[np.float32]]:
    """Weights of the four neighbours for fractions ``t``."""
    u = t.astype(np.float32)
    return [
        ((-0.5 * u + 1) * u - 0.5) * u,
        (1.5 * u - 2.5) * u * u + 1,
        ((-1.5 * u + 2) * u + 0.5) * u,
        (0.5 * u - 0.5) * u * u,
    ]
