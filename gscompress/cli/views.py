"""The context of a run: a renderer and cameras when, and only when, the recipe judges by renders."""

from __future__ import annotations

from pathlib import Path

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.recipe import Recipe
from gscompress.scene import Scene

GENERATED = 24
"""Views that are generated when no cameras are given."""


def context(recipe: Recipe, scene: Scene, cameras: Path | None, log: EventLog) -> Context:
    """Build it, with cameras from a file or generated ones. Raises UsageError, UnreadableError."""
    if "renderer" not in recipe.needs:
        if cameras is not None:
            raise UsageError(f"preset '{recipe.name}' does not look at renders, so it has no use for --cameras")
        return Context(log=log)
    from gscompress.renderers import RENDERERS

    if cameras is not None:
        from gscompress.datasets import load_cameras

        views = load_cameras(cameras)
    else:
        from gscompress.viewpoints import generate

        with log.phase("place cameras"):
            try:
                views = generate(scene, GENERATED)
            except UsageError as error:
                log.warn(f"{error}: compressed without looking at renders")
                return Context(log=log)
    return Context(log=log, renderer=RENDERERS.get("cpu")(), cameras=views)
