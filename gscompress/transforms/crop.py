"""Keep the Gaussians inside a box or a ball."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene


@dataclass(frozen=True, slots=True)
class Crop:
    """Keep Gaussians whose mean lies inside; scene units, in the scene's own frame.

    box: x0, y0, z0, x1, y1, z1 (``--do crop:box=-1+-1+-1+1+1+1``). ball: x, y, z, radius. With both, inside both.
    """

    name: ClassVar[str] = "crop"
    box: tuple[float, ...] = ()
    ball: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.box and not self.ball:
            raise UsageError("crop: give box=x0+y0+z0+x1+y1+z1 or ball=x+y+z+radius")
        if self.box and (len(self.box) != 6 or any(a > b for a, b in zip(self.box[:3], self.box[3:]))):
            raise UsageError(f"crop: box is {self.box}, expected x0, y0, z0, x1, y1, z1 with lower corner first")
        if self.ball and (len(self.ball) != 4 or self.ball[3] <= 0):
            raise UsageError(f"crop: ball is {self.ball}, expected x, y, z and a positive radius")

    def __call__(self, scene: Scene, ctx: Context) -> Scene:
        means = scene.splats.means
        inside = np.ones(len(means), bool)
        if self.box:
            low, high = np.array(self.box, np.float32).reshape(2, 3)
            inside &= ((means >= low) & (means <= high)).all(1)
        if self.ball:
            centre = np.array(self.ball[:3], np.float32)
            inside &= np.linalg.norm(means - centre, axis=1) <= self.ball[3]
        ctx.log.info(f"crop: {len(means) - int(inside.sum())} of {len(means)} Gaussians removed")
        return replace(scene, splats=scene.splats.take(inside))
