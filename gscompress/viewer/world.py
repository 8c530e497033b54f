"""The browser's coordinates: the scene's focus at the origin, its radius 1.

So near and far planes, keyboard speeds and half-floats fit a scene of any size, anywhere on earth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.frame import quat_to_matrix
from gscompress.scene import Scene
from gscompress.viewpoints import study

F64 = npt.NDArray[np.float64]
NEAR = 0.01
"""Nearest distance drawn, in radii."""


@dataclass(frozen=True, slots=True)
class Pose:
    """A place to look from, in browser coordinates: eye and target (3,), vertical field of view in radians."""

    eye: F64
    target: F64
    fov: float


@dataclass(frozen=True, slots=True)
class World:
    """focus: (3,) scene units. radius: scene units. up: (3,) unit vector. The axes are those of the scene (RDF)."""

    focus: F64
    radius: float
    up: F64

    @classmethod
    def around(cls, scene: Scene) -> World:
        """The world of a scene in right-down-forward axes. Raises UsageError when nothing is visible."""
        subject = study(scene)
        return cls(subject.focus, subject.radius, subject.up)

    def camera(self, wxyz: npt.NDArray[Any], position: npt.NDArray[Any], fov: float, width: int, height: int) -> Camera:
        """The camera in scene units of a browser's: camera-to-world rotation (OpenCV axes), place, vertical view."""
        w2c = np.eye(4)
        w2c[:3, :3] = quat_to_matrix(wxyz).T
        w2c[:3, 3] = -w2c[:3, :3] @ (self.focus + self.radius * np.asarray(position, np.float64))
        focal = height / 2 / math.tan(fov / 2)
        return Camera(width, height, focal, focal, width / 2, height / 2, w2c, "browser", NEAR * self.radius)

    def pose(self, camera: Camera) -> Pose:
        """A camera's pose for the browser; its target is as far ahead as the focus, half a radius at least.

        The vertical field of view is the camera's wider one: windows may be narrow, and the panel covers part of them.
        """
        eye = (camera.position - self.focus) / self.radius
        ahead = camera.w2c[2, :3]
        fov = 2 * math.atan(max(camera.width / camera.fx, camera.height / camera.fy) / 2)
        return Pose(eye, eye + max(0.5, float(-eye @ ahead)) * ahead, fov)


def picture_size(
    window: tuple[int, int], limit: tuple[int, int], share: float = 1.0, least: int = 16
) -> tuple[int, int]:
    """Width and height of a picture for a window: its proportions, within ``limit``, ``share`` of the pixels."""
    scale = min(1.0, limit[0] / max(window[0], 1), limit[1] / max(window[1], 1)) * math.sqrt(share)
    return max(least, round(window[0] * scale)), max(least, round(window[1] * scale))
