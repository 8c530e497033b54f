"""Neighbours are earlier rows, the nearest first."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gscompress.entropy.neighbours import NEAR, WINDOW, nearest_earlier

TOP = (1 << 30) - 1
_FAR = (1 << 57) - 1


def slow(points: np.ndarray) -> list[list[int]]:
    out = []
    for i, here in enumerate(points.tolist()):
        earlier = [
            (min(sum((a - b) ** 2 for a, b in zip(here, points[j].tolist())), _FAR), -j)
            for j in range(max(0, i - WINDOW), i)
        ]
        found = [-j for _, j in sorted(earlier)[:NEAR]]
        out.append(found + [-1] * (NEAR - len(found)))
    return out


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.int64, st.tuples(st.integers(0, 80), st.just(3)), elements=st.integers(0, 6))
    | hnp.arrays(np.int64, st.tuples(st.integers(0, 80), st.just(3)), elements=st.integers(0, TOP))
)
def test_the_slow_way_finds_the_same(points: np.ndarray) -> None:
    assert nearest_earlier(points).tolist() == slow(points)


def test_blocks_join_without_a_seam() -> None:
    points = np.random.default_rng(0).integers(0, 50, (2100, 3))
    assert nearest_earlier(points).tolist() == slow(points)


def test_opposite_corners_of_the_grid_do_not_overflow() -> None:
    points = np.array([[0, 0, 0], [TOP] * 3, [0, 0, 0], [TOP] * 3, [TOP - 1] * 3, [0, 0, 1]])
    assert nearest_earlier(points)[2:, 0].tolist() == [0, 1, 3, 2]
