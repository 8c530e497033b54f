"""Which pictures a scene is judged by: many small ones rather than few large ones.

For much the same seconds, 48 views of half the width put the worst held-out view 3 to 5 dB above that of 24 views
(docs/codecs/default.md): what ruins a view is a Gaussian that no other showed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.transforms.prune import over_views

WORST = 0.1  # of the largest error in a single view counts on top of the mean: no view is ruined for the others
VIEWS = 56  # at most, evenly drawn from those given
NARROWEST, WIDEST = 320, 480  # pictures shrink to half their size, but to no fewer and no more pixels across


def glance(ctx: Context) -> Context:
    """The same context with fewer and smaller views."""
    cameras = ctx.cameras[:: -(-len(ctx.cameras) // VIEWS) or 1]
    scales = [min(min(max(c.width / 2, NARROWEST), WIDEST) / c.width, 1.0) for c in cameras]
    small = [c.resized(round(c.width * s), max(round(c.height * s), 1)) for c, s in zip(cameras, scales, strict=True)]
    return replace(ctx, cameras=small)


@dataclass(frozen=True, slots=True)
class Original:
    """What every camera of a glance sees of a scene before anything happens to it.

    pictures: (H, W, 3) per camera, in half precision. removal: (N,) ``transforms.prune.removal_error``, the worst
    view's share included.
    """

    pictures: list[npt.NDArray[np.float16]]
    removal: npt.NDArray[np.float64]


def look_at_original(scene: Scene, ctx: Context) -> Original:
    """Looked at once for all who ask: what a search tries at other qualities, and what comes after pruning."""
    views = [(c.width, c.height, c.fx, c.fy, c.cx, c.cy, c.w2c.tobytes()) for c in ctx.cameras]
    known = ctx.memo.get("original")
    if known is not None and known[0] is scene and known[1] == views:
        return cast(Original, known[2])
    renderer: Any = ctx.need_renderer("looking at the original")

    pictures: list[npt.NDArray[np.float16]] = []

    def look(k: int, camera: Camera) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]:
        view = renderer.view(scene, camera)
        return view.image.rgb.astype(np.float16), renderer.removal_of(view)

    def errors() -> Iterator[npt.NDArray[np.float32]]:
        for picture, error in ctx.each_view("Looking at the original", look):
            pictures.append(picture)
            yield error

    found = Original(pictures, over_views(errors(), len(scene), ctx, WORST))
    ctx.memo["original"] = (scene, views, found)
    return found
