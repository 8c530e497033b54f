"""The five attributes of a scene under optimisation, DC apart from higher SH."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gscompress.scene import Scene, Splats
from gscompress.tune.adam import SparseAdam

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rate per attribute, 0 to leave it as it is; ``means`` in units of the median scale of the scene's
    Gaussians."""

    means: float = 0.02
    log_scales: float = 6e-3
    quats: float = 2e-3
    logit_opacities: float = 2e-2
    dc: float = 4e-3
    sh: float = 2e-4


COLOUR_ONLY = Rates(means=0.0, log_scales=0.0, quats=0.0, logit_opacities=0.0)


class SplatModel:
    """A ``Model`` of plain parameters: Adam per attribute, rows that a view has not seen stay as they are."""

    def __init__(self, scene: Scene, rates: Rates | None = None) -> None:
        splats = scene.splats
        self._scene, self._rates = scene, rates or Rates()
        self._unit = float(np.exp(np.median(splats.log_scales))) if len(splats) else 1.0
        self._optimizers = {
            "means": SparseAdam(splats.means),
            "log_scales": SparseAdam(splats.log_scales),
            "quats": SparseAdam(splats.quats),
            "logit_opacities": SparseAdam(splats.logit_opacities),
            "dc": SparseAdam(splats.sh[:, :1]),
            "sh": SparseAdam(splats.sh[:, 1:]),
        }

    def scene(self) -> Scene:
        now = {name: optimizer.parameter for name, optimizer in self._optimizers.items()}
        sh = np.concatenate([now["dc"], now["sh"]], axis=1)
        arrays = now["means"], now["log_scales"], now["quats"], now["logit_opacities"], sh
        return replace(self._scene, splats=Splats(*arrays, self._scene.splats.extras))

    def step(self, gradients: Gradients, rate: float) -> None:
        """One update of what the view has seen, with the learning rates times ``rate``."""
        seen = gradients.contribution > 0
        for name, optimizer in self._optimizers.items():
            if name in ("dc", "sh"):
                gradient = gradients.sh[:, :1] if name == "dc" else gradients.sh[:, 1:]
            else:
                gradient = getattr(gradients, name)
            own = getattr(self._rates, name) * rate * (self._unit if name == "means" else 1.0)
            if own:
                optimizer.step(gradient, seen, own)
