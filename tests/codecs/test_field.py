"""The colour field: fast kernels and slow twins agree, gradients are derivatives, hostile streams are refused."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gscompress import sh as harmonics
from gscompress.codecs.field import Domain, Weights, bake, pull_back
from gscompress.codecs.field_grid import contract, resolutions
from gscompress.codecs.field_net import BAKE, DIRECTIONS, VIEWS, WEIGHTS
from gscompress.codecs.field_store import StoredField
from gscompress.errors import UnreadableError

CELLS = resolutions(4, 2, 40)  # the coarser two levels fit their tables, the others are hashed
ENTRIES = 128


@pytest.fixture(scope="module")
def weights() -> Weights:
    rng = np.random.default_rng(1)
    start = Weights.fresh(4, ENTRIES, 8, rng)
    return replace(start, table=rng.normal(size=start.table.shape).astype(np.float32), bias=np.float32([0.1, 0.2, -1]))


@pytest.fixture(scope="module")
def cube() -> Any:
    return np.vstack([np.random.default_rng(2).uniform(size=(30, 3)), np.zeros(3), np.ones(3)])


def slow_features(cube: Any, table: Any) -> Any:
    """One corner after the other, in plain Python integers."""
    out = np.zeros((len(cube), 2 * len(table)))
    for i, point in enumerate(cube):
        for level, cells in enumerate(int(c) for c in CELLS):
            low = [min(int(x * cells), cells - 1) for x in point]
            for corner in np.ndindex(2, 2, 2):
                x, y, z = (low[k] + corner[k] for k in range(3))
                if (cells + 1) ** 3 <= ENTRIES:
                    place = (z * (cells + 1) + y) * (cells + 1) + x
                else:
                    place = (x ^ (y * 2654435761) ^ (z * 805459861)) % ENTRIES
                inside = [point[k] * cells - low[k] for k in range(3)]
                weight = np.prod([inside[k] if corner[k] else 1 - inside[k] for k in range(3)])
                out[i, 2 * level : 2 * level + 2] += weight * table[level, place]
    return out


def slow_sh(cube: Any, weights: Weights) -> Any:
    """Colours in every direction in double precision, then a weighted least-squares fit."""
    table, w1, view, w2, bias = (array.astype(np.float64) for array in weights.arrays())
    views = harmonics.basis(DIRECTIONS, 3)
    hidden = slow_features(cube, table)[:, None] @ w1 + views @ view
    colours = np.maximum(hidden, 0) @ w2 + bias
    root = np.sqrt(WEIGHTS)[:, None]
    fits = [np.linalg.lstsq(root * views, root * each, rcond=None)[0] for each in colours]
    return np.stack(fits)


def test_the_fast_bake_is_the_slow_one(cube: Any, weights: Weights) -> None:
    np.testing.assert_allclose(bake(cube, CELLS, weights).sh, slow_sh(cube, weights), atol=2e-5)


def test_the_bake_inverts_the_basis_without_inverting_anything() -> None:
    np.testing.assert_allclose(BAKE.T @ VIEWS, np.eye(16), atol=1e-6)
    assert WEIGHTS.sum() == pytest.approx(1)


def test_gradients_are_derivatives(cube: Any, weights: Weights) -> None:
    rng = np.random.default_rng(3)
    upstream = rng.normal(size=(len(cube), 16, 3)).astype(np.float32)
    rows = np.arange(0, len(cube), 2)
    baked = bake(cube, CELLS, weights)
    pulled = pull_back(baked, CELLS, weights, rows, upstream)

    def loss(changed: Weights) -> float:
        return float((slow_sh(cube[rows], changed) * upstream[rows]).sum())

    for name in ("table", "w1", "view", "w2", "bias"):
        gradient = getattr(pulled, name).astype(np.float64)
        direction = rng.normal(size=gradient.shape) * (gradient != 0)
        ends = [
            replace(weights, **{name: getattr(weights, name).astype(np.float64) + h * direction}) for h in (-1e-6, 1e-6)
        ]
        slope = (loss(ends[1]) - loss(ends[0])) / 2e-6
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-3), name


def test_contraction_keeps_the_ball_and_swallows_the_rest() -> None:
    means = np.array([[1, 2, 3.5], [1, 2, 1003], [np.nan, 0, 0], [1e38, 0, 0]], np.float32)
    out = contract(means, np.array([1.0, 2.0, 3.0]), 1.0)
    np.testing.assert_allclose(out[0], [0.5, 0.5, 0.625])
    np.testing.assert_allclose(out[1], [0.5, 0.5, 0.5 + 0.25 * (2 - 1e-3)])
    assert ((out >= 0) & (out <= 1)).all()


def stored(weights: Weights) -> StoredField:
    return StoredField.of(Domain((0.0, 1.0, 2.0), 1.5, CELLS), weights, 0.125)


def test_a_stored_field_is_its_integers(weights: Weights) -> None:
    field = stored(weights)
    back = StoredField.unpack(field.pack())
    assert back.domain.centre == (0.0, 1.0, 2.0)
    reachable = (CELLS + 1) ** 3
    for level, rows in enumerate(np.minimum(reachable, ENTRIES)):
        assert np.array_equal(back.table[level, :rows], field.table[level, :rows])
        assert not back.table[level, rows:].any()
    for one, other in zip(back.weights().arrays()[1:], weights.arrays()[1:]):
        np.testing.assert_allclose(one, other, atol=2**-11)


@pytest.mark.parametrize(
    ("place", "value"),
    [(32, b"\xff"), (33, b"\x1f"), (34, b"\xff\xff"), (24, struct.pack("<d", np.nan)), (40, b"\0" * 4)],
)
def test_impossible_fields_are_refused(weights: Weights, place: int, value: bytes) -> None:
    streams = stored(weights).pack()
    head = streams["field.domain"]
    damaged = head[:place] + value + head[place + len(value) :]
    with pytest.raises(UnreadableError):
        StoredField.unpack({**streams, "field.domain": damaged})
