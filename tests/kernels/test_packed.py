"""Packed splats: what quantising for video memory costs, in bytes and in decibels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.camera import Camera, look_at
from gscompress.errors import UsageError
from gscompress.kernels import packed
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene, Splats


def cloud(n: int, seed: int = 0, degree: int = 3, spread: float = 1.0) -> Splats:
    """A smooth coloured surface with noise: neighbours are alike, as in trained scenes."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0, 2 * np.pi, (n, 2))
    means = np.stack([np.cos(angles[:, 0]), np.sin(angles[:, 0]), np.sin(angles[:, 1])], axis=1) * spread
    sh = np.sin(means @ rng.normal(size=(3, 3 * (degree + 1) ** 2))).reshape(n, (degree + 1) ** 2, 3) * 0.2
    sh += rng.normal(size=sh.shape) * 0.05
    arrays = means, rng.normal(size=(n, 3)) * 0.6 - 3.3, rng.normal(size=(n, 4)), rng.normal(size=n) * 3, sh
    return Splats(*(array.astype(np.float32) for array in arrays))


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 700),
    seed=st.integers(0, 2**32 - 1),
    degree=st.integers(0, 3),
    spread=st.sampled_from([0.0, 1e-6, 1, 1e6]),
)
def test_every_value_comes_back_within_half_a_step_of_its_block(n: int, seed: int, degree: int, spread: float) -> None:
    splats = cloud(n, seed, degree, spread)
    box = packed.pack(splats)
    back, source = packed.unpack(box), splats.take(packed.morton_order(splats.means))
    block = np.arange(n) // packed.BLOCK
    steps = box.ranges[block, :, 1]
    pairs = [(back.means, source.means, steps[:, 0:3]), (back.log_scales, source.log_scales, steps[:, 6:9])]
    pairs += [(back.sh[:, 0], source.sh[:, 0], steps[:, 3:6])]
    pairs += [
        (back.sh[:, 1:].reshape(n, box.coefficients), source.sh[:, 1:].reshape(n, box.coefficients), steps[:, 10:])
    ]
    for actual, expected, step in pairs:
        assert (np.abs(actual - expected) <= 0.501 * step + 3e-7 * np.abs(expected).max(initial=0)).all()
    opacity, expected = (1 / (1 + np.exp(-s.logit_opacities.astype(np.float64))) for s in (back, source))
    assert (np.abs(opacity - expected) <= 0.501 * steps[:, 9] + 1e-6).all()
    cosine = np.abs((back.quats * source.quats).sum(axis=1)) / np.linalg.norm(source.quats, axis=1)
    assert (cosine > 1 - 2e-6).all()


def test_the_same_gaussians_come_back_in_z_order() -> None:
    splats = cloud(1000)
    order = packed.morton_order(splats.means)
    assert sorted(order.tolist()) == list(range(1000))
    steps = np.linalg.norm(np.diff(splats.means[order], axis=0), axis=1).mean()
    assert steps < 0.2 * np.linalg.norm(np.diff(splats.means, axis=0), axis=1).mean()


@pytest.mark.parametrize(("degree", "most"), [(0, 20.5), (1, 30), (2, 45.2), (3, 67)])
def test_a_gaussian_takes_well_under_half_of_its_float_bytes(degree: int, most: float) -> None:
    splats = cloud(2560, degree=degree)
    bytes_each = packed.pack(splats).nbytes / 2560
    assert bytes_each <= most
    assert most < splats.nbytes / 2560 / 2


def test_a_codebook_s_rows_become_a_palette() -> None:
    splats = cloud(2560)
    sh = splats.sh.copy()
    sh[:, 1:] = sh[np.arange(2560) % 40, 1:]
    box = packed.pack(replace(splats, sh=sh))
    assert box.palette.shape == (40, 45)
    assert box.nbytes / 2560 < 24
    back = packed.unpack(box)
    np.testing.assert_allclose(back.sh[:, 1:], sh[packed.morton_order(splats.means), 1:], rtol=5e-4, atol=1e-6)


def test_the_picture_keeps_at_least_50_decibels() -> None:
    scene = Scene(cloud(4000))
    camera = Camera(
        160, 120, 150, 150, 80, 60, look_at(np.array([0.5, 0.4, -3.0]), np.zeros(3), np.array([0, -1.0, 0]))
    )
    before = CpuRenderer().render(scene, camera).rgb
    after = CpuRenderer().render(replace(scene, splats=packed.unpack(packed.pack(scene.splats))), camera).rgb
    assert before.std() > 0.1
    assert -10 * np.log10(np.mean((after - before) ** 2)) > 50


@pytest.mark.parametrize("name", ["means", "log_scales", "quats", "logit_opacities", "sh"])
def test_undefined_values_are_refused(name: str) -> None:
    splats = cloud(300)
    broken = getattr(splats, name).copy()
    broken[7] = np.nan
    with pytest.raises(UsageError, match="infinite or undefined"):
        packed.pack(replace(splats, **{name: broken}))


def test_a_zero_quaternion_is_the_identity() -> None:
    splats = cloud(3)
    box = packed.pack(replace(splats, quats=np.zeros((3, 4), np.float32)))
    np.testing.assert_array_equal(packed.unpack(box).quats, np.tile(np.float32([1, 0, 0, 0]), (3, 1)))
