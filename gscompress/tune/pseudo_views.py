"""Views near the given ones, as a teacher scene shows them: what distillation learns from besides the cameras it has.

LightGaussian (Fan et al. 2024) draws two of three views from cameras whose position is disturbed. Theirs are in scene
units; here the disturbance is a share of the cameras' spread, so that it means the same in every scene.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

import numpy as np

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.tune.targets import Target, rendered

if TYPE_CHECKING:
    from gscompress.scene import Scene

PSEUDO = 2  # disturbed views per given one
SIGMA = 0.05  # of the spread: the standard deviation of the disturbance per axis


class PseudoViews(Sequence[Target]):
    """Every camera once as it is and PSEUDO times disturbed, rendered whenever it is asked for: no memory is held."""

    def __init__(self, teacher: Scene, ctx: Context) -> None:
        self._teacher, self._background = teacher, ctx.background
        self._renderer = ctx.need_renderer("distillation")
        self._cameras = [*ctx.cameras, *_disturbed(ctx.cameras, np.random.default_rng(ctx.seed))]

    def __len__(self) -> int:
        return len(self._cameras)

    @overload
    def __getitem__(self, index: int) -> Target: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Target]: ...

    def __getitem__(self, index: int | slice) -> Target | Sequence[Target]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return rendered(self._renderer, self._teacher, self._cameras[index], self._background)


def _disturbed(cameras: Sequence[Camera], rng: np.random.Generator) -> Iterator[Camera]:
    if not cameras:
        return
    positions = np.array([camera.position for camera in cameras])
    spread = float(np.median(np.linalg.norm(positions - positions.mean(0), axis=1)))
    for _ in range(PSEUDO):
        for camera in cameras:
            w2c = camera.w2c.copy()
            # A step in the camera's own axes is a step in the world's, turned: the same normal distribution.
            w2c[:3, 3] += rng.normal(scale=SIGMA * spread, size=3)
            yield replace(camera, w2c=w2c, name=f"near {camera.name}")
