"""Law: functions of many numbers give bit by bit what their scalar twins give for each."""

import math

import numpy as np
import pytest

from gscompress.codecs.steps import CLASSES, turn_octaves, turn_steps
from gscompress.quant import exact
from gscompress.quant.exact_blocks import (
    BLOCK,
    cos_sin_block,
    exp_block,
    log_block,
    log_opacities_to_logits,
    sharpen,
)
from gscompress.quant.rotation import leading_axis

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("count", [0, 1, 7, BLOCK, 3 * BLOCK + 5])
def test_exp_and_log_equal_their_twins(count: int) -> None:
    x = RNG.uniform(-130, 130, count)
    found = np.empty(count)
    exp_block(x, found)
    assert found.tolist() == [exact.exp(v) for v in x]
    positive = np.exp(x)
    log_block(positive, found)
    assert found.tolist() == [exact.log(v) for v in positive]


def test_log_equals_its_twin_at_the_edges_of_octaves() -> None:
    x = np.array([exact.SQRT_HALF, np.nextafter(exact.SQRT_HALF, 0), 0.5, 1.0, np.nextafter(1.0, 0), 2.0, 1e-60])
    found = np.empty(len(x))
    log_block(x, found)
    assert found.tolist() == [exact.log(v) for v in x]


def test_cosine_and_sine_are_those_of_the_math_library() -> None:
    angles = np.linspace(-np.pi, np.pi + 1, 2001)
    cosine, sine = np.empty_like(angles), np.empty_like(angles)
    cos_sin_block(angles, cosine, sine)
    np.testing.assert_allclose(cosine, np.cos(angles), atol=1e-14)
    np.testing.assert_allclose(sine, np.sin(angles), atol=1e-14)


@pytest.mark.parametrize("count", [0, 1, BLOCK + 3])
def test_scales_and_opacities_equal_their_twins(count: int) -> None:
    widened, blur = RNG.uniform(-60, 60, (count, 3)), 0.003
    scales = np.empty((count, 3), np.float32)
    sharpen(widened, blur, scales)
    square = blur * blur
    slow = [0.5 * exact.log(max(exact.exp(2.0 * v) - square, 0.04 * blur * blur, 1e-60)) for v in widened.ravel()]
    assert scales.ravel().tolist() == np.float32(slow).tolist()
    t = np.exp(RNG.uniform(math.log(1e-4), math.log(60), count))
    logits = np.empty(count, np.float32)
    log_opacities_to_logits(t, logits)
    assert logits.tolist() == np.float32([-v - exact.log(1.0 - exact.exp(-v)) for v in t]).tolist()


def test_steps_of_turns_equal_their_twin() -> None:
    scales = -np.sort(-RNG.normal(-3, 1.5, (3000, 3)), axis=1)
    scales[:9, 1] = scales[:9, 0]
    base = np.ldexp(0.0123, RNG.integers(0, CLASSES, 3000).astype(np.int32))
    lead, direction, turns = turn_steps(scales, base)
    upper, lower = scales[:, 0] - scales[:, 1], scales[:, 1] - scales[:, 2]
    assert (lead == leading_axis(scales)).all()
    outer = np.ldexp(base, -turn_octaves(upper + lower).astype(np.int32))
    assert (direction == np.clip(outer, 2.0**-16, 0.8) / (np.pi / 4)).all()
    inner = np.ldexp(base, -turn_octaves(np.where(lead == 0, lower, upper)).astype(np.int32))
    assert (turns == np.maximum(np.floor(np.pi / np.maximum(inner, 2.0**-16) + 0.5), 1)).all()
