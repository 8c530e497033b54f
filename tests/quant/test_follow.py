"""Laws of rounding towards neighbours: differences come back, what matters is kept, what does not follows for free."""

from __future__ import annotations

import numpy as np

from gscompress.entropy.neighbours import nearest_earlier
from gscompress.quant.follow import differences, follow, undo

RNG = np.random.default_rng(0)
CELLS = np.array(list(np.ndindex(6, 6, 6)))
NEAR = nearest_earlier(CELLS << 27)
SCALED = 9 * np.sin(CELLS[:, :1] / 2 + np.arange(3)) + RNG.normal(0, 2, (len(CELLS), 3))


def test_differences_are_undone() -> None:
    symbols = RNG.integers(-1000, 1000, (len(CELLS), 3))
    np.testing.assert_array_equal(undo(differences(symbols, NEAR), NEAR), symbols)
    assert differences(symbols, NEAR)[0].tolist() == symbols[0].tolist()  # nothing comes before the first


def test_without_a_price_every_value_is_rounded_to_the_nearest() -> None:
    np.testing.assert_array_equal(follow(SCALED, np.ones_like(SCALED), NEAR, 0.0), np.rint(SCALED))


def test_what_does_not_matter_follows_its_neighbours() -> None:
    weights = np.where(np.arange(len(CELLS)) % 3 == 0, 1.0, 0.0)[:, None] * np.ones(3)
    symbols = follow(SCALED, weights, NEAR, 0.1)
    free = weights[:, 0] == 0
    assert not differences(symbols, NEAR)[free].any()
    assert np.abs(symbols - SCALED)[~free].max() < 2


def test_a_higher_price_buys_smaller_differences() -> None:
    spent = [np.abs(differences(follow(SCALED, np.ones_like(SCALED), NEAR, p), NEAR)).sum() for p in (0.0, 0.5, 5.0)]
    assert spent[0] > spent[1] > spent[2]
