"""Rounding: the cheapest of all integers, errors that compensate each other, targets that settle."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gscompress.errors import UsageError
from gscompress.quant.rounding import compensate, cost_table, rdoq, settle


def test_cost_table_is_the_information_content_and_never_infinite():
    rng = np.random.default_rng(0)
    symbols, contexts = rng.integers(-2, 3, 50_000), rng.integers(0, 3, 50_000)
    bits = cost_table(symbols, contexts, 4, 6)
    assert bits.shape == (4, 13)
    assert np.isfinite(bits).all()
    np.testing.assert_allclose(bits[:3, 4:9], np.log2(5), atol=0.05)
    np.testing.assert_allclose((2.0**-bits).sum(1), 1)


@pytest.mark.parametrize("price", [0.0, 0.05, 0.3])
def test_rdoq_finds_the_cheapest_integer(price):
    rng = np.random.default_rng(1)
    x, w = rng.laplace(scale=2, size=400), rng.uniform(0.2, 3, 400)
    contexts = rng.integers(0, 3, 400)
    bits = cost_table(np.rint(x).astype(int), contexts, 3, 20)
    found = rdoq(x, bits, contexts, price, w)
    candidates = np.arange(-20, 21)
    every = w[:, None] * (x[:, None] - candidates) ** 2 + price * bits[contexts]
    chosen = w * (x - found) ** 2 + price * bits[contexts, found + 20]
    # The table has few samples per entry, so its costs are jagged: a far integer may be cheaper once in a while.
    assert (chosen <= every.min(1) + 1e-9).mean() > 0.98
    if price == 0:
        assert np.array_equal(found, np.rint(x))


def test_rdoq_needs_contexts_in_the_table():
    with pytest.raises(UsageError):
        rdoq(np.zeros(3), np.zeros((2, 5)), np.array([0, 1, 2]), 0.1)


def curvatures(n, d, seed=2):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, d, 2))
    return a @ np.swapaxes(a, 1, 2) + 0.05 * np.eye(d)


def weighted(x, q, h):
    e = x - q
    return np.einsum("nd,nde,ne->n", e, h, e)


def test_compensation_lowers_the_joint_error_and_lies_near_the_best():
    h = curvatures(300, 4)
    x = np.random.default_rng(3).normal(size=(300, 4)) * 3
    plain, joint = weighted(x, np.rint(x), h), weighted(x, compensate(x, 1.0, h), h)
    every = np.array(list(product((-2, -1, 0, 1, 2), repeat=4)))
    best = np.min([weighted(x, np.rint(x) + offset, h) for offset in every], axis=0)
    assert joint.sum() < 0.6 * plain.sum()
    assert joint.sum() < 2.5 * best.sum()


def test_compensation_with_a_diagonal_is_rounding():
    x = np.random.default_rng(4).normal(size=(50, 3)) * 3
    steps = np.array([0.5, 1.0, 2.0])
    assert np.array_equal(compensate(x, steps, np.tile(np.diag([1.0, 5, 2]), (50, 1, 1))), np.rint(x / steps))
    with pytest.raises(UsageError):
        compensate(x, 1.0, np.zeros((50, 3, 3)))


def test_settled_targets_round_to_a_better_whole():
    """Pixels that blend many overlapping values, as splats do: small values all round to zero, yet their sum shows."""
    rng = np.random.default_rng(5)
    blend = np.abs(rng.normal(size=(200, 300))) * (rng.random((200, 300)) < 0.1)
    x = rng.normal(0.2, 0.3, (300, 1))

    def error(targets):
        return float(np.square(blend @ (np.rint(targets) - x)).sum())

    def gradient(targets, _):
        return blend.T @ (blend @ (np.rint(targets) - x))

    curvature = 16 * np.square(blend).sum(0)[:, None]
    before, after = error(x), error(settle(x.copy(), gradient, curvature, rounds=40))
    assert after < 0.4 * before
    assert np.abs(settle(x.copy(), gradient, curvature, rounds=3) - x).max() <= 0.15 * (1 + 2 / 3 + 1 / 3) + 1e-12
