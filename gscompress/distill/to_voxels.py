"""Sparse voxels: what the teacher says at their centres is where they start, empty ones are left out at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from gscompress.camera import Camera
from gscompress.distill.lessons import Lessons
from gscompress.distill.students import Student
from gscompress.field import Field, Spec
from gscompress.renderers.field_points import asked
from gscompress.sh import C0

_BANDS = 4
_STEP = 0.5  # cells
_EMPTY = 0.01  # opacity of a cell below which it, and its neighbours, are nothing
_DENSEST = 3.0  # optical depth of a cell: more is not seen, and slow to change
_VIEWS = 6
_CHUNK = 16384


class VoxelsStudent(Student):
    kind: ClassVar[str] = "voxels"
    rate: ClassVar[float] = 2e-2

    def fresh(
        self, teacher: Field, taught: Lessons, cameras: Sequence[Camera], side: int, rng: np.random.Generator
    ) -> Field:
        low, high = taught.spans
        cell = float(((high - low).prod()) ** (1 / 3)) / side
        sizes = np.clip(np.ceil((high - low) / cell).astype(int), 2, 1024)
        high = low + sizes * cell
        density, rgb = _asked(teacher, low, cell, sizes, rng)
        density = np.minimum(density, _DENSEST / cell)
        full = torch.from_numpy((density * cell > _EMPTY).reshape(sizes)).float()[None, None]
        mask = torch.nn.functional.max_pool3d(full, 3, 1, 1)[0, 0].numpy() > 0
        kept = mask.ravel()
        sh = np.zeros((int(kept.sum()), 3, _BANDS), np.float32)
        sh[:, :, 0] = (rgb[kept] - 0.5) / C0
        tensors = {"mask": mask, "density": density[kept].astype(np.float32), "sh": sh.reshape(len(sh), -1)}
        geometry = {"box": [low.tolist(), high.tolist()], "bands": _BANDS, "step": _STEP}
        geometry["white"] = bool(teacher.spec.geometry.get("white", False))
        return Field(tensors, Spec("voxels", "plenoxels", geometry))


def _asked(
    teacher: Field, low: np.ndarray, cell: float, sizes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Density (N,) and mean colour (N, 3) over some directions at all centres, in C order."""
    model = asked(teacher)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in sizes), indexing="ij"), -1).reshape(-1, 3)
    centres = torch.from_numpy(low + (index + 0.5) * cell).float()
    views = torch.from_numpy(rng.normal(size=(_VIEWS, 3))).float()
    density, rgb = np.empty(len(centres)), np.zeros((len(centres), 3))
    with torch.no_grad():
        for start in range(0, len(centres), _CHUNK):
            rows = slice(start, start + _CHUNK)
            for view in views:
                found, colour = model.ask(centres[rows], view.expand(len(centres[rows]), 3))
                density[rows] = found.numpy()
                rgb[rows] += colour.numpy() / _VIEWS
    return density, rgb
