"""Tracking by optimisation, for frames whose Gaussians are not those of the frame before: the decoded frame is tuned
until its renders are those of the new one, and what it then is becomes what the residual frame aims at.

QUEEN's online setting with generated views in place of cameras. Gaussians of the new frame that cover what tuning could
not reach are added as they are; tuned ones that fade away are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.stream.keyframe import concatenated
from gscompress.stream.state import Change, State
from gscompress.tune.refine import refine

if TYPE_CHECKING:
    from gscompress.renderers.base import Image

F64 = npt.NDArray[np.float64]
_MOST_ADDED = 0.05  # of the Gaussians, per frame
_OUTSTANDING = 4.0  # times the mean error that a Gaussian covers: from there it is added
_FADED = -5.5  # logit of an opacity that no picture shows
_LOWEST = 3.0  # dB below what the quality aims at: beyond, a dearer frame is better


@dataclass(frozen=True, slots=True)
class Retargeted:
    """scene: the tuned rows of the state in their order, then added ones. faded: (rows,) that need not stay."""

    scene: Scene
    faded: npt.NDArray[np.bool_]


def retarget(
    state: State, motion: F64 | None, goal: Scene, ctx: Context, updates: int, wanted: float
) -> Retargeted | None:
    """Tune the state's scene towards ``goal`` with ``updates`` updates; None without a renderer, or when the result
    stays far below ``wanted`` dB. motion: (7,) of the whole, taken first when it helps."""
    if ctx.renderer is None or not ctx.cameras or not len(state):
        return None
    starts = [state]
    if motion is not None and motion.any():
        starts.append(state.moved(replace(Change.none(len(state.graph)), whole=motion)))
    scenes = [replace(start.scene(), frame=goal.frame, model=goal.model) for start in starts]
    few = replace(ctx, cameras=ctx.cameras[:4])
    tuned = refine(min(scenes, key=lambda scene: picture_error(scene, goal, few)), goal, ctx, updates)
    rows = len(tuned)
    added = goal.splats.take(_missing(tuned, goal, ctx))
    more = replace(tuned, splats=concatenated([tuned.splats, replace(added, extras={})]))
    error, error_with = picture_error(tuned, goal, ctx), picture_error(more, goal, ctx)
    if error_with < error:
        tuned, error = more, error_with
    if -10 * np.log10(max(error, 1e-12)) < wanted - _LOWEST:
        return None
    return Retargeted(tuned, tuned.splats.logit_opacities[:rows] < _FADED)


def _missing(tuned: Scene, goal: Scene, ctx: Context) -> npt.NDArray[np.int64]:
    """Rows of ``goal`` that cover outstanding error: the error's gradient with respect to their colour tells."""
    renderer = ctx.need_renderer("tracking by optimisation")
    covered = np.zeros(len(goal))
    for camera in ctx.cameras:
        off = np.abs(renderer.render(tuned, camera).rgb - renderer.render(goal, camera).rgb)

        def pull(_: Image, off: Any = off) -> npt.NDArray[np.float32]:
            return off.astype(np.float32)

        covered += np.abs(renderer.render_with_grad(goal, camera, pull)[1].sh[:, 0]).sum(1)
    most = int(_MOST_ADDED * len(goal))
    worst = np.argsort(-covered, kind="stable")[:most]
    return np.sort(worst[covered[worst] > _OUTSTANDING * covered.mean()])


def picture_error(scene: Scene, goal: Scene, ctx: Context) -> float:
    """Mean squared difference of renders over ``ctx.cameras``. Raises UsageError without a renderer."""
    renderer = ctx.need_renderer("tracking by optimisation")
    pairs = ((renderer.render(scene, c).rgb, renderer.render(goal, c).rgb) for c in ctx.cameras)
    return float(np.mean([np.square(np.clip(a, 0, 1) - np.clip(b, 0, 1)).mean() for a, b in pairs]))
