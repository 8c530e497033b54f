"""A colour field in place of SH: hash grid and small network, evaluated straight to SH coefficients, with gradients.

Everything here works on float32 weights; ``field_store`` turns them to integers and back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs import field_grid, field_net

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_PARTS = 8  # of the rows: fixed, so that sums do not depend on the number of cores


@dataclass(frozen=True, slots=True)
class Domain:
    """Where the field lives: the contraction's unit ball, and the grid's cells per axis of each level (L,)."""

    centre: tuple[float, float, float]
    radius: float
    cells: I64

    @staticmethod
    def around(means: F32, cells: I64) -> Domain:
        """Centred on the median; half of the Gaussians lie in the unit ball, where space is not contracted."""
        centre = np.median(means, axis=0).astype(np.float64)
        radius = float(np.median(np.linalg.norm(means - centre, axis=1)))
        return Domain((float(centre[0]), float(centre[1]), float(centre[2])), max(radius, 1e-6), cells)

    def cube(self, means: F32) -> F64:
        return field_grid.contract(np.ascontiguousarray(means), np.array(self.centre), self.radius)


@dataclass(frozen=True, slots=True)
class Weights:
    """table (L, T, 2), w1 (2 L, U), view (16, U), w2 (U, 3), bias (3,), float32; or gradients with respect to them."""

    table: F32
    w1: F32
    view: F32
    w2: F32
    bias: F32

    @staticmethod
    def fresh(levels: int, entries: int, width: int, rng: np.random.Generator) -> Weights:
        """Table values within 1e-4, layers of He's variance; the view starts at a tenth of that."""

        def layer(inputs: int, outputs: int, gain: float) -> F32:
            return (rng.normal(size=(inputs, outputs)) * gain / np.sqrt(inputs)).astype(np.float32)

        inputs = levels * field_grid.FEATURES
        table = rng.uniform(-1e-4, 1e-4, (levels, entries, field_grid.FEATURES)).astype(np.float32)
        view = layer(field_net.BANDS, width, 0.5)
        return Weights(table, layer(inputs, width, 1.4), view, layer(width, 3, 0.3), np.zeros(3, np.float32))

    def seen(self) -> F32:
        """(U, 32) what each direction of the bake adds to each hidden value, in a fixed order of additions."""
        out = np.zeros((self.view.shape[1], len(field_net.VIEWS)), np.float32)
        for values, weights in zip(field_net.VIEWS.T.astype(np.float32), self.view):
            out += weights[:, None] * values
        return out

    def arrays(self) -> tuple[F32, ...]:
        return self.table, self.w1, self.view, self.w2, self.bias


@dataclass(frozen=True, slots=True)
class Baked:
    """SH of N positions (N, 16, 3), and what pulling gradients back needs: cube (N, 3), features (N, 2 L)."""

    sh: F32
    cube: F64
    features: F32


def bake(cube: F64, cells: I64, weights: Weights) -> Baked:
    """SH coefficients at positions ``cube`` (N, 3) in [0, 1]."""
    features = np.empty((len(cube), 2 * len(cells)), np.float32)
    sh = np.empty((len(cube), field_net.BANDS, 3), np.float32)
    net = weights.w1, weights.seen(), weights.w2, weights.bias

    def part(_: int, start: int, stop: int) -> None:
        field_grid.look_up(start, stop, cube, cells, weights.table, features)
        field_net.bake(start, stop, features, *net, sh)

    _run(part, len(cube))
    return Baked(sh, cube, features)


def pull_back(baked: Baked, cells: I64, weights: Weights, rows: I64, gradient: F32) -> Weights:
    """Gradients from dL/d SH (N, 16, 3), of which only ``rows`` count."""
    net = weights.w1, weights.seen(), weights.w2
    features = np.empty((len(rows), baked.features.shape[1]), np.float32)
    shapes = weights.w1.shape, net[1].shape, weights.w2.shape, (3,)
    sums = [[np.zeros(shape, np.float32) for shape in shapes] for _ in range(_PARTS)]

    def net_part(number: int, start: int, stop: int) -> None:
        field_net.pull_back(start, stop, rows, baked.features, *net, gradient, features, *sums[number])

    table = np.zeros_like(weights.table)

    def grid_part(_: int, start: int, stop: int) -> None:
        field_grid.scatter(start, stop, rows, baked.cube, cells, features, table)

    _run(net_part, len(rows))
    _run(grid_part, len(cells))
    w1, seen, w2, bias = (sum(parts[1:], parts[0]) for parts in zip(*sums))
    view = field_net.VIEWS.T.astype(np.float32) @ seen.T
    return Weights(table, w1, view, w2, bias)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="gscompress-field")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _run(kernel: Callable[[int, int, int], Any], count: int) -> None:
    """Call ``kernel(number, start, stop)`` for ``_PARTS`` even parts of ``range(count)`` on all cores."""
    edges = [count * k // _PARTS for k in range(_PARTS + 1)]
    for future in [_pool().submit(kernel, k, edges[k], edges[k + 1]) for k in range(_PARTS)]:
        future.result()
