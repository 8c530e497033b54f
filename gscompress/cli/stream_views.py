"""The context in which a sequence is encoded: a renderer and views to judge by."""

from __future__ import annotations

from collections.abc import Sequence

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene

VIEWS, WIDTH = 24, 400
"""Generated pseudo-views, and their width in pixels."""


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
