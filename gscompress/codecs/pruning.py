"""Drop Gaussians that are not worth their bits: the change in squared error if a Gaussian alone went, against its
price.

POTR (Lot et al. 2026) prunes by true removal error; here the threshold follows from the same slope of rate and
distortion that sets every quantization step, so no ratio has to be chosen. Faint Gaussians that overlap darken the
picture together: from the second round on errors are measured against the original's pictures, where those of the same
sign add up (docs/pruning.md).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gscompress.codecs.glance import originals
from gscompress.codecs.importance import FEWEST, by_looks, predicted
from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.transforms.prune import removal_error

BITS = 60.0  # what a Gaussian costs, roughly, at every quality
FLOOR_OCTAVES = 2.0
WORST = 0.1  # of the largest error in a single view counts on top of the mean: no view is ruined for the others
ROUNDS = (0.1, 1.0)  # shares of the threshold, approached from far below: many small errors add up


def prune(scene: Scene, ctx: Context, squared_step: float) -> Scene:
    """Keep Gaussians whose removal costs more than their bits save. ``squared_step``: picture error of a step, times
    12.

    Each parameter causes squared_step / 12, and a bit less quadruples it: a bit is worth 2 ln 2 squared_step / 12.
    """
    if ctx.renderer is None or not ctx.cameras or squared_step <= 0 or not len(scene):
        return scene
    worth = BITS * 2 * np.log(2) * squared_step / 12
    before = len(scene)
    wanted = originals(scene, ctx)
    for share in ROUNDS:
        error = with_floor(removal_error(scene, ctx, wanted, WORST), by_looks(scene).shape)
        keep = error > share * worth
        if not keep.any():
            break
        scene = Scene(scene.splats.take(keep), scene.frame, scene.model, scene.meta)
    ctx.log.info(f"pruned {before - len(scene):,} of {before:,} Gaussians that the picture does not miss")
    return scene


def with_floor(error: npt.NDArray[np.float64], looks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Raise errors that lie far below what a Gaussian's looks suggest: other views than the measured ones may show it.

    looks: (N,) octaves of ``importance.by_looks``. Errors that are zero or negative count as not seen.
    """
    seen = error > 0
    if np.count_nonzero(seen) < FEWEST:
        return error
    return np.maximum(error, 2.0 ** (predicted(np.log2(np.where(seen, error, 1)), looks, seen) - FLOOR_OCTAVES))
