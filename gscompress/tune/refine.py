"""Self-distillation: adjust a reduced scene until its renders are those of the original again. No photos, no torch.

The views are the context's cameras; the loss is the squared error against renders of the original, whose gradients come
from the renderer's own backward pass.
"""

from __future__ import annotations

import numpy as np

from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.tune.loop import fit
from gscompress.tune.losses import squared
from gscompress.tune.splat_model import COLOUR_ONLY, Rates, SplatModel
from gscompress.tune.targets import rendered

__all__ = ["COLOUR_ONLY", "Rates", "refine", "steps_in"]
# Seconds of one update on two typical cores, its share of the command's other work included: fixed, per Gaussian, per
# pixel (measured: docs/codecs/default.md, Tuning).
_COST = (0.003, 1.1e-6, 9e-8)


def steps_in(seconds: float, scene: Scene, ctx: Context) -> int:
    """How many updates fit into ``seconds`` on a typical machine. A count, not a clock, so that results repeat."""
    pixels = float(np.mean([c.width * c.height for c in ctx.cameras]))
    return int(seconds / (_COST[0] + _COST[1] * len(scene) + _COST[2] * pixels))


def refine(scene: Scene, original: Scene, ctx: Context, steps: int, rates: Rates | None = None) -> Scene:
    """Tune ``scene`` with ``steps`` updates against renders of ``original``; a rate of 0 leaves an attribute as it
    is."""
    renderer = ctx.need_renderer("tuning")
    if not len(scene) or not ctx.cameras:
        return scene
    model = SplatModel(scene, rates)
    goals = [rendered(renderer, original, camera) for camera in ctx.cameras]
    fit(model, goals, ctx, steps, loss=squared, title="Tuning against renders of the original")
    return model.scene()
