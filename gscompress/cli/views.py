"""The context of a run: a renderer and cameras when, and only when, the recipe judges by renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.codecs.base import PHOTOS_OR_RENDERS
from gscompress.context import Context
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.frame import RDF
from gscompress.recipe import Recipe
from gscompress.scene import Scene

EVERY = 8  # of given cameras one is held out to judge, as the field does with photos


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller gave to look at. cameras: a camera file. data: photos. width: pixels to scale those to.

    checkpoints: a folder for finished stages of tuning. background: RGB in [0, 1] under transparent photos.
    aims: a picture quality is wished for, which takes views that the encoder does not see to measure it.
    """

    cameras: Path | None = None
    data: Path | None = None
    width: int | None = None
    checkpoints: Path | None = None
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    aims: bool = False


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


def context(recipe: Recipe, scene: Scene, log: EventLog, given: Given | None = None) -> Context:
    """Build it, with photos and cameras of a dataset, cameras from a file, or generated ones. Raises UsageError,
    UnreadableError."""
    given = given or Given()
    _refuse_the_useless(recipe, given)
    if "renderer" not in recipe.needs and not given.aims:
        return Context(log=log)
    from gscompress.renderers import RENDERERS

    photos: list[npt.NDArray[np.uint8]] = []
    judges: list[Camera] = []
    if given.data is not None:
        with log.phase("load photos"):
            cameras, photos = training_photos(given.data, given.width, log, given.background)
        views = in_axes_of(scene, cameras)
    elif given.cameras is not None:
        views = in_axes_of(scene, load(given.cameras))
        if given.aims and len(views) >= 2 * EVERY:
            judges = views[::EVERY]
            views = [view for k, view in enumerate(views) if k % EVERY]
    else:
        from gscompress.viewpoints import for_encoding, for_judging

        with log.phase("place cameras"):
            try:
                views = for_encoding(scene)
                judges = for_judging(scene) if given.aims else []
            except UsageError as error:
                log.warn(f"{error}: compressed without looking at renders")
                return Context(log=log)
    if PHOTOS_OR_RENDERS in recipe.needs and not photos:
        log.warn(f"no --data: tuned against renders of the original in {len(views)} views instead of photos")
    return Context(
        log=log,
        renderer=RENDERERS.get("cpu")(),
        cameras=views,
        photos=photos,
        background=given.background,
        judges=judges,
        checkpoints=given.checkpoints,
    )


def training_photos(
    data: Path, width: int | None, log: EventLog, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> tuple[list[Camera], list[npt.NDArray[np.uint8]]]:
    """Cameras and photos of a dataset that are not held out, on ``background`` where they are transparent. Raises
    UnreadableError."""
    from gscompress.datasets import load_views

    red, green, blue = (round(255 * channel) for channel in background)
    views = load_views(data, width=width, background=(red, green, blue), log=log)
    views = [view for view in views if view.split == "train"]
    if not views:
        raise UnreadableError(f"{data}: all its photos are held out for testing, none is left to tune against")
    return [view.camera for view in views], [view.image for view in views]


def _refuse_the_useless(recipe: Recipe, given: Given) -> None:
    """Raises UsageError for pictures that the preset does not look at, and without those that it cannot do without."""
    who = f"preset '{recipe.name}'"
    if given.data is not None and given.cameras is not None:
        raise UsageError("--data brings its own cameras: leave out --cameras")
    if given.width is not None and given.data is None:
        raise UsageError("--width is the width of the photos: give it with --data")
    if given.width is not None and not 16 <= given.width <= 1 << 14:
        raise UsageError(f"--width {given.width} is out of range: give 16 to 16384 pixels")
    if given.cameras is not None and "renderer" not in recipe.needs and not given.aims:
        raise UsageError(f"{who} does not look at renders, so it has no use for --cameras")
    if given.data is not None and not recipe.needs & {"photos", PHOTOS_OR_RENDERS}:
        hint = "; --cameras takes the views to judge by" if "renderer" in recipe.needs else ""
        raise UsageError(f"{who} does not look at photos, so it has no use for --data{hint}")
    if given.checkpoints is not None and not recipe.needs & {"photos", PHOTOS_OR_RENDERS}:
        raise UsageError(f"{who} does not tune for long, so it has no use for --checkpoints")
    if given.data is None and "photos" in recipe.needs:
        raise UsageError(f"{who} cannot work without photos: give --data PHOTOS (COLMAP, transforms.json or Blender)")
