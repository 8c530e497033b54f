"""Losses: gradients are those of finite differences, SSIM is the metric's."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from gscompress.metrics import ssim
from gscompress.tune.losses import Loss, as_floats, photo, squared
from gscompress.tune.ssim import ssim_with_grad


def pictures(height: int = 17, width: int = 23) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    smooth = np.linspace(0.2, 0.8, width)[None, :, None] + 0.1 * rng.random((height, width, 3))
    noisy = np.clip(smooth + 0.15 * rng.normal(size=smooth.shape), 0, 1)
    return smooth.astype(np.float32), (255 * noisy).astype(np.uint8)


@pytest.mark.parametrize("loss", [squared, photo, partial(photo, dssim=0.0), partial(photo, dssim=1.0)])
def test_gradients_are_those_of_finite_differences(loss: Loss) -> None:
    x, target = pictures()
    value, gradient = loss(x, target)
    rng = np.random.default_rng(5)
    for _ in range(4):
        # Roughly uphill, so that pixels on the bend of |x| do not matter.
        direction = (np.sign(gradient) * rng.random(x.shape)).astype(np.float32)
        h = 5e-4
        ahead, behind = (loss(x + sign * h * direction, target)[0] for sign in (1, -1))
        assert (ahead - behind) / (2 * h) == pytest.approx(np.vdot(gradient, direction), rel=2e-2, abs=2e-4 * value)


def test_ssim_of_the_loss_is_that_of_the_metric() -> None:
    x, target = pictures(40, 31)
    y = as_floats(target)
    assert ssim_with_grad(x, y)[0] == pytest.approx(ssim(x, y, border="zeros"), abs=1e-5)


def test_equal_pictures_have_no_loss_and_no_slope() -> None:
    x = pictures()[0]
    for loss in (squared, photo):
        value, gradient = loss(x, x)
        assert value == pytest.approx(0, abs=1e-6)
        assert np.abs(gradient).max() < 1e-6
