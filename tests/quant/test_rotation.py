"""An ellipsoid comes back from its code; exact arithmetic is close to the math library; kernels equal their twins."""

from __future__ import annotations

import numpy as np
import pytest

from gscompress.codecs.synthesis import add_band, quats_from_parameters
from gscompress.frame import matrix_to_quat, quat_to_matrix
from gscompress.quant import exact
from gscompress.quant.diffusion import diffuse, diffuse_slowly
from gscompress.quant.rotation import cos_sin, from_parameters, leading_axis, sort_axes, to_parameters


@pytest.fixture
def ellipsoids() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    quats = rng.normal(size=(500, 4))
    quats[:3] = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, 0.5]]
    return rng.normal(size=(500, 3)), quats


def covariance(log_scales: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.einsum("nki,nk,nkj->nij", axes, np.exp(2 * log_scales), axes)


def test_a_code_keeps_the_ellipsoid(ellipsoids: tuple[np.ndarray, np.ndarray]) -> None:
    log_scales, quats = ellipsoids
    turned = quat_to_matrix(quats)
    original = np.einsum("nik,nk,njk->nij", turned, np.exp(2 * log_scales), turned)
    ordered, axes = sort_axes(log_scales, quats)
    assert (np.diff(ordered, axis=1) <= 0).all()
    lead = leading_axis(ordered)
    face, parameters = to_parameters(axes, lead)
    assert np.abs(parameters[:, :2]).max() <= 1 + 1e-12
    assert parameters[:, 2].min() >= 0
    assert parameters[:, 2].max() < np.pi + 1e-12
    back = from_parameters(face, parameters, lead)
    # Rounding of 1e-15 times scales up to e^6.
    np.testing.assert_allclose(covariance(ordered, back), original, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(back), 1, atol=1e-12)


def test_the_fast_quaternions_equal_their_twin(ellipsoids: tuple[np.ndarray, np.ndarray]) -> None:
    ordered, axes = sort_axes(*ellipsoids)
    lead = leading_axis(ordered)
    face, parameters = to_parameters(axes, lead)
    slow = matrix_to_quat(np.swapaxes(from_parameters(face, parameters, lead), 1, 2))
    fast = np.empty((len(face), 4), np.float32)
    quats_from_parameters(face, parameters, lead, fast)
    agree = np.abs((slow * fast).sum(1))  # q and -q are the same turn where w is zero
    np.testing.assert_allclose(agree, 1, atol=1e-6)  # float32


def test_exact_functions_agree_with_the_math_library() -> None:
    x = np.linspace(-60, 60, 2001)
    assert max(abs(exact.exp(v) / np.exp(v) - 1) for v in x) < 1e-13
    assert max(abs(exact.log(v) - np.log(v)) for v in np.exp(x)) < 1e-13
    angles = np.linspace(-np.pi, np.pi + 1, 2001)
    cosine, sine = cos_sin(angles)
    np.testing.assert_allclose(cosine, np.cos(angles), atol=1e-14)
    np.testing.assert_allclose(sine, np.sin(angles), atol=1e-14)


def test_octaves_are_floors_of_the_logarithm() -> None:
    x = np.array([2.0**-20, 0.49999, 0.5, 0.75, 1.0, 1.5, 3.9999, 4.0, 1e9])
    assert exact.exponent(x).tolist() == np.floor(np.log2(x)).astype(int).tolist()
    halves = np.array([1.0, 1.40, 1.42, 1.99, 2.0, 2.83])
    assert exact.half_octave(halves).tolist() == [0, 0, 1, 1, 2, 3]


def test_diffusion_equals_its_twin_keeps_its_bound_and_the_local_mean() -> None:
    values = np.random.default_rng(0).normal(scale=0.3, size=(4000, 3))
    fast = diffuse(values, 0.4)
    assert (fast == diffuse_slowly(values, 0.4)).all()
    assert np.abs(fast - values).max() <= 0.5 + 0.4 / 2 + 1e-9
    plain = np.floor(values + 0.5)
    windows = (fast - values).reshape(-1, 20, 3).mean(1)
    assert (windows**2).mean() < ((plain - values).reshape(-1, 20, 3).mean(1) ** 2).mean()


def test_a_band_adds_its_matrix_product() -> None:
    rng = np.random.default_rng(1)
    symbols = rng.integers(-3, 4, (50, 9)).astype(np.int32)
    basis, steps = rng.normal(size=(9, 45)), rng.uniform(0.1, 1, 50)
    lengths = rng.integers(0, 10, 50)
    symbols[np.arange(9) >= lengths[:, None]] = 0
    sh = np.zeros((50, 48), np.float32)
    add_band(sh, symbols, lengths, steps, basis)
    np.testing.assert_allclose(sh[:, 3:], (symbols * steps[:, None]) @ basis, atol=1e-5)  # float32
    assert not sh[:, :3].any()
