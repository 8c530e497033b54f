"""Allocation: equal slopes, hulls, choices under a budget against exhaustive search."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.errors import UsageError
from gscompress.quant.allocation import (
    best_at,
    bisect_slope,
    choose,
    equal_slope_steps,
    lower_hull,
    slope_of,
    step_classes,
)


def test_equal_slope_steps_cause_equal_errors_and_no_other_steps_do_better():
    h = np.exp(np.random.default_rng(0).normal(0, 3, 1000))
    steps = equal_slope_steps(h, 0.01)
    np.testing.assert_allclose(h * steps**2 / 12, 0.01)
    for tilt in (-0.1, 0.1):
        other = steps * h**tilt
        other *= np.exp(np.log(steps).mean() - np.log(other).mean())  # same bits
        assert (h * other**2).sum() > (h * steps**2).sum()


def test_the_slope_is_what_a_bit_buys():
    h = np.array([3.0])
    step = equal_slope_steps(h, 0.01)
    finer = step * 2**-1e-4
    assert (h * (step**2 - finer**2) / 12 / 1e-4).item() == pytest.approx(slope_of(0.01), rel=1e-3)


@pytest.mark.parametrize(("per_octave", "loss"), [(1, 1.082), (2, 1.020)])
def test_classes_cost_what_is_said(per_octave, loss):
    steps = 2.0 ** np.random.default_rng(1).uniform(-8, 8, 200_000)
    rounded = 2.0 ** (step_classes(steps, per_octave, -100, 100) / per_octave)
    assert np.square(rounded / steps).mean() == pytest.approx(loss, abs=0.003)
    assert step_classes(np.array([0.0, np.inf, 4.0]), 1, -3, 5).tolist() == [-3, 5, 2]


POINTS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(POINTS, st.floats(0.001, 30))
def test_the_hull_holds_the_best_point_of_every_slope(points, price):
    rates, errors = np.array(points, float).T
    hull = lower_hull(rates, errors)
    assert (np.diff(rates[hull]) > 0).all()
    assert (np.diff(errors[hull]) < 0).all()
    cost = errors + price * rates
    assert cost[hull].min() == pytest.approx(cost.min())


@settings(max_examples=100, deadline=None)
@given(st.lists(POINTS, min_size=1, max_size=3), st.floats(0, 90))
def test_choices_fit_the_budget_and_are_within_a_step_of_the_best(streams, budget):
    curves = [tuple(np.array(p, float).T) for p in streams]
    combinations = list(product(*[range(len(p)) for p in streams]))

    def totals(choice):
        return [sum(curve[k][c] for curve, c in zip(curves, choice)) for k in (0, 1)]

    feasible = [totals(c)[1] for c in combinations if totals(c)[0] <= budget]
    if not feasible:
        with pytest.raises(UsageError):
            choose(curves, budget)
        return
    rate, error = totals(choose(curves, budget))
    assert rate <= budget
    hulls = [curve[1][lower_hull(*curve)] for curve in curves]
    assert error <= min(feasible) + max([0.0] + [float(-np.diff(h).min()) for h in hulls if len(h) > 1]) + 1e-9


def test_bisection_meets_the_budget_with_the_least_price():
    rng = np.random.default_rng(2)
    curves = [(np.arange(1.0, 40), rng.uniform(1, 9) * 2.0 ** -np.arange(1.0, 40)) for _ in range(5)]
    for budget in (10.0, 40.0, 100.0):
        price = bisect_slope(curves, budget)
        rate = [sum(r[best_at(r, e, p)] for r, e in curves) for p in (price, price * 0.99)]
        assert rate[0] <= budget
        assert rate[0] > budget - 5
        assert rate[1] >= rate[0]
    assert bisect_slope(curves, 1e9) == 0
    with pytest.raises(UsageError):
        bisect_slope(curves, 4)
