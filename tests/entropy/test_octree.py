"""The position tree gives back a set of points as far as they are alone in their cells."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.entropy.octree import LEVELS, decode_tree, encode_tree, morton_order
from gscompress.errors import UnreadableError


def bits_of(point: np.ndarray) -> str:
    """The 90 halvings that lead to a point: x, y, z, x, … from the highest bit down."""
    return "".join(str(int(point[level % 3]) >> (29 - level // 3) & 1) for level in range(LEVELS))


@st.composite
def point_sets(draw: st.DrawFn) -> np.ndarray:
    """Points in Morton order: spread, clustered, with duplicates, at the corners of the grid."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, spread = draw(st.integers(0, 60)), draw(st.sampled_from([1, 2, 5, 1000, 1 << 20, 1 << 30]))
    points = rng.integers(0, spread, (count, 3)) + rng.integers(0, (1 << 30) - spread + 1, 3)
    if count and draw(st.booleans()):
        points = np.concatenate([points, points[rng.integers(0, count, 5)], [[0, 0, 0], [(1 << 30) - 1] * 3]])
    return points[morton_order(points)]


def known_of(points: np.ndarray) -> list[int]:
    """The slow way: one more level than the longest prefix shared with a neighbour in order."""
    keys = [bits_of(p) for p in points]

    def shared(a: str, b: str) -> int:
        return next((level for level in range(LEVELS) if a[level] != b[level]), LEVELS)

    longest = [shared(a, b) for a, b in itertools.pairwise(keys)]
    return [
        min(LEVELS, 1 + max([*longest[max(i - 1, 0) : i], *longest[i : i + 1]], default=-1)) for i in range(len(keys))
    ]


@settings(max_examples=80, deadline=None)
@given(point_sets())
def test_points_come_back_to_the_level_where_they_are_alone(points: np.ndarray) -> None:
    data, known = encode_tree(points)
    found, also_known = decode_tree(data, len(points))
    assert known.tolist() == also_known.tolist() == known_of(points)
    for point, coarse, level in zip(points, found, known.tolist()):
        assert bits_of(coarse) == bits_of(point)[:level].ljust(LEVELS, "0")


@settings(max_examples=40, deadline=None)
@given(point_sets())
def test_morton_order_sorts_by_interleaved_bits(points: np.ndarray) -> None:
    shuffled = points[np.random.default_rng(0).permutation(len(points))]
    keys = [bits_of(p) for p in shuffled[morton_order(shuffled)]]
    assert keys == sorted(keys)


def test_the_order_of_points_is_not_paid_for() -> None:
    rng = np.random.default_rng(0)
    count, depth = 4096, 10
    points = rng.integers(0, 1 << depth, (count, 3)) << (30 - depth)
    data, known = encode_tree(points[morton_order(points)])
    sent = len(data) * 8 + int(np.maximum(3 * depth - known, 0).sum())
    in_order = count * 3 * depth
    assert sent < in_order - math.lgamma(count + 1) / math.log(2) + 0.05 * in_order


def test_clusters_and_outliers_cost_little() -> None:
    cluster = np.random.default_rng(1).integers(0, 1 << 12, (2000, 3)) + (1 << 29)
    points = np.concatenate([cluster, [[0, 0, 0], [(1 << 30) - 1] * 3]])
    alone, _ = encode_tree(cluster[morton_order(cluster)])
    both, _ = encode_tree(points[morton_order(points)])
    assert len(both) - len(alone) < 40


def some_stream() -> tuple[bytes, int]:
    points = np.random.default_rng(2).integers(0, 1 << 12, (50, 3))
    return encode_tree(points[morton_order(points)])[0], 50


def harmless(data: bytes, count: int) -> bool:
    try:
        found, known = decode_tree(data, count)
    except UnreadableError:
        return False
    assert found.min(initial=0) >= 0
    assert found.max(initial=0) < 1 << 30
    assert ((known >= 0) & (known <= LEVELS)).all()
    return True


def test_cut_streams_and_wrong_counts_are_noticed() -> None:
    data, count = some_stream()
    assert not any(harmless(data[:length], count) for length in range(len(data)))
    assert not any(harmless(data, wrong) for wrong in [0, 1, 2, count - 1, count + 1, 100_000])


def test_flipped_bits_are_harmless() -> None:
    data, count = some_stream()
    unnoticed = 0
    for place in range(len(data) * 8):
        copy = bytearray(data)
        copy[place >> 3] ^= 1 << (place & 7)
        unnoticed += harmless(bytes(copy), count)
    assert unnoticed < 0.08 * len(data) * 8


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 2000))
def test_noise_is_harmless(noise: bytes, count: int) -> None:
    harmless(noise, count)
    harmless(noise[: len(noise) & ~3], count)


@pytest.mark.parametrize("count", [0, 1])
def test_no_tree_is_needed_for_a_point(count: int) -> None:
    data, known = encode_tree(np.full((count, 3), 123))
    assert len(data) == 8
    assert known.tolist() == [0] * count
    assert decode_tree(data, count)[0].tolist() == [[0, 0, 0]] * count
