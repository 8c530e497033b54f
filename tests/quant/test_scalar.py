"""Scalar quantizers: error bounds, idempotence, rate against distortion, optimality of levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.errors import UsageError
from gscompress.quant.scalar import Levels, Uniform, fit_lloyd_max, fit_shift, minifloat


def laplacian(n=20000):
    return np.random.default_rng(0).laplace(size=n)


def entropy(symbols):
    _, counts = np.unique(symbols, return_counts=True)
    return float(np.log2(counts.sum() / counts) @ counts / counts.sum())


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    st.floats(1e-3, 1e3),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
)
def test_uniform_error_stays_within_its_bound(xs, step, rounding, shift):
    quantizer = Uniform(step, rounding, shift)
    x = np.array(xs)
    error = np.abs(quantizer.decode(quantizer.encode(x)) - x)
    assert (error <= quantizer.bound() * (1 + 1e-9) + 1e-9).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=20), st.floats(1e-3, 1e3), st.floats(0.01, 0.5))
def test_uniform_is_idempotent(symbols, step, rounding):
    quantizer = Uniform(step, rounding)
    q = np.array(symbols)
    assert np.array_equal(quantizer.encode(quantizer.decode(q) * (1 + 1e-12)), q)


def test_smaller_steps_cost_more_bits_and_less_error():
    x = laplacian()
    points = []
    for step in (4.0, 2.0, 1.0, 0.5, 0.25):
        q = Uniform(step).encode(x)
        points.append((entropy(q), np.square(Uniform(step).decode(q) - x).mean()))
    rates, errors = np.array(points).T
    assert (np.diff(rates) > 0).all()
    assert (np.diff(errors) < 0).all()


def test_the_fitted_shift_lowers_the_error_of_a_peaked_source():
    x = laplacian()
    shift = fit_shift(x, 1.5, 0.4)
    q = Uniform(1.5, 0.4).encode(x)
    errors = [np.square(Uniform(1.5, 0.4, s).decode(q) - x).mean() for s in (shift, 0.0, shift + 0.05)]
    assert errors[0] < min(errors[1:])


@pytest.mark.parametrize("bad", [{"step": 0.0}, {"step": 1.0, "rounding": 0.6}, {"step": 1.0, "shift": -0.1}])
def test_impossible_quantizers_are_refused(bad):
    with pytest.raises(UsageError):
        Uniform(**bad)


def test_lloyd_max_meets_both_of_its_conditions():
    """Each level is the mean of its cell (to the rounds' tolerance), each value goes to its nearest level."""
    x, w = laplacian(), np.random.default_rng(1).uniform(0.1, 2, 20000)
    levels = fit_lloyd_max(x, 8, w, iterations=500)
    codes = levels.encode(x)
    assert np.array_equal(codes, np.argmin(np.abs(x[:, None] - levels.values), axis=1))
    means = np.bincount(codes, w * x, 8) / np.bincount(codes, w, 8)
    np.testing.assert_allclose(levels.values, means, atol=0.01)


def test_lloyd_max_beats_a_uniform_grid_of_as_many_levels_and_improves_with_more():
    x = laplacian()
    errors = []
    for count in (2, 4, 8, 16):
        levels = fit_lloyd_max(x, count)
        errors.append(np.square(levels.decode(levels.encode(x)) - x).mean())
        grid = Levels(np.linspace(x.min(), x.max(), count))
        assert errors[-1] < np.square(grid.decode(grid.encode(x)) - x).mean()
    assert (np.diff(errors) < 0).all()


def test_lloyd_max_of_a_gaussian_reaches_the_published_error():
    """Max (1960): 4 levels of a unit Gaussian leave 0.1175."""
    x = np.random.default_rng(3).normal(size=200_000)
    levels = fit_lloyd_max(x, 4, iterations=200)
    assert np.square(levels.decode(levels.encode(x)) - x).mean() == pytest.approx(0.1175, abs=0.0015)


def test_lloyd_max_of_one_value_is_that_value():
    levels = fit_lloyd_max(np.full(5, 3.25), 4)
    assert np.array_equal(levels.decode(levels.encode(np.full(5, 3.25))), np.full(5, 3.25))


def test_minifloat_values_are_those_of_the_ocp_formats():
    assert minifloat(2, 1).values[7:].tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    e4m3 = minifloat(4, 3).values
    assert (e4m3.max(), e4m3[e4m3 > 0].min()) == (480, 2.0**-9)
    assert len(e4m3) == 255


@settings(max_examples=60, deadline=None)
@given(st.floats(2.0**-6, 447.0))
def test_minifloat_relative_error_is_half_a_mantissa_unit(x):
    grid = minifloat(4, 3)
    assert abs(grid.decode(grid.encode(x)) - x) <= x * 2.0**-4
