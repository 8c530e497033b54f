"""Directions and rotations: angular error bounds, half-turn invariance."""

from __future__ import annotations

import numpy as np
import pytest

from gscompress.errors import UsageError
from gscompress.frame import quat_to_matrix
from gscompress.quant.spherical import (
    canonical,
    decode_canonical,
    encode_canonical,
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
