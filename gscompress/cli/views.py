"""The context of a run: a renderer and cameras when, and only when, the recipe judges by renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.frame import RDF
from gscompress.recipe import Recipe
from gscompress.scene import Scene

GENERATED = 24
"""Views that are generated when no cameras are given."""


def load(cameras: Path | None) -> list[Camera]:
    """The cameras of ``--cameras``, none when it was left out. Raises UnreadableError."""
    if cameras is None:
        return []
    from gscompress.datasets import load_cameras

    return load_cameras(cameras)


def in_axes_of(scene: Scene, cameras: Sequence[Camera]) -> list[Camera]:
    """Cameras from a file, which see the scene in right-down-forward axes, for the scene in its own axes."""
    turn = np.eye(4)
    turn[:3, :3] = scene.frame.matrix_to(RDF)
    return [replace(camera, w2c=camera.w2c @ turn) for camera in cameras]


def context(recipe: Recipe, scene: Scene, cameras: Path | None, log: EventLog) -> Context:
    """Build it, with cameras from a file or generated ones. Raises UsageError, UnreadableError."""
    if "renderer" not in recipe.needs:
        if cameras is not None:
            raise UsageError(f"preset '{recipe.name}' does not look at renders, so it has no use for --cameras")
        return Context(log=log)
    from gscompress.renderers import RENDERERS

    if cameras is not None:
        views = in_axes_of(scene, load(cameras))
    else:
        from gscompress.viewpoints import generate

        with log.phase("place cameras"):
            try:
                views = generate(scene, GENERATED)
            except UsageError as error:
                log.warn(f"{error}: compressed without looking at renders")
                return Context(log=log)
    return Context(log=log, renderer=RENDERERS.get("cpu")(), cameras=views)
