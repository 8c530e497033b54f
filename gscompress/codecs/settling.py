"""Colours that are rounded with the picture in view: what is coded moves until its rounding shows what was meant.

Rounding errors of Gaussians that overlap by the dozen add up to something that no single one can tell. A few rounds of
round, decode, render some views, and pull the difference to the original back to the values before rounding
(``quant.rounding.settle``, straight through the rounding as in AdaRound) take most of that away; the decoder does not
notice. docs/quantization.md has the figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.codecs.colour import LUMA_CHROMA
from gscompress.codecs.geometry import Classes
from gscompress.codecs.glance import look_at_original
from gscompress.codecs.part import Shared
from gscompress.codecs.plan import Plan
from gscompress.codecs.reconstruction import colours, known_levels, shapes
from gscompress.context import Context
from gscompress.quant.rounding import settle
from gscompress.scene import Scene

F32 = npt.NDArray[np.float32]
VIEWS = 5  # per round
_BLOCK = 1 << 16
CURVATURE = 16.0  # of a step's squared error: the coefficients of a Gaussian, and its neighbours, act together


def settled(plan: Plan, original: Scene, ctx: Context, step: float, rounds: int) -> Plan:
    """The plan with colours that settled in ``rounds`` rounds against renders of ``original``; it rounds them plainly.

    step: root of the picture error that one parameter may cause, times sqrt 12, as in ``Plan.make``.
    """
    renderer: Any = ctx.need_renderer("settling colours")
    classes, shared, splats = plan.classes, plan.shared, plan.splats
    known = known_levels(shared.box, splats.means)
    shown = replace(original, splats=replace(shapes(splats, classes, shared, known), extras=splats.extras))
    wanted = look_at_original(original, ctx).pictures
    usual = np.flatnonzero([camera.weight == 1 for camera in ctx.cameras])
    order = np.random.default_rng(ctx.seed).permutation(usual)
    pixels = 3 * sum(c.width * c.height for c in ctx.cameras)
    domain = _Domain(classes, shared)

    def pull(scaled: F32, done: int) -> F32:
        """Half the derivative of the mean squared error by the values, in steps."""
        scene = replace(shown, splats=replace(shown.splats, sh=domain.decoded(scaled)))
        total = np.zeros(splats.sh.shape, np.float32)
        chosen = np.take(order, range(done * VIEWS, (done + 1) * VIEWS), mode="wrap")

        def look(k: int, camera: Camera) -> tuple[Any, F32]:
            view = renderer.view(scene, camera)
            return view, renderer.colour_sums(view, view.image.rgb - wanted[chosen[k]])

        some = replace(ctx, cameras=[ctx.cameras[view] for view in chosen])
        for view, sums in some.each_view("Settling colours", look):
            renderer.add_colours(view, sums, total)
        return domain.pulled(total, len(ctx.cameras) / len(chosen) / pixels)

    # Steps of class 0 may be much larger than wanted: what they count is not known, so they stay.
    curvature = np.where(classes.colour[:, None] > 0, CURVATURE * step**2, np.inf).astype(np.float32)
    moved = settle(domain.scaled(splats.sh), pull, curvature, rounds)
    return replace(plan, splats=replace(splats, sh=domain.sh(moved)), diffusion=0.0)


@dataclass(frozen=True, slots=True)
class _Domain:
    """Between SH (N, K, 3) and (N, 3K) what is rounded, in steps: luma and chroma, then the fitted basis.

    All float32 and a block of rows at a time: for large scenes this is the most memory that the encoder takes.
    """

    classes: Classes
    shared: Shared

    def _blocks(self) -> Iterator[tuple[slice, F32, F32]]:
        """Rows with their steps of DC and of higher SH, (n, 1)."""
        for start in range(0, len(self.classes.colour), _BLOCK):
            rows = slice(start, start + _BLOCK)
            dc, higher = (self.shared.steps.of(name, self.classes.colour[rows])[:, None] for name in ("dc", "sh"))
            yield rows, dc.astype(np.float32), higher.astype(np.float32)

    def scaled(self, sh: F32) -> F32:
        out = np.empty((len(sh), sh.shape[1] * 3), np.float32)
        offset = np.asarray(self.shared.steps.dc_offset)
        for rows, dc, higher in self._blocks():
            out[rows, :3] = (sh[rows, 0] @ LUMA_CHROMA.T - offset) / dc
            out[rows, 3:] = self.shared.basis.analyse(sh[rows, 1:]) / higher
        return out

    def values(self, scaled: F32) -> Iterator[tuple[slice, F32, F32]]:
        """Rows with their luma and chroma (n, 3) and coefficients in the fitted basis."""
        offset = np.asarray(self.shared.steps.dc_offset, np.float32)
        for rows, dc, higher in self._blocks():
            yield rows, scaled[rows, :3] * dc + offset, scaled[rows, 3:] * higher

    def decoded(self, scaled: F32) -> F32:
        """SH as the file would hold them."""
        out = np.empty((len(scaled), scaled.shape[1] // 3, 3), np.float32)
        for rows, dc, higher in self.values(scaled):
            classes = Classes(self.classes.shape[rows], self.classes.colour[rows])
            out[rows] = colours(dc, higher, classes, self.shared)
        return out

    def sh(self, scaled: F32) -> F32:
        """The reverse of ``scaled``."""
        out = np.empty((len(scaled), scaled.shape[1] // 3, 3), np.float32)
        for rows, dc, higher in self.values(scaled):
            out[rows, 0] = dc @ LUMA_CHROMA
            out[rows, 1:] = (higher @ self.shared.basis.matrix).reshape(len(dc), -1, 3)
        return out

    def pulled(self, gradient: F32, factor: float) -> F32:
        """A gradient by SH, overwritten by ``factor`` times that by the scaled values."""
        flat = gradient.reshape(len(gradient), -1)
        for rows, dc, higher in self._blocks():
            flat[rows, :3] = flat[rows, :3] @ LUMA_CHROMA.T * (dc * factor)
            flat[rows, 3:] = flat[rows, 3:] @ self.shared.basis.matrix.T.astype(np.float32) * (higher * factor)
        return flat
