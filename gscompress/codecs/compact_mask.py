"""A learned mask (Lee et al. 2024, "Compact 3D Gaussian Representation", eq. 3): which Gaussians the photos need.

Every Gaussian has a logit m. The picture is drawn with those of sigmoid(m) above 1 % only; gradients reach m as if
sigmoid(m) had multiplied scales and opacity (straight through), and lambda times the mean of sigmoid(m) pulls it down.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscompress.scene import Scene
from gscompress.tune.adam import SparseAdam
from gscompress.tune.splat_model import Rates, SplatModel

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F32 = npt.NDArray[np.float32]
_START, _SPEED = 1.0, 0.05
"""The first logit, and its learning rate: five times the paper's, since a trained scene needs no 30,000 steps."""
_LEAST = float(np.log(0.01 / 0.99))  # the logit of 1 %


class MaskModel:
    """A ``tune.loop.Model``: all attributes of a scene, and one mask logit per Gaussian.

    weight: lambda, 0 for no mask.
    """

    def __init__(self, scene: Scene, weight: float, rates: Rates | None = None) -> None:
        self._splats = SplatModel(scene, rates)
        self._mask = SparseAdam(np.full(len(scene), _START, np.float32))
        self._weight = weight
        self._all = np.ones(len(scene), np.bool_)

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """(N,) who is drawn; never nobody."""
        return self._mask.parameter >= min(_LEAST, float(self._mask.parameter.max()))

    def scene(self) -> Scene:
        scene = self._splats.scene()
        return replace(scene, splats=scene.splats.take(self.kept))

    def step(self, gradients: Gradients, rate: float) -> None:
        kept = self.kept
        slope = np.zeros(len(kept), np.float32)
        slope[kept] = by_multiplier(gradients, self._splats.scene().splats.logit_opacities[kept])
        share = _sigmoid(self._mask.parameter)
        slope = share * (1 - share) * (slope + np.float32(self._weight / max(len(kept), 1)))
        self._splats.step(_spread(gradients, kept), rate)
        if self._weight:
            self._mask.step(slope, self._all, _SPEED)


def by_multiplier(gradients: Gradients, logits: F32) -> F32:
    """(N,) derivative by a factor, now one, on each Gaussian's three scales and its opacity.

    The renderer's gradients are by log scale and by logit.
    """
    slope: F32 = gradients.log_scales.sum(1) + gradients.logit_opacities / np.maximum(1 - _sigmoid(logits), 1e-6)
    return slope


def _sigmoid(x: F32) -> F32:
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def _spread(gradients: Gradients, kept: npt.NDArray[np.bool_]) -> Gradients:
    """Gradients of the kept rows as gradients of all rows."""

    def full(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        out = np.zeros((len(kept), *array.shape[1:]), array.dtype)
        out[kept] = array
        return out

    return replace(gradients, **{field.name: full(getattr(gradients, field.name)) for field in fields(gradients)})
