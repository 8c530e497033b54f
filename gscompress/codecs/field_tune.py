"""Fitting a colour field: Adam on its weights with the table rounded straight through, and distillation from SH."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress import sh as harmonics
from gscompress.codecs.field import Baked, Domain, Weights, bake, pull_back
from gscompress.codecs.field_store import StoredField
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
_BETA1, _BETA2, _EPSILON = 0.9, 0.99, 1e-15
_VIEWS = 96


@dataclass(frozen=True, slots=True)
class FieldRates:
    """Learning rates of the table and of the network."""

    table: float = 1e-2
    net: float = 2e-3


class FieldFit:
    """A field under optimisation. step: what the table is rounded to."""

    def __init__(self, weights: Weights, domain: Domain, step: float, rates: FieldRates | None = None) -> None:
        self._weights, self.domain, self._step = weights, domain, step
        self._rates = rates or FieldRates()
        self._moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights.arrays()]
        self._age = 0

    @property
    def weights(self) -> Weights:
        """As a decoder will have them."""
        return self.stored().weights()

    @property
    def exact(self) -> Weights:
        """As they are before rounding."""
        return self._weights

    def stored(self) -> StoredField:
        return StoredField.of(self.domain, self._weights, self._step)

    def bake(self, cube: F64) -> Baked:
        return bake(cube, self.domain.cells, self.weights)

    def update(self, baked: Baked, rows: npt.NDArray[np.int64], gradient: F32, rate: float) -> None:
        """One update from dL/d SH (N, 16, 3), of which only ``rows`` count."""
        pulled = pull_back(baked, self.domain.cells, self.weights, rows, gradient)
        self._age += 1
        unbias = 1 - _BETA1**self._age, 1 - _BETA2**self._age
        for k, (w, g) in enumerate(zip(self._weights.arrays(), pulled.arrays())):
            speed = rate * (self._rates.net if k else self._rates.table)
            first, second = self._moments[k]
            _adam(
                w.reshape(-1),
                np.ascontiguousarray(g).reshape(-1),
                first.reshape(-1),
                second.reshape(-1),
                speed,
                *unbias,
            )


@nb.njit(cache=True, nogil=True, fastmath=True)
def _adam(value: F32, gradient: F32, first: F32, second: F32, rate: float, unbias1: float, unbias2: float) -> None:
    """In place; entries without a gradient stay as they are (most of a hash table, in most steps)."""
    b1, b2 = np.float32(_BETA1), np.float32(_BETA2)
    speed, scale = np.float32(rate / unbias1), np.float32(1 / unbias2)
    for i in range(len(value)):
        g = gradient[i]
        if g != 0:
            first[i] = b1 * first[i] + (1 - b1) * g
            second[i] = b2 * second[i] + (1 - b2) * g * g
            value[i] -= speed * first[i] / (np.sqrt(second[i] * scale) + np.float32(_EPSILON))


@dataclass(frozen=True, slots=True)
class Sightings:
    """Which Gaussian was seen how strongly from where: weight (V, N) blending weights, eyes (V, 3) camera centres."""

    weight: F32
    eyes: F64

    @staticmethod
    def of(scene: Scene, ctx: Context) -> Sightings:
        """From at most 96 of the context's views, evenly drawn: their weights must fit into memory together.

        Raises UsageError without views.
        """
        if not ctx.cameras:
            raise UsageError("a colour field is fitted to what views show: pass a Context with cameras")
        renderer = ctx.need_renderer("fitting a colour field")
        cameras = ctx.cameras[:: -(-len(ctx.cameras) // _VIEWS) or 1]
        weight = np.empty((len(cameras), len(scene)), np.float32)
        for k, camera in enumerate(cameras):
            _, gradients = renderer.render_with_grad(scene, camera, lambda image: np.zeros_like(image.rgb))
            weight[k] = gradients.contribution
        return Sightings(weight, np.array([camera.position for camera in cameras]))


def distil(
    field: FieldFit,
    scene: Scene,
    sightings: Sightings,
    steps: int,
    batch: int,
    seed: int,
    tick: Callable[[int], None],
) -> list[float]:
    """Fit the field to the Gaussians' own colours: SH of ``scene`` seen from the views, weighted by blending weight.

    Every step draws one view and at most ``batch`` of the Gaussians that it sees. Returns the weighted squared errors.
    """
    cube = field.domain.cube(scene.splats.means)
    rng = np.random.default_rng(seed)
    target = scene.splats.with_sh_degree(3).sh
    errors = []
    for done in range(steps):
        view = int(rng.integers(len(sightings.eyes)))
        weight = sightings.weight[view]
        rows = np.flatnonzero(weight > 0)
        rows = rng.choice(rows, batch, replace=False) if len(rows) > batch else rows
        some = field.bake(np.ascontiguousarray(cube[rows]))
        away = scene.splats.means[rows].astype(np.float64) - sightings.eyes[view]
        away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
        values = harmonics.basis(away, 3).astype(np.float32)
        difference = np.einsum("nk,nkc->nc", values, some.sh - target[rows])
        w = weight[rows] / max(float(weight[rows].sum()), 1e-12)
        errors.append(float((w[:, None] * difference**2).sum()))
        gradient = values[:, :, None] * (2 * w[:, None] * difference)[:, None, :]
        rate = 0.5 + 0.5 * float(np.cos(np.pi * done / steps))
        field.update(some, np.arange(len(rows)), gradient.astype(np.float32), rate)
        tick(1)
    return errors
