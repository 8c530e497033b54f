"""Morton order against its definition: bits of the three cell numbers, interleaved one by one."""

from __future__ import annotations

import numpy as np
import pytest

from gscompress.formats.morton import morton_order


def _slow_order(means: np.ndarray) -> list[int]:
    low = means.min(axis=0).astype(float)
    scale = (2**21 - 1) / float((means.max(axis=0) - low).max())
    cells = [[int(value) for value in (mean - low) * scale] for mean in means]
    codes = [sum((cell[a] >> bit & 1) << (3 * bit + a) for bit in range(21) for a in range(3)) for cell in cells]
    return sorted(range(len(means)), key=lambda row: (codes[row], row))


@pytest.mark.parametrize("spread", [(1, 1, 1), (1e-3, 5, 1e4)])
def test_order_is_that_of_the_slow_twin(spread: tuple[float, ...]) -> None:
    means = (np.random.default_rng(0).standard_normal((300, 3)) * spread).astype(np.float32)
    means[100:110] = means[5]  # ties stay in input order
    assert morton_order(means).tolist() == _slow_order(means)


def test_no_rows_and_equal_rows_keep_their_order() -> None:
    assert morton_order(np.zeros((0, 3), np.float32)).tolist() == []
    assert morton_order(np.ones((5, 3), np.float32)).tolist() == [0, 1, 2, 3, 4]
