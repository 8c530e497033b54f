"""Colours that are rounded with the picture in view: what is coded moves until its rounding shows what was meant.

Rounding errors of Gaussians that overlap by the dozen add up to something that no single one can tell. A few rounds of
round, decode, render some views, and pull the difference to the original back to the values before rounding
(``quant.rounding.settle``, straight through the rounding as in AdaRound) take most of that away; the decoder does not
notice. docs/quantization.md has the figures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gscompress.codecs.colour import LUMA_CHROMA
from gscompress.codecs.glance import originals
from gscompress.codecs.plan import Plan
from gscompress.codecs.reconstruction import colours, known_levels, shapes
from gscompress.context import Context
from gscompress.quant.rounding import settle
from gscompress.scene import Scene

F64 = npt.NDArray[np.float64]
VIEWS = 8  # per round
CURVATURE = 16.0  # of a step's squared error: the coefficients of a Gaussian, and its neighbours, act together


def settled(plan: Plan, original: Scene, ctx: Context, step: float, rounds: int) -> Plan:
    """The plan with colours that settled in ``rounds`` rounds against renders of ``original``; it rounds them plainly.

    step: root of the picture error that one parameter may cause, times sqrt 12, as in ``Plan.make``.
    """
    renderer = ctx.need_renderer("settling colours")
    classes, shared, splats = plan.classes, plan.shared, plan.splats
    known = known_levels(shared.box, splats.means)
    steps = np.repeat(shared.steps.of("dc", classes.colour)[:, None], 3 + shared.sh_columns, axis=1)
    steps[:, 3:] = shared.steps.of("sh", classes.colour)[:, None]
    offset = np.concatenate([shared.steps.dc_offset, np.zeros(shared.sh_columns)])
    targets = np.concatenate([splats.sh[:, 0] @ LUMA_CHROMA.T, shared.basis.analyse(splats.sh[:, 1:])], axis=1)
    shown = replace(original, splats=replace(shapes(splats, classes, shared, known), extras=splats.extras))
    wanted = originals(original, ctx)
    order = np.random.default_rng(ctx.seed).permutation(len(ctx.cameras))
    pixels = 3 * sum(c.width * c.height for c in ctx.cameras)

    def values(scaled: F64) -> npt.NDArray[np.float32]:
        return (scaled * steps + offset).astype(np.float32)

    def pull(scaled: F64, done: int) -> F64:
        """Half the derivative of the mean squared error by the values, in steps."""
        now = values(scaled)
        scene = replace(shown, splats=replace(shown.splats, sh=colours(now[:, :3], now[:, 3:], classes, shared)))
        total = np.zeros(splats.sh.shape)
        chosen = np.take(order, range(done * VIEWS, (done + 1) * VIEWS), mode="wrap")
        for view in map(int, chosen):
            camera = ctx.cameras[view]
            picture = wanted[view].astype(np.float32)
            total += renderer.render_with_grad(scene, camera, lambda image, w=picture: image.rgb - w)[1].sh  # type: ignore[misc]
        back = np.concatenate(
            [total[:, 0] @ LUMA_CHROMA.T, total[:, 1:].reshape(len(total), -1) @ shared.basis.matrix.T], axis=1
        )
        return np.asarray(back * steps * (len(ctx.cameras) / len(chosen) / pixels), np.float64)

    with ctx.log.phase("Settling colours"):
        # Steps of class 0 may be much larger than wanted: what they count is not known, so they stay.
        curvature = np.where(classes.colour[:, None] > 0, CURVATURE * step**2, np.inf)
        moved = values(settle((targets - offset) / steps, pull, curvature, rounds))
    sh = np.concatenate([moved[:, :3] @ LUMA_CHROMA, moved[:, 3:] @ shared.basis.matrix], axis=1)
    sh = sh.reshape(splats.sh.shape).astype(np.float32)
    return replace(plan, splats=replace(splats, sh=sh), diffusion=0.0)
