"""Cameras for a radiance field that came without any, from what its geometry says of how it was photographed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gscompress.camera import Camera, look_at
from gscompress.field import Field

_FIELD_OF_VIEW = 40.0  # degrees across; Blender's synthetic scenes have 39.6
_FORWARD = 63.0  # of phone photos of a forward-facing scene (LLFF)
_SWAY = (0.4, 0.25, 0.05)  # how far forward-facing cameras stand from their mean, in units of the near plane


def generate(field: Field, count: int, width: int, height: int, *, seed: int = 0) -> list[Camera]:
    """``count`` cameras in the field's axes; another seed gives other ones.

    Forward-facing fields (normalised device coordinates) are seen from around the origin along -z, bounded ones from
    the upper half of a sphere around their middle, z up, and unbounded ones from within their unit cube.
    """
    geometry = field.spec.geometry
    rng = np.random.default_rng(seed)
    if geometry.get("ndc"):
        return [_forward(rng, k, width, height) for k in range(count)]
    low, high = (np.asarray(corner, float) for corner in geometry.get("box", [[-1.0] * 3, [1.0] * 3]))
    centre = (low + high) / 2
    radius = (geometry["near"] + geometry["far"]) / 2 if field.spec.kind == "mlp" else float((high - low).max()) * 1.3
    if geometry.get("contraction", "none") != "none":
        radius = 0.8
    return [_in_world(_around(rng, k, centre, radius, width, height), geometry) for k in range(count)]


def _in_world(camera: Camera, geometry: Mapping[str, Any]) -> Camera:
    """A camera in the field's own axes, for the axes that cameras are given in (``geometry["world"]`` maps these)."""
    if "world" not in geometry:
        return camera
    world = np.asarray(geometry["world"], float)
    scale = np.cbrt(abs(np.linalg.det(world[:, :3])))
    w2c = np.eye(4)
    w2c[:3, :3] = camera.w2c[:3, :3] @ (world[:, :3] / scale)
    position = np.linalg.solve(world[:, :3], camera.position - world[:, 3])
    w2c[:3, 3] = -w2c[:3, :3] @ position
    return replace(camera, w2c=w2c)


def _forward(rng: np.random.Generator, number: int, width: int, height: int) -> Camera:
    w2c = np.diag([1.0, -1.0, -1.0, 1.0])
    w2c[:3, 3] = -w2c[:3, :3] @ (rng.uniform(-1, 1, 3) * _SWAY)
    return _camera(number, width, height, _FORWARD, w2c)


def _around(rng: np.random.Generator, number: int, centre: object, radius: float, width: int, height: int) -> Camera:
    turn, rise = rng.uniform(0, 2 * math.pi), math.asin(rng.uniform(0.05, 0.95))
    out = np.array([math.cos(turn) * math.cos(rise), math.sin(turn) * math.cos(rise), math.sin(rise)])
    middle = np.asarray(centre, float)
    w2c = look_at(middle + radius * out, middle, np.array([0.0, 0.0, 1.0]))
    return _camera(number, width, height, _FIELD_OF_VIEW, w2c)


def _camera(number: int, width: int, height: int, degrees: float, w2c: np.ndarray) -> Camera:
    focal = max(width, height) / 2 / math.tan(math.radians(degrees) / 2)
    return Camera(width, height, focal, focal, width / 2, height / 2, w2c, f"field-{number:03d}")
