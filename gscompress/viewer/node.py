"""The Gaussians in a browser window: one scene node, replaced or, in a film, rewritten in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gscompress.scene import Scene
from gscompress.viewer.splats import BrowserSplats, browser_splats
from gscompress.viewer.world import World

if TYPE_CHECKING:
    import viser

ROOM = 1.2
"""Rows of a film's node for every Gaussian of the frame that it was made for."""


class SplatNode:
    """What the browser draws. Made when it is first shown."""

    def __init__(self, scene: viser.SceneApi, world: World) -> None:
        self._scene, self._world = scene, world
        self._handle: viser.GaussianSplatHandle | None = None
        self._rows, self._unit = 0, 0.0

    def show(self, scene: Scene, *, moving: bool) -> None:
        """Draw this scene instead of the one before.

        When the number of rows changes, the browser shows nonsense until it has sorted them anew, so the frames of a
        film (``moving``) get the same number, and the same unit of length: what is missing is filled up with Gaussians
        that nobody sees.
        """
        if moving and self._handle is not None:
            sent = browser_splats(scene, self._world, self._unit)
            if len(sent.centers) <= self._rows:
                sent = padded(sent, self._rows)
                self._handle.set_gaussians(sent.centers, sent.covariances, sent.rgbs, sent.opacities)
                self._handle.visible = True
                return
        sent = browser_splats(scene, self._world)
        if moving:
            sent = padded(sent, int(ROOM * len(sent.centers)) + 1)
        self._rows, self._unit = len(sent.centers), sent.scale
        self._handle = self._scene.add_gaussian_splats(
            "/splats", sent.centers, sent.covariances, sent.rgbs, sent.opacities, scale=sent.scale
        )

    def set_visible(self, visible: bool) -> None:
        """Hide it, or show it again."""
        if self._handle is not None:
            self._handle.visible = visible


def padded(splats: BrowserSplats, rows: int) -> BrowserSplats:
    """With Gaussians of no opacity up to ``rows``, among the others: browsers sort by relative depth."""
    missing = rows - len(splats.centers)
    centre = splats.centers[:1] if len(splats.centers) else np.zeros((1, 3), np.float32)
    return BrowserSplats(
        np.concatenate([splats.centers, np.repeat(centre, missing, axis=0)]),
        np.concatenate([splats.covariances, np.zeros((missing, 3, 3), np.float32)]),
        np.concatenate([splats.rgbs, np.zeros((missing, 3), np.float32)]),
        np.concatenate([splats.opacities, np.zeros((missing, 1), np.float32)]),
        splats.scale,
    )
