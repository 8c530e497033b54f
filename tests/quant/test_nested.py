"""Nested codes: any prefix decodes within its bound, refinement is exact, more planes never hurt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.errors import UsageError
from gscompress.quant.nested import bound, coarse, from_planes, planes, refine, refinement, values

SYMBOLS = st.lists(st.integers(-1000, 1000), min_size=1, max_size=30).map(np.array)


@settings(max_examples=80, deadline=None)
@given(SYMBOLS, st.integers(0, 12))
def test_coarse_symbols_are_within_the_bound_and_refine_exactly(q, drop):
    rough = coarse(q, drop)
    assert np.abs(values(rough, drop) - q).max() <= bound(drop)
    details = refinement(q, drop)
    assert details.min() >= 0
    assert np.array_equal(refine(rough, details, drop), q)


@settings(max_examples=60, deadline=None)
@given(SYMBOLS)
def test_every_prefix_of_the_planes_decodes(q):
    bits, signs = planes(q, 10)
    for known in range(11):
        decoded = from_planes(bits[:known], signs, 10)
        assert np.abs(decoded - q).max() <= bound(10 - known)
        assert np.array_equal(decoded, values(coarse(q, 10 - known), 10 - known))
    assert np.array_equal(decoded, q)


def test_each_plane_lowers_the_error():
    q = np.rint(np.random.default_rng(0).laplace(scale=40, size=5000)).astype(int)
    bits, signs = planes(q, 12)
    errors = [np.square(from_planes(bits[:p], signs, 12) - q).mean() for p in range(13)]
    assert (np.diff(errors) <= 0).all()
    assert errors[-1] == 0 < errors[-2]


def test_dropping_in_two_goes_is_dropping_at_once():
    q = np.arange(-300, 300)
    assert np.array_equal(coarse(coarse(q, 2), 3), coarse(q, 5))


def test_planes_must_hold_the_symbols():
    with pytest.raises(UsageError):
        planes(np.array([8]), 3)
