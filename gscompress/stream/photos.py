"""Sequences from photos: the first frame's Gaussians, tuned from frame to frame until their renders are the photos.

QUEEN's online setting (Girish et al. 2024): each frame starts from the one before, or from where that one's motion
would lead if it went on, whichever is closer to the photos. First the whole is moved (a similarity, seven numbers),
then every Gaussian by itself. Gaussians neither come nor go, so the sequence is a tracked one for every codec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.stream.exact_rows import move
from gscompress.tune.adam import SparseAdam
from gscompress.tune.loop import fit
from gscompress.tune.losses import as_floats, squared
from gscompress.tune.splat_model import SplatModel
from gscompress.tune.targets import Target

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

Photos = tuple[Sequence[Camera], Sequence[npt.NDArray[np.uint8]]]
_COMPARED = 4  # photos that choose where a frame starts from
_SHARE = 3  # of the updates, one in so many for the whole before those of every Gaussian
_WHOLE_RATE = 0.003  # radians of half a turn, ln of growth, radii of shift


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
            before, whole = scene, Whole(start)
            fit(whole, goals, self.ctx, self.updates // _SHARE, loss=squared, title=f"Moving frame {number}")
            model = SplatModel(min(start, whole.scene(), key=lambda guess: self._error(guess, goals)))
            fit(model, goals, self.ctx, self.updates, title=f"Tuning frame {number}")
            scene = model.scene()
            yield scene

    def _error(self, scene: Scene, goals: Sequence[Target]) -> float:
        """Mean squared difference to a few photos."""
        renderer: Any = self.ctx.need_renderer("tuning to photos")
        some = goals[:: -(-len(goals) // _COMPARED)]
        seen = [renderer.render(scene, goal.camera, background=self.ctx.background).rgb for goal in some]
        return float(np.mean([np.square(rgb - as_floats(goal.rgb)).mean() for rgb, goal in zip(seen, some)]))


class Whole:
    """A ``tune.loop.Model``: a scene that is turned, grown and shifted as a whole, about its centre."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._means = scene.splats.means.astype(np.float64)
        self._centre = np.median(self._means, axis=0) if len(scene) else np.zeros(3)
        self._radius = float(np.median(np.linalg.norm(self._means - self._centre, axis=1))) if len(scene) else 1.0
        self._motion = SparseAdam(np.zeros((1, 7), np.float32))

    @property
    def motion(self) -> npt.NDArray[np.float64]:
        """(7,) as in ``exact_rows.move``."""
        return self._motion.parameter[0].astype(np.float64) * ([1.0] * 4 + [self._radius] * 3)

    def scene(self) -> Scene:
        splats, none = self._scene.splats, np.zeros((len(self._scene), 0))
        nowhere, nodes = np.zeros((0, 3)), np.zeros((0, 7))
        quats = splats.quats.astype(np.float64)
        means, turned, growth = move(
            self._means - self._centre, quats, none.astype(np.int32), none, nowhere, nodes, self.motion
        )
        new = replace(
            splats,
            means=(means + self._centre).astype(np.float32),
            quats=turned.astype(np.float32),
            log_scales=(splats.log_scales + growth[:, None]).astype(np.float32),
        )
        return replace(self._scene, splats=new)

    def step(self, gradients: Gradients, rate: float) -> None:
        pull = gradients.means.astype(np.float64)
        away = self.scene().splats.means - self._centre - self.motion[4:]
        turn = 2 * np.cross(away, pull).sum(0)  # a Gibbs vector is half the angle
        growth = (away * pull).sum() + gradients.log_scales.sum(dtype=np.float64)
        gradient = np.concatenate([turn, [growth], pull.sum(0) * self._radius])
        self._motion.step(gradient[None], np.ones(1, np.bool_), _WHOLE_RATE * rate)
