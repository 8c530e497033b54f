"""A model whose Gaussians come and go while it is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.scene import Scene
from gscompress.tune.splat_model import Rates, SplatModel

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class GrowingModel(SplatModel):
    """unit: scene units of the rate of means.

    opacity_weight, scale_weight: of the mean opacity and the mean scale in the loss, pulls that photos do not give.
    pulled, views: (N,) since rows last changed: the summed length of the gradient with respect to the projected centre,
    per pixel, and in how many views a Gaussian was seen.
    """

    def __init__(self, scene: Scene, rates: Rates, unit: float) -> None:
        super().__init__(scene, rates)
        self._unit = unit
        self.opacity_weight = self.scale_weight = 0.0
        self._forget()

    def __len__(self) -> int:
        return len(self._optimizers["means"].value)

    def value(self, name: str) -> F32:
        """The current values of "means", "log_scales", "quats" or "logit_opacities"; writing to it changes them."""
        return self._optimizers[name].parameter.reshape(len(self), -1)

    def opacities(self) -> F64:
        return np.asarray(1 / (1 + np.exp(-self.value("logit_opacities")[:, 0].astype(np.float64))))

    def step(self, gradients: Gradients, rate: float) -> None:
        self.pulled += np.linalg.norm(gradients.means2d, axis=1)
        self.views += gradients.contribution > 0
        super().step(self._pressed(gradients), rate)

    def rearrange(self, rows: I64, fresh: npt.NDArray[np.bool_]) -> None:
        """Make row i what row ``rows[i]`` is; where ``fresh[i]`` its optimiser starts anew."""
        for optimizer in self._optimizers.values():
            optimizer.rearrange(rows, fresh)
        self._forget()

    def _forget(self) -> None:
        self.pulled, self.views = np.zeros(len(self)), np.zeros(len(self), np.int64)

    def _pressed(self, gradients: Gradients) -> Gradients:
        if not (self.opacity_weight or self.scale_weight):
            return gradients
        opacity = self.opacities()
        less = self.opacity_weight * opacity * (1 - opacity) / len(self)
        thinner = self.scale_weight * np.exp(self.value("log_scales")) / (3 * len(self))
        return replace(
            gradients,
            logit_opacities=gradients.logit_opacities + less.astype(np.float32),
            log_scales=gradients.log_scales + thinner.astype(np.float32),
        )
