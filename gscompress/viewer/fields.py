"""Radiance fields in the viewer: no browser draws them, so the server does, picture by picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gscompress.errors import UsageError
from gscompress.field import Field
from gscompress.field_views import generate
from gscompress.viewer.exhibit import RATIO, VIEWS, Exhibit
from gscompress.viewer.world import World

LIMIT = (320, 200)
"""Largest picture unless another is asked for: a field takes a second or more for this on two cores."""


class FieldLevels:
    """A field as ``Levels`` has a scene: one level."""

    revision = finest = 0

    def __init__(self, path: Path, field: Field) -> None:
        self.name, self.sizes, self._field = path.name, (path.stat().st_size,), field
        self.gaussians = field.weights

    def scene(self, level: int) -> Field:
        """The field."""
        return self._field


def prepare_field(
    path: Path,
    field: Field,
    against: tuple[Path, Field] | None,
    limit: tuple[int, int] | None,
    background: tuple[float, float, float],
) -> Exhibit:
    """What a viewer shows of a field. limit: of pictures, pixels. Raises UsageError."""
    from gscompress.renderers.volume import VolumeRenderer

    world = world_of(field)
    poses = [world.pose(camera) for camera in generate(field, VIEWS, *RATIO)]
    levels: Any = FieldLevels(path, field)
    reference: Any = None if against is None else FieldLevels(*against)
    engine: Any = VolumeRenderer()
    return Exhibit(levels, reference, world, poses, engine, limit or LIMIT, background, browser=False)


def world_of(field: Field) -> World:
    """The browser's coordinates: the middle of the box, or of the unit cube of an unbounded field, is their origin."""
    geometry = field.spec.geometry
    if geometry.get("ndc"):
        return World(np.array([0.0, 0.0, -2.0]), 1.0, np.array([0.0, 1.0, 0.0]))
    matrix = np.asarray(geometry.get("world", np.eye(4)[:3]), float)
    low, high = (np.asarray(corner, float) for corner in geometry.get("box", [[-1.0] * 3, [1.0] * 3]))
    if geometry.get("contraction", "none") != "none":
        low, high = -np.ones(3), np.ones(3)
    zoom = abs(np.linalg.det(matrix[:, :3])) ** (1 / 3)
    if not zoom > 0:
        raise UsageError("the field's world matrix has no inverse")
    radius = float(np.linalg.norm(high - low)) / 2 / zoom
    if field.spec.kind == "mlp":
        radius = (geometry["far"] - geometry["near"]) / 2
    centre = np.linalg.solve(matrix[:, :3], (low + high) / 2 - matrix[:, 3])
    return World(centre, radius, matrix[2, :3] / zoom)
