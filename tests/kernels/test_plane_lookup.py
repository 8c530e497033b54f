"""Laws of the planes' products: the slow twin agrees, and gradients are those of finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from gscompress.kernels.plane_lookup import PLANES, Axes, lookup, lookup_twin, pull_back


def parts(axes: Axes, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    sizes = (4, 5, 6)
    plane = rng.normal(size=(sizes[axes[1]], sizes[axes[0]], 3)).astype(np.float32)
    line = rng.normal(size=(sizes[axes[2]], 3)).astype(np.float32)
    places = rng.uniform(-0.1, 1.1, (40, 3)).astype(np.float32)  # some beyond the ends
    places[:3] = [[0, 0, 0], [1, 1, 1], [0.5, 1, 0]]
    return places, plane, line


@pytest.mark.parametrize("axes", PLANES)
def test_products_are_those_of_the_twin(axes: Axes) -> None:
    places, plane, line = parts(axes)
    np.testing.assert_allclose(lookup(places, axes, plane, line), lookup_twin(places, axes, plane, line), atol=1e-5)


def test_ends_are_the_first_and_last_samples() -> None:
    _, plane, line = parts((0, 1, 2))
    ends = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    expected = [plane[0, 0] * line[0], plane[0, -1] * line[-1], plane[-1, 0] * line[0]]
    np.testing.assert_allclose(lookup(ends, (0, 1, 2), plane, line), expected, atol=1e-6)


@pytest.mark.parametrize("axes", PLANES)
def test_gradients_are_what_small_changes_do(axes: Axes) -> None:
    """The products are linear in the plane and in the line, so a change of any size does."""
    places, plane, line = parts(axes)
    rng = np.random.default_rng(1)
    grad = rng.normal(size=(len(places), 3)).astype(np.float32)
    d_plane, d_line = pull_back(places, axes, plane, line, grad)
    other_plane, other_line = (rng.normal(size=a.shape).astype(np.float32) for a in (plane, line))
    for found, change, moved in (
        (d_plane, other_plane, lookup(places, axes, other_plane, line)),
        (d_line, other_line, lookup(places, axes, plane, other_line)),
    ):
        assert float((found * change).sum()) == pytest.approx(float((grad * moved).sum()), rel=1e-3, abs=1e-3)


def test_a_plane_of_one_sample_is_constant() -> None:
    places = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    out = lookup(places, (0, 1, 2), np.full((1, 1, 2), 3, np.float32), np.full((1, 2), 2, np.float32))
    np.testing.assert_array_equal(out, np.full((5, 2), 6, np.float32))
