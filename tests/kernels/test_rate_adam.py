"""Laws of the optimiser with a price on bits: what is rounded, what stays dead, and which way a price pulls."""

from __future__ import annotations

import numpy as np

from gscompress.kernels.rate_adam import RateAdam

SIZES = np.array([300, 200])
STARTS = np.array([0, 300])
STEPS = np.array([0.1, 0.25], np.float32)


def table(seed: int = 0) -> RateAdam:
    values = np.random.default_rng(seed).normal(0, 0.5, (500, 2)).astype(np.float32)
    values[::5] = 0
    return RateAdam(values, STARTS, SIZES, STEPS)


def test_values_are_rounded_to_their_levels_steps_and_counted() -> None:
    adam = table()
    whole = np.repeat(STEPS, SIZES)[:, None]
    np.testing.assert_allclose(adam.rounded, np.rint(adam.values / whole) * whole, atol=1e-6)
    assert adam.counts.sum(1).tolist() == (2 * SIZES).tolist()
    assert adam.counts[:, 0].tolist() == [
        int((adam.rounded[rows] == 0).sum()) for rows in (slice(300), slice(300, 500))
    ]


def test_it_descends_and_pruned_values_stay_zero() -> None:
    adam = table()
    goal = np.random.default_rng(1).normal(0, 0.5, adam.values.shape).astype(np.float32)
    before = np.abs(adam.values - goal)
    for _ in range(400):
        adam.step(adam.values - goal, 0.01, 0.0)
    assert not adam.rounded[::5].any()
    alive = np.arange(500) % 5 > 0
    assert np.abs(adam.values - goal)[alive].mean() < 0.1 * before[alive].mean()


def test_a_price_makes_symbols_smaller_where_nothing_speaks_for_them() -> None:
    adam = table()
    before = np.abs(adam.rounded).sum()
    for _ in range(60):
        adam.step(np.zeros_like(adam.values), 0.01, 1e-9)
    assert np.abs(adam.rounded).sum() < 0.3 * before


def test_rare_symbols_cost_more() -> None:
    adam = table()
    first = adam.slopes()
    adam.values *= 0.06
    adam.step(np.zeros_like(adam.values), 0.0001, 0.0)
    assert (adam.slopes()[:, 0] > first[:, 0]).all()
