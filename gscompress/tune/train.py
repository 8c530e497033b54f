"""Fit a scene to photos, from sparse points on: test scenes on a CPU; real training belongs on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene
from gscompress.tune.densify import Densify
from gscompress.tune.growing import GrowingModel
from gscompress.tune.loop import fit
from gscompress.tune.mcmc import DEAD, Mcmc
from gscompress.tune.splat_model import Rates
from gscompress.tune.start import extent, from_points
from gscompress.tune.targets import targets

# Kerbl et al. 2023, for 30,000 steps; means in units of the extent of the cameras. Shorter runs take longer strides.
RATES = Rates(means=1.6e-4, log_scales=5e-3, quats=1e-3, logit_opacities=5e-2, dc=2.5e-3, sh=1.25e-4)
_STEPS, _LONGEST_STRIDE = 30_000, 4.0


@dataclass(frozen=True, slots=True)
class Training:
    """steps: updates. budget: most Gaussians. method: how their number grows. degree: of the SH, 0 to 3."""

    steps: int = 3000
    budget: int = 50_000
    method: Literal["mcmc", "classic"] = "mcmc"
    degree: int = 3

    def __post_init__(self) -> None:
        if not (1 <= self.steps <= 10**6 and 16 <= self.budget <= 10**8 and 0 <= self.degree <= 3):
            raise UsageError("training takes 1 to 1,000,000 steps, 16 to 100,000,000 Gaussians, SH of degree 0 to 3")
        if self.method not in ("mcmc", "classic"):
            raise UsageError(f"no training method '{self.method}': choose mcmc or classic")


def train(
    points: npt.NDArray[np.floating], colours: npt.NDArray[np.uint8], ctx: Context, plan: Training | None = None
) -> Scene:
    """A scene for the photos of ``ctx``. points: (P, 3). colours: (P, 3) uint8. Same input and seed: same scene.

    Raises UsageError without photos, a renderer or points.
    """
    plan = plan or Training()
    if not len(ctx.photos):
        raise UsageError("training needs photos")
    rng = np.random.default_rng(ctx.seed)
    if len(points) > plan.budget:
        chosen = np.sort(rng.permutation(len(points))[: plan.budget])
        points, colours = points[chosen], colours[chosen]
    start = from_points(points, colours, plan.degree)
    size = extent(ctx.cameras)
    rates = hurried(plan.steps)
    model = GrowingModel(start, rates, size)
    between: Callable[[int], None]
    if plan.method == "mcmc":
        between = Mcmc(model, plan.budget, plan.steps, rates.means * size, ctx.seed)
    else:
        pixels = float(np.mean([camera.width for camera in ctx.cameras]))
        between = Densify(model, plan.budget, plan.steps, pixels, size, ctx.seed)
    fit(model, targets(start, ctx), ctx, plan.steps, title="Training", every=between)
    scene = model.scene()
    alive = model.opacities() > DEAD
    return replace(scene, splats=scene.splats.take(alive))


def hurried(steps: int) -> Rates:
    """The rates for a run of ``steps``."""
    stride = float(np.clip(np.sqrt(_STEPS / steps), 1, _LONGEST_STRIDE))
    return Rates(**{field.name: stride * getattr(RATES, field.name) for field in fields(RATES)})
