"""Lattices: the fast nearest point is the exhaustive one, symbols are free of redundancy, Babai keeps its bound."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.errors import UsageError
from gscompress.quant.lattice import babai, e8_points, e8_symbols, nearest_dn, nearest_e8


def nearby(x, shifts, radius=(0, 1)):
    """All points of Z^n + shift with an even sum of integers next to x: the slow twin's candidates."""
    for shift in shifts:
        floor = np.floor(x - shift)
        for offsets in product(radius, repeat=len(x)):
            point = floor + np.array(offsets)
            if point.sum() % 2 == 0:
                yield point + shift


def slowly(x, shifts):
    # The nearest point of D_n may lie two cells away along one axis, so that ring is searched too.
    near = list(nearby(x, shifts))
    for axis in range(len(x)):
        for step in (-1, 1):
            moved = x.copy()
            moved[axis] += step
            near += list(nearby(moved, shifts))
    return min(float(np.square(x - p).sum()) for p in near)


def points(n):
    return st.lists(st.floats(-20, 20), min_size=n, max_size=n).map(np.array)


@settings(max_examples=60, deadline=None)
@given(points(4))
def test_d4_is_exhaustive(x):
    found = nearest_dn(x)
    assert found.sum() % 2 == 0
    assert np.square(x - found).sum() == pytest.approx(slowly(x, [0.0]), abs=1e-9)


@settings(max_examples=12, deadline=None)
@given(points(8))
def test_e8_is_exhaustive(x):
    assert np.square(x - nearest_e8(x)).sum() == pytest.approx(slowly(x, [0.0, 0.5]), abs=1e-9)


def test_nearest_points_are_idempotent():
    x = np.random.default_rng(0).normal(size=(500, 8)) * 5
    assert np.array_equal(nearest_e8(nearest_e8(x)), nearest_e8(x))
    assert np.array_equal(nearest_dn(nearest_dn(x)), nearest_dn(x))


@pytest.mark.parametrize(("nearest", "n", "volume", "gain"), [(nearest_dn, 4, 2.0, 0.37), (nearest_e8, 8, 1.0, 0.65)])
def test_space_filling_gain_is_the_published_one(nearest, n, volume, gain):
    x = np.random.default_rng(1).uniform(-50, 50, (60_000, n))
    second_moment = np.square(x - nearest(x)).mean() / volume ** (2 / n)
    assert 10 * np.log10(1 / 12 / second_moment) == pytest.approx(gain, abs=0.02)


def test_e8_symbols_return_and_use_every_integer():
    """Every integer vector names a lattice point, so nothing is wasted; and points return from their names."""
    symbols = np.random.default_rng(2).integers(-9, 9, (2000, 8))
    named = e8_points(symbols)
    assert np.array_equal(nearest_e8(named), named)
    assert np.array_equal(e8_symbols(named), symbols)


def test_e8_refuses_other_dimensions():
    with pytest.raises(UsageError):
        nearest_e8(np.zeros((3, 7)))


def test_babai_is_exact_for_orthogonal_bases_and_bounded_for_others():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 3)) * 10
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0] * 0.7
    z = babai(x, rotation)
    every = np.array(list(product((-1, 0, 1), repeat=3)))
    best = np.square(x[:, None] - (z[:, None] + every) @ rotation).sum(2).min(1)
    np.testing.assert_allclose(np.square(x - z @ rotation).sum(1), best)
    skewed = np.array([[1.0, 0, 0], [0.8, 0.9, 0], [0.1, 0.2, 1.1]])
    error = np.linalg.norm(x - babai(x, skewed) @ skewed, axis=1)
    assert error.max() <= np.linalg.norm(skewed, axis=1).sum() / 2
    with pytest.raises(UsageError):
        babai(x, np.ones((3, 3)))
