"""What tuning aims at: the photos, or renders of the original where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.scene import Scene

if TYPE_CHECKING:
    from gscompress.renderers.base import Renderer


@dataclass(frozen=True)
class Target:
    """rgb: (H, W, 3) at the camera's size, a photo as uint8 or a render as float16 in about [0, 1]."""

    camera: Camera
    rgb: npt.NDArray[Any]


def targets(original: Scene, ctx: Context) -> list[Target]:
    """The photos of ``ctx`` when it has any, else renders of ``original`` by its cameras. Raises UsageError without a
    renderer."""
    renderer = ctx.need_renderer("tuning")
    if len(ctx.photos):
        ctx.log.info(f"tuning against {len(ctx.photos)} photos")
        return [Target(camera, photo) for camera, photo in zip(ctx.cameras, ctx.photos)]
    ctx.log.info(f"tuning against renders of the original in {len(ctx.cameras)} views")
    return [rendered(renderer, original, camera, ctx.background) for camera in ctx.cameras]


def rendered(
    renderer: Renderer, scene: Scene, camera: Camera, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Target:
    """A render as target. Half precision: 1/2000 of a grey level's weight, half the memory."""
    return Target(camera, renderer.render(scene, camera, background=background).rgb.astype("float16"))
