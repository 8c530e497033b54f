"""A field as splats: points on its surfaces, as large as the pixels that saw them, then fitted to its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from gscompress.camera import Camera
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.field import Field
from gscompress.renderers.cpu import CpuRenderer
from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.volume import model_of, trace_all
from gscompress.renderers.volume_math import rays_of
from gscompress.scene import Scene
from gscompress.tune.growing import GrowingModel
from gscompress.tune.loop import fit
from gscompress.tune.mcmc import DEAD, Mcmc
from gscompress.tune.refine import steps_in
from gscompress.tune.start import extent, from_points
from gscompress.tune.targets import Target
from gscompress.tune.train import hurried

_OPACITY = 0.5  # where a surface is known to be
_SOLID = 0.5  # a pixel this opaque has a surface
_START = 0.6  # of the budget; the rest is grown where it is needed
_SEEN_OFTEN = 2.0  # samples per Gaussian that is wanted


@dataclass(frozen=True)
class SplatPlan:
    """seconds: of fitting, on a typical machine. budget: most Gaussians. degree: of the harmonics."""

    seconds: float = 120.0
    budget: int = 40_000
    degree: int = 2
    seed: int = 0


def distill_to_splats(
    teacher: Field,
    cameras: Sequence[Camera],
    plan: SplatPlan | None = None,
    *,
    photos: Sequence[npt.NDArray[np.uint8]] = (),
    log: EventLog | None = None,
) -> Scene:
    """A scene that looks like the teacher from ``cameras``, or like the photos taken with them.

    Same input, plan and seed: same scene. Raises UsageError when nothing is seen, and UnreadableError.
    """
    plan, log = plan or SplatPlan(), log or EventLog()
    if not cameras:
        raise UsageError("distillation needs cameras to look at the teacher with")
    if teacher.spec.geometry.get("ndc"):
        raise UsageError("a field in normalised device coordinates has no depths in the world to make splats of")
    model = model_of(teacher)
    white = float(model.white)
    with log.phase("surface points", len(cameras)) as tick:
        parts = []
        for camera in cameras:
            parts.append(_surface(model, camera, plan.budget * _START * _SEEN_OFTEN / len(cameras)))
            tick(1)
    points, colours, sizes = (np.concatenate(column) for column in zip(*parts))
    chosen = np.random.default_rng(plan.seed).permutation(len(points))[: int(plan.budget * _START)]
    start = _start(points[chosen], colours[chosen], sizes[chosen], plan.degree)
    ctx = Context(seed=plan.seed, log=log, renderer=CpuRenderer(), cameras=cameras, background=(white, white, white))
    targets = [Target(c, p) for c, p in zip(cameras, photos)] if len(photos) else _pictures(model, cameras, log)
    steps = max(1, steps_in(plan.seconds, start, ctx))
    rates, size = hurried(steps), extent(cameras)
    growing = GrowingModel(start, rates, size)
    between = Mcmc(growing, plan.budget, steps, rates.means * size, plan.seed)
    fit(growing, targets, ctx, steps, title="distil to splats", every=between)
    scene = growing.scene()
    return replace(scene, splats=scene.splats.take(growing.opacities() > DEAD))


def _surface(
    model: FieldModel, camera: Camera, wanted: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Points (P, 3) at the expected depths of about ``wanted`` pixels, their colours, and their pixels' sizes there."""
    share = min(1.0, (wanted / (camera.width * camera.height)) ** 0.5)
    small = camera.resized(max(2, round(share * camera.width)), max(2, round(share * camera.height)))
    rays = rays_of(small)
    traced = trace_all(model, rays)
    depth = (traced.depth / traced.alpha.clamp(min=1e-6))[:, None]
    solid = ((traced.alpha > _SOLID) & torch.isfinite(depth[:, 0]) & (depth[:, 0] > 0)).numpy()
    points = (rays.origins + depth * rays.directions).double().numpy()[solid]
    rgb = np.clip(np.rint(255 * (traced.rgb / traced.alpha.clamp(min=1e-6)[:, None]).numpy()[solid]), 0, 255)
    return points, rgb.astype(np.uint8), depth[:, 0].double().numpy()[solid] / small.fx


def _start(
    points: npt.NDArray[np.float64], colours: npt.NDArray[np.uint8], sizes: npt.NDArray[np.float64], degree: int
) -> Scene:
    """Round Gaussians as large as their pixels, or as their neighbours are far where that is less."""
    if len(points) < 16:
        raise UsageError("these cameras see nothing solid of the field")
    # ``from_points`` sorts and drops doubles: a size finds its point by the point itself.
    scene = from_points(points, colours, degree)
    size_of = {tuple(p): s for p, s in zip(points.astype(np.float32).tolist(), sizes)}
    pixels = np.array([size_of[tuple(mean)] for mean in scene.splats.means.tolist()])
    log_scales = np.minimum(scene.splats.log_scales, np.log(pixels)[:, None]).astype(np.float32)
    logits = np.full(len(scene), np.log(_OPACITY / (1 - _OPACITY)), np.float32)
    return replace(scene, splats=replace(scene.splats, log_scales=log_scales, logit_opacities=logits))


def _pictures(model: FieldModel, cameras: Sequence[Camera], log: EventLog) -> list[Target]:
    """What the teacher looks like."""
    out = []
    with log.phase("the teacher's pictures", len(cameras)) as tick:
        for camera in cameras:
            traced = trace_all(model, rays_of(camera))
            rgb = (traced.rgb + (1 - traced.alpha[:, None]) * float(model.white)).clamp(0, 1)
            pixels = rgb.reshape(camera.height, camera.width, 3).numpy()
            out.append(Target(camera, np.rint(255 * pixels).astype(np.uint8)))
            tick(1)
    return out
