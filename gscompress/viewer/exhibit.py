"""What all windows of one viewer share: the file, the reference, the renderer and where to look from."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gscompress.camera import Camera
from gscompress.comparison import picture
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene
from gscompress.viewer.compose import U8
from gscompress.viewer.levels import Levels, open_levels
from gscompress.viewer.world import Pose, World
from gscompress.viewpoints import generate

if TYPE_CHECKING:
    from gscompress.renderers.base import Renderer

VIEWS = 6
"""Viewpoints that the panel steps through, from far to near; the page opens at the first."""
RATIO = (1280, 800)
"""Proportions that the viewpoints are chosen for."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """levels: of the file shown. reference: of the file to compare with (its finest level counts), or None.

    limit: largest width and height of a rendered picture, pixels. background: RGB in [0, 1]. browser: whether browsers
    can draw it too, which of splats they can.
    """

    levels: Levels
    reference: Levels | None
    world: World
    poses: Sequence[Pose]
    renderer: Renderer
    limit: tuple[int, int]
    background: tuple[float, float, float]
    browser: bool = True
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def render(self, scene: Scene, camera: Camera) -> tuple[U8, float]:
        """(H, W, 3) the picture of one view, and its seconds. Windows take turns: a renderer uses the whole machine."""
        with self._turn:
            started = time.perf_counter()
            pixels, _ = picture(self.renderer, scene, camera, self.background)
            return pixels, time.perf_counter() - started


def prepare(
    path: Path,
    against: Path | None,
    renderer: Renderer,
    limit: tuple[int, int],
    background: tuple[float, float, float],
    log: EventLog,
) -> Exhibit:
    """Read the files and find viewpoints. Raises UnreadableError, and UsageError when nothing is visible."""
    with log.phase("read"):
        levels = open_levels(path, log)
        reference = None if against is None else open_levels(against, log)
        if reference is not None and not len(reference.scene(reference.finest)):
            raise UsageError(f"{against}: nothing to compare with, there is no Gaussian in it")
    world, poses = surroundings(str(path), levels.scene(levels.finest), log)
    return Exhibit(levels, reference, world, poses, renderer, limit, background)


def surroundings(name: str, scene: Scene, log: EventLog) -> tuple[World, list[Pose]]:
    """The world around a scene in right-down-forward axes, and where to look from. Raises UsageError."""
    with log.phase("find viewpoints"):
        try:
            world = World.around(scene)
            poses = [world.pose(camera) for camera in generate(scene, VIEWS, *RATIO)]
        except UsageError:
            raise UsageError(f"{name}: nothing to look at, no Gaussian in it is visible") from None
    return world, sorted(poses, key=lambda pose: float(np.linalg.norm(pose.eye)), reverse=True)
