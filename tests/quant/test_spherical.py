"""Directions and rotations: angular error bounds, half-turn invariance, exact enumeration of the pyramid."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gscompress.errors import UsageError
from gscompress.frame import quat_to_matrix
from gscompress.quant.pyramid import Pyramid, points
from gscompress.quant.spherical import (
    canonical,
    decode_canonical,
    decode_signs,
    encode_canonical,
    encode_signs,
    pack_smallest_three,
    unpack_smallest_three,
)


def quats(n=4000):
    q = np.random.default_rng(0).normal(size=(n, 4))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def degrees_between(a, b):
    return np.degrees(2 * np.arccos(np.clip(np.abs((a * b).sum(1)), 0, 1)))


def covariance(q, scales):
    axes = quat_to_matrix(q.astype(np.float32)).astype(np.float64)
    return np.einsum("nik,k,njk->nij", axes, scales**2, axes)


@pytest.mark.parametrize(("bits", "largest"), [(8, 0.95), (10, 0.25)])
def test_smallest_three_angles_stay_small(bits, largest):
    q = quats()
    code = pack_smallest_three(q, bits)
    assert code.max() < 1 << (2 + 3 * bits)
    assert degrees_between(q, unpack_smallest_three(code, bits)).max() < largest


def test_smallest_three_drops_sign_and_length_and_is_idempotent():
    q = quats()
    code = pack_smallest_three(q, 10)
    assert np.array_equal(code, pack_smallest_three(-3 * q, 10))
    again = pack_smallest_three(unpack_smallest_three(code, 10), 10)
    assert degrees_between(unpack_smallest_three(again, 10), unpack_smallest_three(code, 10)).max() < 0.05
    assert np.array_equal(unpack_smallest_three(pack_smallest_three(np.zeros((1, 4)))).round(2), [[1, 0, 0, 0]])


def test_canonical_form_keeps_the_ellipsoid_and_is_one_for_all_half_turns():
    q, scales = quats(), np.array([0.1, 0.5, 2.0])
    form = canonical(q)
    np.testing.assert_allclose(covariance(form, scales), covariance(q, scales), atol=2e-5)
    assert (form[:, :1] >= np.abs(form) - 1e-12).all()
    w, x, y, z = q.T
    for turned in ([-x, w, z, -y], [-y, -z, w, x], [-z, y, -x, w]):
        np.testing.assert_allclose(np.abs(canonical(np.stack(turned, 1)) - form).max(1), 0, atol=1e-12)


def test_canonical_codes_need_two_bits_less_for_the_same_angle():
    q = quats()
    with_index = degrees_between(q, unpack_smallest_three(pack_smallest_three(q, 8), 8))
    without = degrees_between(canonical(q), decode_canonical(encode_canonical(q, 8), 8))
    assert encode_canonical(q, 8).max() < 256
    assert np.sqrt(np.square(without).mean()) < np.sqrt(np.square(with_index).mean())
    assert without.max() < 0.6
    coarse = degrees_between(canonical(q), decode_canonical(encode_canonical(q, 5), 5))
    assert np.sqrt(np.square(coarse).mean()) == pytest.approx(2.57, abs=0.1)  # quantization.md 2.5


def test_component_bits_are_checked():
    with pytest.raises(UsageError):
        pack_smallest_three(quats(2), 11)


def test_signs_are_the_nearest_binary_direction():
    x = np.random.default_rng(1).normal(size=(50, 11))
    back = decode_signs(encode_signs(x), 11)
    every = np.array(list(product((-1, 1), repeat=11))) / np.sqrt(11)
    assert np.array_equal(back, every[np.argmax(x @ every.T, axis=1)])
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1)


@pytest.mark.parametrize(("n", "k"), [(1, 3), (2, 5), (3, 4), (4, 6), (6, 3)])
def test_the_pyramid_is_numbered_exactly(n, k):
    """Codes 0 … count - 1 decode to all points, each once, and back."""
    grid = np.array([y for y in product(range(-k, k + 1), repeat=n) if sum(map(abs, y)) == k])
    pyramid = Pyramid(n, k)
    assert pyramid.count == points(n, k) == len(grid)
    codes = pyramid.encode(grid)
    assert sorted(codes) == list(range(len(grid)))
    np.testing.assert_allclose(pyramid.decode(codes), grid / np.linalg.norm(grid, axis=1, keepdims=True))


def test_the_pyramid_search_is_nearly_exhaustive():
    pyramid = Pyramid(4, 6)
    x = quats(500)
    every = pyramid.decode(np.arange(pyramid.count))
    best = (x @ every.T).max(1)
    found = (pyramid.decode(pyramid.encode(x)) * x).sum(1)
    assert (found > best - 1e-9).mean() > 0.9
    assert np.degrees(np.arccos(found) - np.arccos(best)).max() < 5


def test_more_pulses_mean_smaller_angles():
    x = quats()
    angles = []
    for k in (8, 16, 32):
        pyramid = Pyramid(4, k)
        angles.append(np.sqrt(np.square(degrees_between(x, pyramid.decode(pyramid.encode(x)))).mean()))
    assert angles[0] > 1.7 * angles[1] > 2.8 * angles[2]
    assert angles[1] == pytest.approx(7.24, abs=0.1)  # quantization.md 2.5


def test_pyramids_too_large_to_number_are_refused():
    with pytest.raises(UsageError):
        Pyramid(48, 64)
    assert Pyramid(3, 1).encode(np.zeros((1, 3))) == Pyramid(3, 1).encode(np.array([[1.0, 0, 0]]))
