"""Bits below the tree's leaves come back exactly where they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.entropy.raw_bits import pack_refinement, unpack_refinement
from gscompress.errors import UnreadableError


def cut(points: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Coordinates whose bits from binary level ``levels`` on are zero."""
    bits = (levels[:, None] + 2 - np.arange(3)) // 3
    return points >> (30 - bits) << (30 - bits)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40))
def test_bits_between_two_levels_come_back(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 1 << 30, (rows, 3))
    known, wanted = rng.integers(0, 91, rows), rng.integers(0, 91, rows)
    data = pack_refinement(points, known, wanted)
    assert len(data) == (np.maximum(wanted - known, 0).sum() + 7) // 8
    found = unpack_refinement(data, cut(points, known), known, wanted)
    assert (found == cut(points, np.maximum(known, wanted))).all()


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(UnreadableError, match="length"):
        unpack_refinement(bytes(length), np.zeros((1, 3), np.int64), np.array([0]), np.array([12]))


@pytest.mark.parametrize(("known", "wanted"), [(-1, 5), (0, 91), (-(2**40), 2**40), (95, 2**62)])
def test_levels_beyond_the_grid_are_refused(known: int, wanted: int) -> None:
    with pytest.raises(UnreadableError, match="beyond the grid"):
        unpack_refinement(bytes(2), np.zeros((1, 3), np.int64), np.array([known]), np.array([wanted]))


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        unpack_refinement(b"", np.zeros((1, 3), np.int64), np.array([0, 0]), np.array([0, 0]))
