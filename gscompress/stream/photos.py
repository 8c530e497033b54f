"""Sequences from photos: the first frame's Gaussians, tuned from frame to frame until their renders are the photos.

QUEEN's online setting (Girish et al. 2024): each frame starts from the one before, or from where that one's motion
would lead if it went on, whichever is closer to the photos. Gaussians neither come nor go, so the sequence is a tracked
one for every codec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.tune.loop import fit
from gscompress.tune.losses import as_floats
from gscompress.tune.splat_model import SplatModel
from gscompress.tune.targets import Target

Photos = tuple[Sequence[Camera], Sequence[npt.NDArray[np.uint8]]]
_COMPARED = 4  # photos that choose where a frame starts from


@dataclass(frozen=True)
class PhotoFrames:
    """Scenes that are made as they are asked for, anew in every pass.

    first: the first frame. photos: number of a frame to its cameras, in the first frame's axes, and their photos
    (H, W, 3) uint8; asked for frames 1 to ``count`` - 1. updates: of tuning per frame. Raises UsageError without a
    renderer.
    """

    first: Scene
    photos: Callable[[int], Photos]
    count: int
    ctx: Context
    updates: int = 200

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Scene]:
        before = scene = replace(self.first, splats=replace(self.first.splats, extras={}))
        yield scene
        for number in range(1, self.count):
            goals = [Target(camera, photo) for camera, photo in zip(*self.photos(number), strict=True)]
            means = 2 * scene.splats.means - before.splats.means
            onwards = replace(scene, splats=replace(scene.splats, means=means))
            start = min(scene, onwards, key=lambda guess: self._error(guess, goals))
            before = scene
            model = SplatModel(start)
            fit(model, goals, self.ctx, self.updates, title=f"Tuning frame {number}")
            scene = model.scene()
            yield scene

    def _error(self, scene: Scene, goals: Sequence[Target]) -> float:
        """Mean squared difference to a few photos."""
        renderer: Any = self.ctx.need_renderer("tuning to photos")
        some = goals[:: -(-len(goals) // _COMPARED)]
        seen = [renderer.render(scene, goal.camera, background=self.ctx.background).rgb for goal in some]
        return float(np.mean([np.square(rgb - as_floats(goal.rgb)).mean() for rgb, goal in zip(seen, some)]))
