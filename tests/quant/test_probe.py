"""The fast sum of a probe's squares against its obvious twin."""

import numpy as np
import pytest

from gscompress.quant.probe import COLUMNS, add, add_slowly


@pytest.mark.parametrize("bands", [1, 16])
def test_fast_sum_is_the_slow_one(bands: int) -> None:
    rng = np.random.default_rng(bands)
    n = 50
    q = rng.normal(size=(n, 4))
    shapes = [(n, 3), (n, 3), (n, 4), (n,), (n, bands, 3)]
    gradients = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    contribution = np.maximum(rng.normal(size=n), 0).astype(np.float32)
    fast, slow = rng.random((2, 1, COLUMNS)).repeat(n, 1)
    slow[:] = fast
    add(fast, q, *gradients, contribution)
    add_slowly(slow, q, *gradients, contribution)
    # The quaternion gradients are multiplied in the order of the formula, so only rounding differs.
    np.testing.assert_allclose(fast, slow, rtol=1e-5)
    assert contribution.min() == 0
