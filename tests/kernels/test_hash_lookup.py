"""Laws of the hash grid: the kernel is its twin, its gradient is its transpose, tables have the software's sizes."""

from __future__ import annotations

import numpy as np
import pytest

from gscompress.errors import UsageError
from gscompress.hash_levels import levels_of
from gscompress.kernels.hash_lookup import lookup, lookup_twin, pull_back

GRID = {"levels": 4, "base": 4, "finest": 40, "log2_size": 9}


@pytest.mark.parametrize("indexing", ["nerfstudio", "tcnn"])
@pytest.mark.parametrize("features", [1, 2])
def test_the_kernel_agrees_with_its_twin(indexing: str, features: int) -> None:
    levels, rng = levels_of({**GRID, "indexing": indexing}), np.random.default_rng(0)
    table = rng.normal(size=(levels.rows, features)).astype(np.float32)
    points = np.concatenate([rng.random((300, 3)), np.zeros((1, 3)), np.ones((1, 3))]).astype(np.float32)
    found = lookup(points, table, levels)
    np.testing.assert_allclose(found, lookup_twin(points, table, levels), atol=1e-5)
    grad = rng.normal(size=found.shape).astype(np.float32)
    left, right = (found * grad).sum(dtype=float), (table * pull_back(points, grad, levels, features)).sum(dtype=float)
    assert left == pytest.approx(right, rel=1e-4)


def test_levels_have_the_published_sizes() -> None:
    """nerfacto's grid, 16 levels from 16 to 2048; tiny-cuda-nn's of 2^19 entries has 12,196,240 parameters."""
    nerfacto = {"levels": 16, "base": 16, "finest": 2048, "log2_size": 19}
    torch_levels = levels_of({**nerfacto, "indexing": "nerfstudio"})
    assert torch_levels.rows == 16 << 19
    assert torch_levels.scales[[0, -1]].tolist() == [16, 2047]  # its single precision makes it so
    tcnn = levels_of({**nerfacto, "indexing": "tcnn"})
    assert tcnn.strides[0] == 16
    assert tcnn.sizes[0] == 4096
    assert (tcnn.sizes[tcnn.strides > 0] >= tcnn.strides[tcnn.strides > 0] ** 3).all()
    assert 2 * tcnn.rows == 12_196_240


@pytest.mark.parametrize(
    "change", [{"levels": 0}, {"log2_size": 60}, {"finest": 1}, {"indexing": "other"}, {"base": "x"}, {"scales": [1.0]}]
)
def test_impossible_grids_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="hash grid"):
        levels_of({**GRID, "indexing": "tcnn", **change})
