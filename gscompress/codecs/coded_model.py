"""Tuning with the default codec in the loop: pictures show what the file will decode to, and gradients go straight
through the rounding to the values behind it, which also pay for their bits."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.latents import Grid, Latents, grid_of, latents_of, splats_of, synthesis_of
from gscompress.codecs.moved_rows import Moments, move_colours, move_shapes
from gscompress.codecs.plan import Plan
from gscompress.codecs.rate_model import Prices, prices_of
from gscompress.codecs.reconstruction import known_levels
from gscompress.codecs.shown_rows import show
from gscompress.scene import Scene, Splats

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F32 = npt.NDArray[np.float32]
_FRESH = 64  # updates for which statistics and the levels of the position tree are taken to stay
_BLOCK = 2048  # rows at a time: their colours stay in the cache


class CodedModel:
    """A ``tune.loop.Model`` of a plan's Gaussians. Steps, classes and basis stay as planned.

    rate: how far a value moves in an early update, in steps.
    price: loss per bit, over all Gaussians and the mean of all views; 0 leaves the rate out.
    faint: loss per step below which a value moves less than ``rate``, see ``Moments``.
    """

    def __init__(self, plan: Plan, scene: Scene, rate: float, price: float = 0.0, faint: float = 1e-15) -> None:
        count = len(plan.splats)
        self._plan, self._scene, self._rate, self._price = plan, scene, rate, price
        self._grid: Grid = grid_of(plan)
        self.latents: Latents = latents_of(plan, self._grid)
        self._matrix, self._offset = synthesis_of(plan.shared)
        self._moments = Moments.zero(count, self.latents.colours.shape[1], faint)
        means, scales, quats, logits = (np.empty((count, *shape), np.float32) for shape in ((3,), (3,), (4,), ()))
        self._shown = Splats(means, scales, quats, logits, np.empty_like(plan.splats.sh), plan.splats.extras)
        self._updates, self._views = 0, np.zeros(count)
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="gscompress-tuning")
        self._count()

    def scene(self) -> Scene:
        """What the file would show now; its arrays are overwritten by the next call."""
        if self._updates % _FRESH == 0:
            self._count()
        splats, stale = self._shown, self._stale
        fixed = self.latents, self._grid, self._known, stale, self._shapes()
        sh = splats.sh.reshape(len(splats), -1)

        def decode(start: int, stop: int) -> None:
            show(start, stop, *fixed)
            values = np.floor(self.latents.colours[start:stop] + np.float32(0.5))
            values[:, :3] *= self._grid.colour[start:stop, :1]
            values[:, 3:] *= self._grid.colour[start:stop, 1:]
            np.dot(values, self._matrix, out=sh[start:stop])
            sh[start:stop, :3] += self._offset

        self._each_block(decode)
        return replace(self._scene, splats=splats)

    def step(self, gradients: Gradients, rate: float) -> None:
        """One update of what the view of the last ``scene`` has seen."""
        seen = gradients.contribution > 0
        self._updates += 1
        self._views += seen
        self._moments.age[seen] += 1
        # A Gaussian pays only when it is seen, so it pays for all the views in which it is not.
        weights = self._price * self._updates / np.maximum(self._views, 1)
        by_shape = gradients.means, gradients.log_scales, gradients.quats, gradients.logit_opacities
        common = seen, weights, self._moments, self._rate * rate
        values = self.latents, self._grid, self._prices
        sh, back = gradients.sh.reshape(len(seen), -1), np.ascontiguousarray(self._matrix.T)
        by_colour = np.empty_like(sh)

        def update(start: int, stop: int) -> None:
            move_shapes(start, stop, *values, self._shapes(), by_shape, *common)
            np.dot(sh[start:stop], back, out=by_colour[start:stop])
            move_colours(start, stop, *values, by_colour, *common)

        self._each_block(update)
        self._stale = seen

    def plan(self) -> Plan:
        """The plan with the tuned values, rows in the order of the file."""
        return self._plan.with_splats(splats_of(self.latents, self._plan, self._grid))

    def _count(self) -> None:
        """What depends on all Gaussians together, and changes slowly."""
        rows = [part for layer in self._plan.layers for part in layer]
        levels = [known_levels(self._plan.shared.box, self.latents.means[part]) for part in rows]
        self._known = np.concatenate(levels)
        self._prices: Prices = prices_of(self.latents, self._plan, self._grid, self._known)
        self._stale = np.ones(len(self._plan.splats), bool)

    def _shapes(self) -> tuple[F32, ...]:
        shown = self._shown
        return shown.means, shown.log_scales, shown.quats, shown.logit_opacities

    def _each_block(self, work: Callable[[int, int], Any]) -> None:
        """``work(start, stop)`` of blocks of rows, on all cores."""
        starts = range(0, len(self._plan.splats), _BLOCK)
        list(self._threads.map(work, starts, [min(start + _BLOCK, len(self._plan.splats)) for start in starts]))
