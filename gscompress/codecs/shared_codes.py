"""Tuning with fixed indices: pictures are made of codes on their grid, and the codes themselves learn.

Niedermayr et al. 2024, "Compressed 3D Gaussian Splatting": a Gaussian is a position, an opacity and a size of its own,
and the numbers of a colour and a shape that it shares with others. What is stored on 8 bits is shown on 8 bits while
gradients go straight through.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.codecs.clusters import sum_rows
from gscompress.codecs.code_tables import logits_of_levels, on_grid, opacity_levels
from gscompress.scene import Scene, Splats
from gscompress.tune.adam import SparseAdam
from gscompress.tune.splat_model import Rates

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class SharedCodes:
    """A ``Model`` of N Gaussians that share codes.

    size: (N,) natural log of each Gaussian's size, added to the log scales of its shape. colours: (C, K, 3) SH.
    shapes: log scales (S, 3) and quats (S, 4). colour, shape: (N,) the codes that the Gaussians use.
    """

    def __init__(
        self, scene: Scene, size: F32, colours: F32, shapes: tuple[F32, F32], colour: I64, shape: I64, rates: Rates
    ) -> None:
        splats = scene.splats
        self._scene, self._rates, self.colour, self.shape = scene, rates, colour, shape
        unit = float(np.exp(np.median(splats.log_scales))) if len(splats) else 1.0
        self._means, self._logits = SparseAdam(splats.means), SparseAdam(splats.logit_opacities)
        self._size, self._scales, self._quats = SparseAdam(size), SparseAdam(shapes[0]), SparseAdam(shapes[1])
        self._dc, self._sh = SparseAdam(colours[:, 0]), SparseAdam(colours[:, 1:])
        self._means_rate, self._bands = rates.means * unit, colours.shape[1:]

    @property
    def means(self) -> F32:
        return self._means.parameter

    def levels(self) -> I64:
        """(N,) opacity levels, as stored."""
        return opacity_levels(self._logits.parameter)

    def size(self) -> F32:
        return on_grid(self._size.parameter, "size")

    def colours(self) -> tuple[F32, F32]:
        """DC (C, 3) and higher SH (C, 3 (K - 1)) on their grids."""
        return on_grid(self._dc.parameter, "dc"), on_grid(self._sh.value, "sh")

    def shapes(self) -> tuple[F32, F32]:
        """Log scales (S, 3) and quats (S, 4) on their grids."""
        return on_grid(self._scales.parameter, "scale"), on_grid(self._quats.parameter, "rotation")

    def scene(self) -> Scene:
        scales, quats = self.shapes()
        return replace(
            self._scene,
            splats=Splats(
                self.means,
                scales[self.shape] + self.size()[:, None],
                quats[self.shape],
                logits_of_levels(self.levels()),
                np.hstack(self.colours())[self.colour].reshape(len(self.colour), *self._bands),
            ),
        )

    def step(self, gradients: Gradients, rate: float) -> None:
        """One update: what a code should do is the sum of what its Gaussians should do."""
        seen, rates = gradients.contribution > 0, self._rates
        self._means.step(gradients.means, seen, self._means_rate * rate)
        self._logits.step(gradients.logit_opacities, seen, rates.logit_opacities * rate)
        self._size.step(gradients.log_scales.sum(1), seen, rates.log_scales * rate)
        self._learn(self._scales, gradients.log_scales, self.shape, seen, rates.log_scales * rate)
        self._learn(self._quats, gradients.quats, self.shape, seen, rates.quats * rate)
        self._learn(self._dc, gradients.sh[:, 0], self.colour, seen, rates.dc * rate)
        self._learn(self._sh, gradients.sh[:, 1:], self.colour, seen, rates.sh * rate)

    @staticmethod
    def _learn(codes: SparseAdam, gradient: F32, of: I64, seen: npt.NDArray[np.bool_], rate: float) -> None:
        rows, width = codes.value.shape
        shown = np.zeros(rows, bool)
        shown[of[seen]] = True
        codes.step(sum_rows(gradient.reshape(len(of), width), of, rows), shown, rate)
