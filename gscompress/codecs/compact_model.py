"""The scene of preset compact-3dgs under optimisation: what the file will hold is drawn, gradients go straight through.

Positions are halves, opacities lie on 256 levels, colours come from the field's bake. Scales and rotations are free at
first; once ``quantize`` has given them residual codes, their indices stay and the codes learn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.codecs.compact_store import Levels, ResidualCodes, from_halves, to_halves
from gscompress.codecs.field import Baked
from gscompress.codecs.field_tune import FieldFit
from gscompress.scene import Scene, Splats
from gscompress.tune.adam import SparseAdam
from gscompress.tune.splat_model import Rates

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F32 = npt.NDArray[np.float32]
_CODES = 1e-3  # learning rate of codes; many Gaussians pull at each
_FIELD = 0.3  # of the field's rates of distillation
_SETTLE = 0.3  # of all rates, once codes are fixed: the steps before have brought everything near its place


class CompactModel:
    """A ``tune.loop.Model``."""

    def __init__(self, scene: Scene, field: FieldFit, rates: Rates | None = None) -> None:
        splats = scene.splats
        self.field, self._scene, self._rates = field, scene, rates or Rates()
        self._degree, self._pace = splats.sh_degree, 1.0
        self._unit = float(np.exp(np.median(splats.log_scales))) if len(splats) else 1.0
        self._means, self._logits = SparseAdam(splats.means), SparseAdam(splats.logit_opacities)
        self._scales, self._quats = SparseAdam(splats.log_scales), SparseAdam(splats.quats)
        self.codes: tuple[_Codes, _Codes] | None = None
        self.levels: Levels | None = None
        self._baked: Baked | None = None

    def quantize(self, scales: ResidualCodes, rotations: ResidualCodes, levels: Levels) -> None:
        """From now on scales and rotations are sums of codes, and opacities lie on levels."""
        self.codes, self.levels, self._pace = (_Codes(scales), _Codes(rotations)), levels, _SETTLE

    def exact(self) -> Splats:
        """Geometry as it is before rounding."""
        colours = np.zeros((len(self._means.value), 1, 3), np.float32)
        scales, quats = self._scales.parameter, self._quats.parameter
        return Splats(self._means.parameter, scales, quats, self._logits.parameter, colours)

    def halves(self) -> npt.NDArray[np.float16]:
        """(N, 3) positions about the field's centre."""
        return to_halves(self._means.parameter, self.field.domain.centre)

    def opacities(self) -> npt.NDArray[np.uint8]:
        """(N,) opacity levels. Only once they are set."""
        assert self.levels is not None
        return self.levels.of(self._logits.parameter)

    def geometry(self) -> Splats:
        """What is drawn, but for its colour."""
        scales, quats = self._scales.parameter, self._quats.parameter
        if self.codes is not None:
            scales, quats = (codes.now().decode() for codes in self.codes)
        logits = self._logits.parameter if self.levels is None else self.levels.decode(self.opacities())
        means = from_halves(self.halves(), self.field.domain.centre)
        return Splats(means, scales, quats, logits, np.zeros((len(means), 1, 3), np.float32))

    def scene(self) -> Scene:
        splats = self.geometry()
        self._baked = self.field.bake(self.field.domain.cube(splats.means))
        splats = replace(splats, sh=self._baked.sh)
        return replace(self._scene, splats=splats if self._degree == 3 else splats.with_sh_degree(self._degree))

    def step(self, gradients: Gradients, rate: float) -> None:
        assert self._baked is not None
        seen, rate = gradients.contribution > 0, rate * self._pace
        missing = self._baked.sh.shape[1] - gradients.sh.shape[1]
        colours = np.pad(gradients.sh, ((0, 0), (0, missing), (0, 0))) if missing else gradients.sh
        self.field.update(self._baked, np.flatnonzero(seen), colours, _FIELD * rate)
        self._means.step(gradients.means, seen, self._rates.means * self._unit * rate)
        self._logits.step(gradients.logit_opacities, seen, self._rates.logit_opacities * rate)
        if self.codes is not None:
            for codes, gradient in zip(self.codes, (gradients.log_scales, gradients.quats)):
                codes.step(gradient, _CODES * rate)
        else:
            self._scales.step(gradients.log_scales, seen, self._rates.log_scales * rate)
            self._quats.step(gradients.quats, seen, self._rates.quats * rate)


class _Codes:
    """Residual codes that learn, with fixed indices."""

    def __init__(self, start: ResidualCodes) -> None:
        self._start = start
        self._codes = SparseAdam(start.codes.astype(np.float32).reshape(-1, start.codes.shape[2]))
        self._used = np.ones(len(self._codes.value), np.bool_)

    def now(self) -> ResidualCodes:
        shape = self._start.codes.shape
        return replace(self._start, codes=self._codes.value.reshape(shape).astype(np.float16))

    def step(self, gradient: F32, rate: float) -> None:
        stages, count, width = self._start.codes.shape
        pulled = np.empty((stages, count, width))
        for stage, indices in enumerate(self._start.indices.T):
            for d in range(width):
                pulled[stage, :, d] = np.bincount(indices, gradient[:, d], count)
        self._codes.step(pulled.reshape(-1, width), self._used, rate)
