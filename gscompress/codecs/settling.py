"""Colours that are rounded with the picture in view: what is coded moves until its rounding shows what was meant.

Rounding errors of Gaussians that overlap by the dozen add up to something that no single one can tell. A few rounds of
round, decode, render some views, and pull the difference to the original back to the values before rounding
(``quant.rounding.settle``, straight through the rounding as in AdaRound) take most of that away; the decoder does not
notice. docs/quantization.md has the figures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.codecs.colour import LUMA_CHROMA
from gscompress.codecs.glance import look_at_original
from gscompress.codecs.plan import Plan
from gscompress.codecs.reconstruction import colours, known_levels, shapes
from gscompress.context import Context
from gscompress.quant.rounding import settle
from gscompress.scene import Scene

F32 = npt.NDArray[np.float32]
VIEWS = 5  # per round
CURVATURE = 16.0  # of a step's squared error: the coefficients of a Gaussian, and its neighbours, act together


def settled(plan: Plan, original: Scene, ctx: Context, step: float, rounds: int) -> Plan:
    """The plan with colours that settled in ``rounds`` rounds against renders of ``original``; it rounds them plainly.

    step: root of the picture error that one parameter may cause, times sqrt 12, as in ``Plan.make``.
    """
    renderer: Any = ctx.need_renderer("settling colours")
    classes, shared, splats = plan.classes, plan.shared, plan.splats
    known = known_levels(shared.box, splats.means)
    steps = np.repeat(shared.steps.of("dc", classes.colour)[:, None], 3 + shared.sh_columns, axis=1)
    steps[:, 3:] = shared.steps.of("sh", classes.colour)[:, None]
    steps = steps.astype(np.float32)
    offset = np.concatenate([shared.steps.dc_offset, np.zeros(shared.sh_columns)]).astype(np.float32)
    targets = np.concatenate([splats.sh[:, 0] @ LUMA_CHROMA.T, shared.basis.analyse(splats.sh[:, 1:])], axis=1)
    shown = replace(original, splats=replace(shapes(splats, classes, shared, known), extras=splats.extras))
    wanted = look_at_original(original, ctx).pictures
    order = np.random.default_rng(ctx.seed).permutation(len(ctx.cameras))
    pixels = 3 * sum(c.width * c.height for c in ctx.cameras)

    def values(scaled: F32) -> F32:
        return scaled * steps + offset

    def pull(scaled: F32, done: int) -> F32:
        """Half the derivative of the mean squared error by the values, in steps."""
        now = values(scaled)
        scene = replace(shown, splats=replace(shown.splats, sh=colours(now[:, :3], now[:, 3:], classes, shared)))
        total = np.zeros(splats.sh.shape, np.float32)
        chosen = np.take(order, range(done * VIEWS, (done + 1) * VIEWS), mode="wrap")

        def look(k: int, camera: Camera) -> F32:
            view = renderer.view(scene, camera)
            return np.asarray(renderer.pull_colours(view, view.image.rgb - wanted[chosen[k]]))

        some = replace(ctx, cameras=[ctx.cameras[view] for view in chosen])
        for more in some.each_view("Settling colours", look):
            total += more
        back = np.empty_like(steps)
        back[:, :3] = total[:, 0] @ LUMA_CHROMA.T.astype(np.float32)
        back[:, 3:] = total[:, 1:].reshape(len(total), -1) @ shared.basis.matrix.T.astype(np.float32)
        back *= steps
        back *= np.float32(len(ctx.cameras) / len(chosen) / pixels)
        return back

    # Steps of class 0 may be much larger than wanted: what they count is not known, so they stay.
    curvature = np.where(classes.colour[:, None] > 0, CURVATURE * step**2, np.inf).astype(np.float32)
    moved = values(settle((targets.astype(np.float32) - offset) / steps, pull, curvature, rounds))
    sh = np.concatenate([moved[:, :3] @ LUMA_CHROMA, moved[:, 3:] @ shared.basis.matrix], axis=1)
    sh = sh.reshape(splats.sh.shape).astype(np.float32)
    return replace(plan, splats=replace(splats, sh=sh), diffusion=0.0)
