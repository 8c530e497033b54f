"""Laws of the Triton hash lookup. Not collected by name: ``test_hash_triton.py`` runs this file in its own process."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gscompress.hash_levels import Levels, levels_of, scales_of
from gscompress.kernels import hash_lookup, hash_lookup_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def grid(indexing: str) -> Levels:
    sizes = {"levels": 3, "base": 4, "finest": 40, "log2_size": 9, "indexing": indexing}
    return levels_of({**sizes, "scales": scales_of(sizes)})


def inputs(levels: Levels, count: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points = rng.random((count, 3), np.float32)
    points[:2] = [[0, 0, 0], [1, 1, 1]]
    return points, rng.normal(size=(levels.rows, 2)).astype(np.float32), rng.normal(size=(count, 6)).astype(np.float32)


@pytest.mark.parametrize("indexing", ["nerfstudio", "tcnn"])
def test_features_are_those_of_both_twins(indexing: str) -> None:
    levels = grid(indexing)
    points, table, _ = inputs(levels)
    found = hash_lookup_triton.lookup(torch.from_numpy(points).to(DEVICE), torch.from_numpy(table).to(DEVICE), levels)
    np.testing.assert_allclose(found.cpu(), hash_lookup.lookup(points, table, levels), atol=1e-6)
    np.testing.assert_allclose(found.cpu(), hash_lookup.lookup_twin(points, table, levels), atol=1e-5)


@pytest.mark.parametrize("indexing", ["nerfstudio", "tcnn"])
def test_gradients_are_those_of_the_twin(indexing: str) -> None:
    levels = grid(indexing)
    points, _, grad = inputs(levels)
    on_device = [torch.from_numpy(array).to(DEVICE) for array in (points, grad)]
    found = hash_lookup_triton.pull_back(*on_device, levels, 2)
    np.testing.assert_allclose(found.cpu(), hash_lookup.pull_back(points, grad, levels, 2), atol=1e-5)


def test_no_points_are_no_work() -> None:
    levels = grid("nerfstudio")
    none = torch.zeros(0, 3, device=DEVICE)
    assert hash_lookup_triton.lookup(none, torch.zeros(levels.rows, 2, device=DEVICE), levels).shape == (0, 6)
    assert not hash_lookup_triton.pull_back(none, torch.zeros(0, 6, device=DEVICE), levels, 2).any()
