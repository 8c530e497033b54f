"""The context in which a sequence is encoded: a renderer and views to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene

if TYPE_CHECKING:
    from gscompress.stream.photos import PhotoFrames

VIEWS, WIDTH = 24, 400
"""Generated pseudo-views, and their width in pixels."""


def photo_frames(first: Scene, folder: Path, updates: int, ctx: Context) -> PhotoFrames:
    """A sequence tracked by photos: each folder in ``folder``, in natural order, is a dataset of one frame. Raises
    UnreadableError."""
    from gscompress.cli.views import in_axes_of, training_photos
    from gscompress.sequence import natural
    from gscompress.stream.photos import PhotoFrames, Photos

    if not folder.is_dir():
        raise UnreadableError(f"{folder}: no such folder")
    sets = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    sets.sort(key=lambda path: natural(path.name))
    if not sets:
        raise UnreadableError(f"{folder}: holds no folders of photos, one per frame")

    def photos(number: int) -> Photos:
        cameras, pictures = training_photos(sets[number], None, ctx.log)
        return in_axes_of(first, cameras), pictures

    return PhotoFrames(first, photos, len(sets), ctx, updates)


def context_for(first: Scene, cameras: Sequence[Camera], log: EventLog) -> Context:
    """With the given cameras (in the scene's axes), or generated ones; without any when the scene shows nothing."""
    from gscompress.renderers import RENDERERS
    from gscompress.viewpoints import generate

    if not cameras:
        try:
            cameras = generate(first, VIEWS, WIDTH)
        except UsageError as error:
            log.warn(f"{error}: encoded without looking at renders")
            return Context(log=log)
    return Context(log=log, renderer=RENDERERS.get("cpu")(), cameras=cameras)
