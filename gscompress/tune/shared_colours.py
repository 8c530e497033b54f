"""A scene whose less important Gaussians share the SH of a codebook, under optimisation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscompress.scene import Scene
from gscompress.tune.adam import SparseAdam
from gscompress.tune.splat_model import Rates, SplatModel

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F32 = npt.NDArray[np.float32]
_NONE = -1


class SharedColours:
    """A ``Model``: Gaussian i has SH of its own where ``which[i]`` is -1, and else those of code ``which[i]``.

    codes: (C, K, 3). The gradient of a code is the sum over its Gaussians; what it moves per step is one rate.
    """

    def __init__(self, scene: Scene, which: npt.NDArray[np.int64], codes: F32, rates: Rates) -> None:
        self.which = which
        self._rates = rates
        self._own = which == _NONE
        self._splats = SplatModel(scene, rates)
        self._dc, self._sh = SparseAdam(codes[:, :1]), SparseAdam(codes[:, 1:])

    @property
    def codes(self) -> F32:
        return np.concatenate([self._dc.parameter, self._sh.parameter], axis=1)

    def scene(self) -> Scene:
        scene = self._splats.scene()
        sh = scene.splats.sh
        sh[~self._own] = self.codes[self.which[~self._own]]
        return replace(scene, splats=replace(scene.splats, sh=sh))

    def step(self, gradients: Gradients, rate: float) -> None:
        self._splats.step(gradients, rate)
        shared = self.which[~self._own]
        seen = np.zeros(len(self._dc.value), np.bool_)
        seen[shared[gradients.contribution[~self._own] > 0]] = True
        pulled = sums(gradients.sh[~self._own], shared, len(seen))
        self._dc.step(pulled[:, :1], seen, self._rates.dc * rate)
        if pulled.shape[1] > 1:
            self._sh.step(pulled[:, 1:], seen, self._rates.sh * rate)


def sums(values: npt.NDArray[Any], which: npt.NDArray[np.int64], groups: int) -> F32:
    """(groups, …) sums of the rows of ``values`` by group."""
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    order = np.argsort(which, kind="stable")
    out = np.zeros((groups, flat.shape[1]), np.float32)
    if len(order):
        present, starts = np.unique(which[order], return_index=True)
        out[present] = np.add.reduceat(flat[order], starts, axis=0)
    return out.reshape(groups, *values.shape[1:])
