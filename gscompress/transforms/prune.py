"""Drop a share of the Gaussians by one of the scores in use, the least valuable first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene
from gscompress.transforms.refit import refit_sh

F64 = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Prune:
    """ratio: share to drop, 0 to 1. score: what a Gaussian is worth.

    looks: opacity times the root of the product of its two larger scales; needs no renders.
    opacity: opacity alone. removal: change in squared picture error if it alone went (POTR's idea).
    contribution: sum of blending weights. significance: LightGaussian's global significance, the contribution times
    volume^0.1 relative to the 90th percentile (Fan et al. 2024, eq. 3). pup: PUP 3D-GS's sensitivity to position and
    scale (Hanson et al. 2025). How they compare: docs/pruning.md.
    refit: rounds in which the colours of those that stay are fitted to renders of the scene as it was.
    """

    ratio: float = 0.3
    score: Literal["looks", "opacity", "removal", "contribution", "significance", "pup"] = "looks"
    refit: int = 0

    name: ClassVar[str] = "prune"

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise UsageError(f"prune:ratio={self.ratio:g} is out of range: give 0 to below 1")
        if not 0 <= self.refit <= 100:
            raise UsageError(f"prune:refit={self.refit} is out of range: give 0 to 100")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset() if self.score in ("looks", "opacity") and not self.refit else frozenset({"renderer"})

    def __call__(self, scene: Scene, ctx: Context) -> Scene:
        drop = round(self.ratio * len(scene))
        if not drop:
            return scene
        order = np.argsort(_SCORES[self.score](scene, ctx), kind="stable")
        kept = np.sort(order[drop:])
        ctx.log.info(f"pruned {drop:,} of {len(scene):,} Gaussians by {self.score}")
        rest = replace(scene, splats=scene.splats.take(kept))
        return refit_sh(rest, scene, ctx, self.refit) if self.refit else rest


def removal_error(scene: Scene, ctx: Context, wanted: Sequence[Array] | None = None, worst: float = 0.0) -> F64:
    """(N,) squared picture error per pixel and channel that removing a Gaussian alone adds, in the mean of all cameras.

    wanted: a picture (H, W, 3) per camera to measure the error against, None for those of ``scene`` as it is.
    worst: how much of the largest error in a single view counts on top of the mean. Both go by the cameras' weights.
    """
    renderer: Any = ctx.need_renderer("measuring what each Gaussian adds")

    def look(k: int, camera: Camera) -> Array:
        return np.asarray(renderer.removal_error(scene, camera, wanted=None if wanted is None else wanted[k]))

    return over_views(ctx.each_view("Measuring what each Gaussian adds", look), len(scene), ctx, worst)


def over_views(errors: Iterable[Array], count: int, ctx: Context, worst: float) -> F64:
    """(count,) ``removal_error`` from that of each camera of ``ctx``."""
    total, largest, pixels = np.zeros(count), np.full(count, -np.inf), 0.0
    for error, camera in zip(errors, ctx.cameras, strict=True):
        total += camera.weight * error
        np.maximum(largest, error * (camera.weight / (camera.width * camera.height * 3)), out=largest)
        pixels += camera.weight * camera.width * camera.height * 3
    return total / max(pixels, 1) + (worst * largest if worst and pixels else 0.0)


def contribution(scene: Scene, ctx: Context) -> F64:
    """(N,) sum of blending weights over all pixels of all cameras."""
    renderer = ctx.need_renderer("measuring contributions")
    total = np.zeros(len(scene))
    with ctx.log.phase("Measuring contributions", len(ctx.cameras)) as tick:
        for camera in ctx.cameras:
            _, gradients = renderer.render_with_grad(scene, camera, lambda image: np.zeros_like(image.rgb))
            total += gradients.contribution
            tick(1)
    return total


def global_significance(scene: Scene, ctx: Context, power: float = 0.1) -> F64:
    """(N,) LightGaussian's score; ``power`` of the relative volume."""
    volume = np.exp(np.asarray(scene.splats.log_scales, np.float64).sum(1))
    relative = np.clip(volume / max(float(np.quantile(volume, 0.9)), 1e-300), 0, 1)
    return contribution(scene, ctx) * relative**power


def joint_sensitivity(scene: Scene, ctx: Context) -> F64:
    """(N,) PUP's score: log det of the sum of J^T J over all pixels, J a pixel's derivatives by means and scales (6).

    The sums are estimated: with pixel signs r drawn at random, g = J^T r has E[g g^T] = J^T J, and it takes six views
    that show a Gaussian for a full rank. Gaussians that no view shows come last.
    """
    renderer = ctx.need_renderer("measuring sensitivities")
    rng = np.random.default_rng(ctx.seed)
    total, seen = np.zeros((len(scene), 6, 6)), np.zeros(len(scene), np.int64)
    inverse = np.exp(-np.asarray(scene.splats.log_scales, np.float64))
    with ctx.log.phase("Measuring joint sensitivities", len(ctx.cameras)) as tick:
        for camera in ctx.cameras:
            _, g = renderer.render_with_grad(
                scene, camera, lambda image: rng.choice(np.array([-1, 1], np.float32), image.rgb.shape)
            )
            rows = np.flatnonzero(g.contribution > 0)
            both = np.concatenate([g.means[rows], g.log_scales[rows] * inverse[rows]], axis=1)
            total[rows] += both[:, :, None] * both[:, None, :]
            seen[rows] += 1
            tick(1)
    ridge = 1e-6 * np.trace(total, axis1=1, axis2=2)[:, None, None] / 6 + 1e-30
    score = np.linalg.slogdet(total + ridge * np.eye(6))[1]
    return np.where(seen > 0, score, -np.inf)


def _opacity(scene: Scene, ctx: Context) -> F64:
    return np.asarray(1 / (1 + np.exp(-scene.splats.logit_opacities.astype(np.float64))), np.float64)


def _looks(scene: Scene, ctx: Context) -> F64:
    larger = np.sort(np.asarray(scene.splats.log_scales, np.float64), axis=1)[:, 1:]
    return _opacity(scene, ctx) * np.exp(larger.sum(1) / 2)


_SCORES: dict[str, Callable[[Scene, Context], F64]] = {
    "looks": _looks,
    "opacity": _opacity,
    "removal": removal_error,
    "contribution": contribution,
    "significance": global_significance,
    "pup": joint_sensitivity,
}
