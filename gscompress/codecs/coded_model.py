"""Tuning with the default codec in the loop: pictures show what the file will decode to, and gradients go straight
through the rounding to the values behind it, which also pay for their bits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.codecs.colour import LUMA_CHROMA
from gscompress.codecs.plan import Plan
from gscompress.codecs.rate_model import Cost, Values
from gscompress.codecs.reconstruction import colours, known_levels, shapes
from gscompress.scene import Scene, Splats
from gscompress.tune.adam import SparseAdam
from gscompress.tune.splat_model import Rates

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
_FRESH = 64  # updates for which the levels of the position tree are taken to stay


class CodedModel:
    """A ``tune.loop.Model`` of a plan's Gaussians. Steps, classes and basis stay as planned.

    price: loss per bit, over all Gaussians and the mean of all views; 0 leaves the rate out.
    """

    def __init__(self, plan: Plan, scene: Scene, rates: Rates, price: float = 0.0) -> None:
        splats = plan.splats
        self._plan, self._scene, self._rates, self._price = plan, scene, rates, price
        self._unit = float(np.exp(np.median(splats.log_scales))) if len(splats) else 1.0
        self._means = SparseAdam(splats.means)
        self._log_scales = SparseAdam(splats.log_scales)
        self._logits = SparseAdam(splats.logit_opacities)
        self._quats = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
        self._turns = SparseAdam(np.zeros((len(splats), 3), np.float32))
        self._dc = SparseAdam((splats.sh[:, 0] @ LUMA_CHROMA.T).astype(np.float32))
        self._sh = SparseAdam(plan.shared.basis.analyse(splats.sh[:, 1:]).astype(np.float32))
        self._decoded = splats
        self._done, self._views = 0, np.zeros(len(splats))
        self._count()

    def scene(self) -> Scene:
        """What the file would show now."""
        plan = self._plan
        if self._done % _FRESH == 0:
            self._count()
        sh = colours(self._dc.parameter, self._sh.parameter, plan.classes, plan.shared)
        self._decoded = shapes(replace(self._latent(), sh=sh), plan.classes, plan.shared, self._known)
        return replace(self._scene, splats=self._decoded)

    def _count(self) -> None:
        """What depends on all Gaussians together, and changes slowly."""
        rows = [part for layer in self._plan.layers for part in layer]
        levels = [known_levels(self._plan.shared.box, self._means.parameter[part]) for part in rows]
        self._known = np.concatenate(levels)
        if self._price:
            self._cost = Cost(self.values(), self._plan, self._known)

    def values(self) -> Values:
        """The values behind the file, as they are coded."""
        return Values(self._log_scales.parameter, self._logits.parameter, self._dc.parameter, self._sh.parameter)

    def step(self, gradients: Gradients, rate: float) -> None:
        """One update of what the view has seen."""
        seen, rates = gradients.contribution > 0, self._rates
        order = np.argsort(-np.asarray(self._log_scales.parameter, np.float64), axis=1, kind="stable")
        scales = np.empty_like(gradients.log_scales)
        np.put_along_axis(scales, order, gradients.log_scales, axis=1)
        turns = turns_of(self._decoded.quats, gradients.quats)
        logits = gradients.logit_opacities
        dc = gradients.sh[:, 0] @ LUMA_CHROMA.T.astype(np.float32)
        sh = gradients.sh[:, 1:].reshape(len(seen), -1) @ self._plan.shared.basis.matrix.T.astype(np.float32)
        self._done += 1
        if self._price:
            self._views += seen
            # A Gaussian pays only when it is seen, so it pays for all the views in which it is not.
            weight = (self._price * self._done / np.maximum(self._views, 1)).astype(np.float32)
            cost = self._cost.slopes(self.values())
            scales += weight[:, None] * cost.log_scales
            logits = logits + weight * cost.logit_opacities
            dc += weight[:, None] * cost.dc
            sh += weight[:, None] * cost.sh
        self._means.step(gradients.means, seen, rates.means * rate * self._unit)
        self._log_scales.step(scales, seen, rates.log_scales * rate)
        self._logits.step(logits, seen, rates.logit_opacities * rate)
        self._turns.step(turns, seen, 2 * rates.quats * rate)
        self._quats = turned(self._quats, self._turns.value)
        self._turns.value[:] = 0
        self._dc.step(dc, seen, rates.dc * rate)
        self._sh.step(sh, seen, rates.sh * rate)

    def _latent(self) -> Splats:
        return Splats(
            self._means.parameter,
            self._log_scales.parameter,
            self._quats,
            self._logits.parameter,
            self._plan.splats.sh,
            self._plan.splats.extras,
        )

    def plan(self) -> Plan:
        """The plan with the tuned values, rows in the order of the file."""
        basis = self._plan.shared.basis.matrix
        sh = np.concatenate([self._dc.parameter @ LUMA_CHROMA, self._sh.parameter @ basis], axis=1)
        splats = replace(self._latent(), sh=sh.reshape(self._plan.splats.sh.shape).astype(np.float32))
        return self._plan.with_splats(splats)


def turns_of(quats: F32, gradient: F32) -> F32:
    """Gradients (N, 3) with respect to turns about the world's axes, from those of unit quaternions (N, 4) wxyz."""
    w, x, y, z = quats.T
    a, b, c, d = gradient.T
    about = b * w - a * x - c * z + d * y, b * z - a * y + c * w - d * x, c * x - a * z - b * y + d * w
    return np.asarray(np.stack(about, 1) / 2, np.float32)


def turned(quats: F32, turns: F32) -> F32:
    """Quaternions (N, 4) after small turns (N, 3) about the world's axes."""
    w, x, y, z = quats.T
    i, j, k = turns.T / 2
    out = quats + np.stack(
        [-i * x - j * y - k * z, i * w + j * z - k * y, j * w + k * x - i * z, k * w + i * y - j * x], 1
    )
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True), np.float32)
