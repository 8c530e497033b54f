"""Drop Gaussians that are not worth their bits: the change in squared error if a Gaussian alone went, against its
price.

POTR (Lot et al. 2026) prunes by true removal error; here the threshold follows from the same slope of rate and
distortion that sets every quantization step, so no ratio has to be chosen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gscompress.codecs.importance import by_looks
from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.transforms.prune import removal_error

BITS = 60.0  # what a Gaussian costs, roughly, at every quality
FLOOR_OCTAVES = 2.0
ROUNDS = (0.4, 1.0)  # errors of neighbours add up, so the threshold is approached from below


def prune(scene: Scene, ctx: Context, squared_step: float) -> Scene:
    """Keep Gaussians whose removal costs more than their bits save. ``squared_step``: picture error of a step, times
    12.

    Each parameter causes squared_step / 12, and a bit less quadruples it: a bit is worth 2 ln 2 squared_step / 12.
    """
    if ctx.renderer is None or not ctx.cameras or squared_step <= 0 or not len(scene):
        return scene
    worth = BITS * 2 * np.log(2) * squared_step / 12
    before = len(scene)
    for share in ROUNDS:
        error = with_floor(removal_error(scene, ctx), by_looks(scene).shape)
        keep = error > share * worth
        if not keep.any():
            break
        scene = Scene(scene.splats.take(keep), scene.frame, scene.model, scene.meta)
    ctx.log.info(f"pruned {before - len(scene):,} of {before:,} Gaussians that the picture does not miss")
    return scene


def with_floor(error: npt.NDArray[np.float64], looks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Raise errors that lie far below what a Gaussian's looks suggest: other views than the measured ones may show it.

    looks: (N,) octaves of ``importance.by_looks``. A line through the seen ones predicts log2 error.
    """
    seen = error > 0
    if np.count_nonzero(seen) < 16:
        return error
    measured = np.log2(error[seen])
    away = looks - looks[seen].mean()
    slope = (away[seen] * measured).sum() / max(float((away[seen] ** 2).sum()), 1e-12)
    return np.maximum(error, 2.0 ** (slope * away + measured.mean() - FLOOR_OCTAVES))
