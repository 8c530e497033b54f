"""Domains: inverse, monotone, and the slope is the derivative."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.quant.domains import Asinh, Contraction, Log, Logit, Power, SymmetricLog, pull_back

REAL = st.floats(-1e3, 1e3).filter(lambda v: abs(v) > 1e-6)
CASES = [
    (Log(), st.floats(1e-6, 1e6)),
    (Logit(), st.floats(1e-4, 1 - 1e-4)),
    (Power(0.5), REAL),
    (Asinh(2.0), REAL),
    (SymmetricLog(), REAL),
]


@pytest.mark.parametrize(("domain", "values"), CASES)
def test_inverse_order_and_slope(domain, values):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(values, min_size=2, max_size=8, unique=True))
    def check(xs):
        x = np.sort(np.array(xs))
        u = domain.forward(x)
        np.testing.assert_allclose(domain.inverse(u), x, rtol=1e-9)
        assert (np.diff(u) >= 0).all()
        step = 1e-6 * np.abs(x)
        numeric = (domain.forward(x + step) - domain.forward(x - step)) / (2 * step)
        np.testing.assert_allclose(domain.slope(x), numeric, rtol=1e-4)

    check()


def test_pulled_back_sensitivity_predicts_the_same_error():
    """A small step in u causes h_u du^2 = h_x dx^2."""
    x, h = np.array([0.1, 1.0, 7.0]), np.array([3.0, 2.0, 5.0])
    du = 1e-5
    dx = Log().inverse(Log().forward(x) + du) - x
    np.testing.assert_allclose(pull_back(Log(), x, h) * du**2, h * dx**2, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-1e4, 1e4)] * 3), st.floats(0.1, 10))
def test_contraction_fills_the_ball_and_returns(point, radius):
    space = Contraction((1.0, -2.0, 0.5), radius)
    x = np.array([point])
    u = space.forward(x)
    assert np.linalg.norm(u) < 2
    np.testing.assert_allclose(space.inverse(u), x, rtol=1e-5, atol=1e-9)
    if np.linalg.norm(x - space.centre) <= radius:
        np.testing.assert_allclose(u, (x - space.centre) / radius)


def test_contraction_slope_is_the_tangential_derivative():
    space = Contraction(radius=2.0)
    for distance in (1.0, 5.0, 300.0):
        at, aside = np.array([distance, 0, 0]), np.array([distance, 1e-6, 0])
        numeric = (space.forward(aside) - space.forward(at))[1] / 1e-6
        np.testing.assert_allclose(space.slope(at)[0], numeric, rtol=1e-5)
