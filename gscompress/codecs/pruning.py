"""Drop Gaussians that are not worth their bits: the change in squared error if a Gaussian alone went, against its
price.

POTR (Lot et al. 2026) prunes by true removal error; here the threshold follows from the same slope of rate and
distortion that sets every quantization step, so no ratio has to be chosen. Faint Gaussians that overlap darken the
picture together: from the second round on errors are measured against the original's pictures, where those of the same
sign add up (docs/pruning.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.codecs.glance import WORST, look_at_original
from gscompress.codecs.importance import at_least, reach
from gscompress.context import Context
from gscompress.quant.sensitivity import COLUMNS, Sensitivity, from_squares, signs
from gscompress.scene import Scene
from gscompress.transforms.prune import over_views

BITS = 60.0  # what a Gaussian costs, roughly, at every quality
HIDDEN = 0.2  # of the Gaussians are taken to be worth no less than the next one of their size and opacity
FIRST = 0.1  # of the threshold for the first round: approached from far below, since many small errors add up
F16 = npt.NDArray[np.float16]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


def prune(scene: Scene, ctx: Context, squared_step: float) -> tuple[Scene, Sensitivity | None]:
    """Keep Gaussians whose removal costs more than their bits save, and tell what the picture feels of those.

    squared_step: picture error of a step, times 12. Each parameter causes squared_step / 12, and a bit less quadruples
    it: a bit is worth 2 ln 2 squared_step / 12. Sensitivities come from the last round's views, which are drawn anyway.
    """
    if ctx.renderer is None or not ctx.cameras or squared_step <= 0 or not len(scene):
        return scene, None
    worth = BITS * 2 * np.log(2) * squared_step / 12
    before = len(scene)
    original = look_at_original(scene, ctx)
    scene = _above(scene, with_floor(original.removal, reach(scene)), FIRST * worth)
    error, felt = _last_round(scene, ctx, original.pictures)
    keep = with_floor(error, reach(scene)) > worth
    if keep.any():
        scene, felt = replace(scene, splats=scene.splats.take(keep)), felt.take(keep)
    ctx.log.info(f"pruned {before - len(scene):,} of {before:,} Gaussians that the picture does not miss")
    return scene, felt


def _above(scene: Scene, error: F64, threshold: float) -> Scene:
    keep = error > threshold
    return replace(scene, splats=scene.splats.take(keep)) if keep.any() else scene


def _last_round(scene: Scene, ctx: Context, wanted: Sequence[F16]) -> tuple[F64, Sensitivity]:
    """(N,) what removal adds to the error against the original's pictures, and sensitivities, in one look."""
    renderer: Any = ctx.renderer
    columns = np.zeros((len(scene), COLUMNS))

    def look(k: int, camera: Camera) -> tuple[F32, F32]:
        view = renderer.view(scene, camera)
        error, squares = renderer.judge(view, signs(wanted[k].shape, ctx.seed, k), wanted[k])
        return error, squares * np.float32(camera.weight)

    def errors() -> Iterator[F32]:
        for error, squares in ctx.each_view("Measuring what each parameter does", look):
            np.add(columns, squares, out=columns)
            yield error

    error = over_views(errors(), len(scene), ctx, WORST)
    return error, from_squares(columns, ctx)


def with_floor(error: F64, reach: F64) -> F64:
    """Raise errors that are small for what a Gaussian could do to a picture: other views than the measured ones may
    show it.

    reach: (N,) octaves of ``importance.reach``. Errors that are zero or negative count as not seen.
    """
    seen = error > 0
    if not seen.any():
        return error
    octaves = at_least(0.5 * np.log2(np.where(seen, error, 1)), reach, seen, HIDDEN)
    return np.asarray(np.maximum(error, 4.0**octaves), np.float64)
