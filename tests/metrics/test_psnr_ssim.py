"""PSNR and SSIM against their definitions, scikit-image and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.errors import UsageError
from gscompress.metrics import eight_bit, mse, psnr, ssim


def pictures(seed: int, noise: float, shape: tuple[int, ...] = (40, 56, 3)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    smooth = 0.5 + 0.4 * np.sin(x / 7 + seed)[..., None] * np.cos(y / 5)[..., None] * np.ones(3)
    smooth = smooth if len(shape) == 3 else smooth[..., 0]
    noisy = np.clip(smooth + noise * rng.normal(size=shape), 0, 1)
    return smooth.astype(np.float32), noisy.astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100), noise=st.floats(0.001, 0.5))
def test_ssim_is_that_of_scikit_image(seed: int, noise: float) -> None:
    reference = pytest.importorskip("skimage.metrics").structural_similarity
    a, b = pictures(seed, noise)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    assert ssim(a, b) == pytest.approx(reference(a, b, data_range=1, **options), abs=2e-5)
    a8, b8 = eight_bit(a), eight_bit(b)
    assert ssim(a8, b8) == pytest.approx(reference(a8, b8, data_range=255, **options), abs=2e-5)


def test_psnr_is_that_of_scikit_image() -> None:
    reference = pytest.importorskip("skimage.metrics").peak_signal_noise_ratio
    a, b = pictures(3, 0.1)
    assert psnr(a, b) == pytest.approx(reference(a, b, data_range=1), abs=1e-4)
    assert psnr(eight_bit(a), eight_bit(b)) == pytest.approx(reference(eight_bit(a), eight_bit(b)), abs=1e-9)


@pytest.mark.parametrize("noise", [0.003, 0.05, 0.4])
def test_both_are_those_of_torchmetrics(noise: float) -> None:
    reference = pytest.importorskip("torchmetrics.functional.image")
    torch = pytest.importorskip("torch")
    a, b = pictures(7, noise)
    first, second = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (a, b))
    wanted = reference.structural_similarity_index_measure
    _, everywhere = wanted(first, second, sigma=1.5, data_range=1.0, return_full_image=True)
    inside = everywhere[..., 5:-5, 5:-5]  # it mirrors the picture at the border and counts that too
    assert ssim(a, b) == pytest.approx(float(inside.mean()), abs=2e-5)
    assert psnr(a, b) == pytest.approx(
        float(reference.peak_signal_noise_ratio(first, second, data_range=1.0)), abs=1e-3
    )


def test_zero_padding_is_a_plain_windowed_sum() -> None:
    a, b = (x[:12, :13, 0] for x in pictures(1, 0.2))
    k = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(k, k) / k.sum() ** 2

    def blur(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x.astype(np.float64), 5)
        return np.array([[(padded[i : i + 11, j : j + 11] * window).sum() for j in range(13)] for i in range(12)])

    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    slow = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
    assert ssim(a, b, border="zeros") == pytest.approx(slow.mean(), abs=1e-5)


def test_equal_pictures_are_perfect_and_order_does_not_matter() -> None:
    a, b = pictures(2, 0.1)
    assert psnr(a, a) == math.inf
    assert ssim(a, a) == pytest.approx(1, abs=1e-6)
    assert psnr(a, b) == psnr(b, a)
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-7)


def test_a_known_error_has_a_known_psnr() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert mse(black, black + 255) == 1
    assert psnr(black, black + 1) == pytest.approx(20 * math.log10(255))


def test_eight_bit_rounds_to_nearest_and_clips() -> None:
    values = np.array([[-1, 0, 0.5 / 255, 0.49 / 255, 1, 7, np.nan]], np.float32)
    np.testing.assert_array_equal(eight_bit(values), [[0, 0, 1, 0, 255, 255, 0]])


def test_what_cannot_be_compared_is_refused() -> None:
    a, b = pictures(0, 0.1)
    for call in (psnr, ssim, mse):
        with pytest.raises(UsageError, match="shapes"):
            call(a, b[:20])
        with pytest.raises(UsageError, match="uint8"):
            call(a, eight_bit(b))
        with pytest.raises(UsageError, match="shapes"):
            call(a[:0], b[:0])
    with pytest.raises(UsageError, match="11x11"):
        ssim(a[:10], b[:10])
