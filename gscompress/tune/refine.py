"""Self-distillation: adjust a reduced scene until its renders are those of the original again. No photos, no torch.

The views are the context's cameras; the loss is the squared error against renders of the original, whose gradients come
from the renderer's own backward pass. Rates fall along a cosine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.scene import Scene, Splats
from gscompress.tune.adam import SparseAdam

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rate per attribute; ``means`` in units of the median scale of the scene's Gaussians."""

    means: float = 0.02
    log_scales: float = 6e-3
    quats: float = 2e-3
    logit_opacities: float = 2e-2
    dc: float = 4e-3
    sh: float = 2e-4


COLOUR_ONLY = Rates(means=0.0, log_scales=0.0, quats=0.0, logit_opacities=0.0)
# Seconds of one update on two typical cores: fixed, per Gaussian, per pixel (measured, see docs/tuning.md).
_COST = (0.02, 4.5e-7, 2.0e-7)


def steps_in(seconds: float, scene: Scene, ctx: Context) -> int:
    """How many updates fit into ``seconds`` on a typical machine. A count, not a clock, so that results repeat."""
    pixels = float(np.mean([c.width * c.height for c in ctx.cameras]))
    return int(seconds / (_COST[0] + _COST[1] * len(scene) + _COST[2] * pixels))


def refine(scene: Scene, original: Scene, ctx: Context, steps: int, rates: Rates | None = None) -> Scene:
    """Tune ``scene`` with ``steps`` updates against renders of ``original``; a rate of 0 leaves an attribute as it
    is."""
    renderer = ctx.need_renderer("tuning")
    rates = rates or Rates()
    rng = np.random.default_rng(ctx.seed)
    if not len(scene) or not ctx.cameras:
        return scene
    unit = float(np.exp(np.median(scene.splats.log_scales)))
    variables = _Variables(scene.splats)
    targets = [_rendered(renderer, original, camera) for camera in ctx.cameras]
    queue: list[int] = []
    with ctx.log.phase("Tuning against renders of the original", steps) as tick:
        for done in range(steps):
            queue = queue or list(rng.permutation(len(ctx.cameras)))
            view = int(queue.pop())
            current = replace(scene, splats=variables.splats(scene.splats))
            pull = partial(_difference, targets[view])
            _, gradients = renderer.render_with_grad(current, ctx.cameras[view], pull)
            variables.step(gradients, rates, unit, 0.5 + 0.5 * float(np.cos(np.pi * done / steps)))
            tick(1)
    return replace(scene, splats=variables.splats(scene.splats))


def _difference(target: npt.NDArray[np.float16], image: Any) -> npt.NDArray[np.float32]:
    """Gradient of the squared error of a render with respect to its pixels."""
    return 2 * (image.rgb - target.astype(np.float32))


def _rendered(renderer: Any, scene: Scene, camera: Any) -> npt.NDArray[np.float16]:
    """Half precision: 1/2000 of a grey level's weight, half the memory."""
    return renderer.render(scene, camera).rgb.astype(np.float16)


class _Variables:
    """The five attributes under optimisation, DC apart from higher SH."""

    def __init__(self, splats: Splats) -> None:
        self._optimizers = {
            "means": SparseAdam(splats.means),
            "log_scales": SparseAdam(splats.log_scales),
            "quats": SparseAdam(splats.quats),
            "logit_opacities": SparseAdam(splats.logit_opacities),
            "dc": SparseAdam(splats.sh[:, :1]),
            "sh": SparseAdam(splats.sh[:, 1:]),
        }

    def step(self, gradients: Any, rates: Rates, unit: float, factor: float) -> None:
        seen = gradients.contribution > 0
        for name, optimizer in self._optimizers.items():
            if name in ("dc", "sh"):
                gradient = gradients.sh[:, :1] if name == "dc" else gradients.sh[:, 1:]
            else:
                gradient = getattr(gradients, name)
            rate = getattr(rates, name) * factor * (unit if name == "means" else 1.0)
            if rate:
                optimizer.step(gradient, seen, rate)

    def splats(self, like: Splats) -> Splats:
        now = {name: optimizer.parameter for name, optimizer in self._optimizers.items()}
        sh = np.concatenate([now["dc"], now["sh"]], axis=1)
        return Splats(now["means"], now["log_scales"], now["quats"], now["logit_opacities"], sh, like.extras)
