"""The CPU renderer's picture against the float64 twin, and the laws that any blend of Gaussians obeys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_scenes import blob, camera, with_splats

from gscompress.camera import Camera
from gscompress.errors import UsageError
from gscompress.kernels.cpu_blend import TILE_H, TILE_W
from gscompress.kernels.cpu_project import DEPTH
from gscompress.renderers.base import Image
from gscompress.renderers.cpu import CpuRenderer
from gscompress.renderers.reference import ReferenceRenderer, alpha_of, project
from gscompress.scene import Model, Scene

BACKGROUND = (0.2, 0.9, 0.4)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2) + 1e-30))


def same(a: Image, b: Image) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("rgb", "alpha", "depth"))


@pytest.mark.parametrize("model", ["3dgs", "mip", "2dgs"])
@pytest.mark.parametrize(("degree", "distance", "focal"), [(3, 2.5, 1.0), (1, 1.0, 0.5), (0, 0.3, 0.3)])
def test_picture_is_the_twins_within_80_db(model: Model, degree: int, distance: float, focal: float) -> None:
    scene, view = blob(1500, 1, degree, model), camera(93, 71, distance, focal)
    ours = CpuRenderer().render(scene, view, background=BACKGROUND)
    twin = ReferenceRenderer().render(scene, view, background=BACKGROUND)
    assert twin.alpha.mean() > 0.3
    assert psnr(ours.rgb, twin.rgb) > 80
    assert psnr(ours.alpha, twin.alpha) > 80
    assert psnr(ours.depth, twin.depth) > 80


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 70), st.integers(1, 70), st.floats(0.005, 1.0), st.floats(0.05, 4.0))
def test_any_small_scene_is_the_twins(seed: int, width: int, height: int, size: float, distance: float) -> None:
    scene, view = blob(40, seed, 2, size=size), camera(width, height, distance)
    ours, twin = CpuRenderer(1).render(scene, view), ReferenceRenderer().render(scene, view)
    assert psnr(ours.rgb, twin.rgb) > 60
    assert psnr(ours.alpha, twin.alpha) > 60


def test_every_pixel_that_a_gaussian_reaches_lies_in_a_tile_that_lists_it() -> None:
    scene, view = blob(300, 2, 0), camera(93, 71)
    drawn, projected = CpuRenderer(2).view(scene, view), project(scene, view)
    columns, offsets, ranks, _, rows = drawn.lists
    tiles = -(-view.height // TILE_H) * columns
    listed = np.zeros((len(scene), tiles), bool)
    for tile in range(tiles):
        mine = ranks[offsets[tile] : offsets[tile + 1]]
        listed[drawn.order[mine], tile] = True
        assert (np.diff(rows[mine, DEPTH]) >= 0).all()
    needed = np.zeros_like(listed)
    for row, i in enumerate(projected.index):
        y, x = np.nonzero(alpha_of(projected, row, view.width, view.height))
        needed[i, y // TILE_H * columns + x // TILE_W] = True
    assert (listed | ~needed).all()
    assert listed.sum() < 1.1 * needed.sum()


def test_threads_and_repeats_do_not_change_a_bit() -> None:
    scene, view = blob(2000, 3), camera(160, 120)
    first = CpuRenderer(1).render(scene, view)
    for threads in (1, 2, 3):
        assert same(CpuRenderer(threads).render(scene, view), first)


def test_row_order_does_not_matter_and_ties_go_by_index() -> None:
    scene, view = blob(400, 4), camera()
    shuffled = replace(scene, splats=scene.splats.take(np.random.default_rng(0).permutation(400)))
    assert psnr(CpuRenderer().render(shuffled, view).rgb, CpuRenderer().render(scene, view).rgb) > 120
    twice = with_splats(
        blob(2, 0, 0, size=0.4),
        means=np.zeros((2, 3), np.float32),
        sh=np.array([[[3, -3, -3]], [[-3, 3, -3]]], np.float32),
        logit_opacities=np.full(2, 3, np.float32),
    )
    assert (CpuRenderer().render(twice, view).rgb.sum((0, 1)) @ [1, -1, 0]) > 0
    swapped = replace(twice, splats=twice.splats.take(np.array([1, 0])))
    assert (CpuRenderer().render(swapped, view).rgb.sum((0, 1)) @ [1, -1, 0]) < 0


def test_background_fills_what_alpha_leaves() -> None:
    scene, view = blob(200, 5), camera()
    dark, lit = CpuRenderer().render(scene, view), CpuRenderer().render(scene, view, background=BACKGROUND)
    np.testing.assert_allclose(lit.rgb - dark.rgb, (1 - dark.alpha)[..., None] * np.float32(BACKGROUND), atol=1e-6)


def test_sh_degree_limits_the_degree_that_is_used() -> None:
    scene, view = blob(200, 6), camera()
    for degree in range(4):
        cut = replace(scene, splats=scene.splats.with_sh_degree(degree))
        assert same(CpuRenderer().render(scene, view, sh_degree=degree), CpuRenderer().render(cut, view))
    with pytest.raises(UsageError, match="sh_degree is 4"):
        CpuRenderer().render(scene, view, sh_degree=4)


def test_mip_dims_what_is_smaller_than_a_pixel() -> None:
    view = camera()
    pictures = [CpuRenderer().render(blob(300, 7, 0, model, size=0.003), view) for model in ("3dgs", "mip")]
    assert pictures[1].alpha.sum() < 0.5 * pictures[0].alpha.sum()


def empty_scenes() -> dict[str, Scene]:
    scene = blob(50)
    return {
        "no Gaussians": replace(scene, splats=scene.splats.take(slice(0, 0))),
        "behind the camera": with_splats(scene, means=scene.splats.means * np.float32(0.1) + np.float32([4, -5, 6])),
        "beside the picture": with_splats(scene, means=scene.splats.means + np.float32([50, 0, 0])),
        "transparent": with_splats(scene, logit_opacities=np.full(50, -9, np.float32)),
    }


@pytest.mark.parametrize("name", empty_scenes())
def test_an_empty_view_is_the_background(name: str) -> None:
    scene, view = empty_scenes()[name], camera()
    image, gradients = CpuRenderer(2).render_with_grad(scene, view, lambda image: image.rgb, background=BACKGROUND)
    assert (image.rgb == np.float32(BACKGROUND)).all()
    assert not image.alpha.any()
    assert not image.depth.any()
    assert not gradients.means.any()
    assert gradients.sh.shape == scene.splats.sh.shape
    assert not CpuRenderer(2).removal_error(scene, view).any()


def test_one_round_gaussian_is_what_the_formula_says() -> None:
    view = Camera(33, 33, 40.0, 40.0, 16.5, 16.5, np.eye(4))
    one = with_splats(
        blob(1, 0, 0),
        means=np.array([[0, 0, 2]], np.float32),
        log_scales=np.full((1, 3), np.log(0.1), np.float32),
        logit_opacities=np.full(1, np.log(0.8 / 0.2), np.float32),
        sh=np.zeros((1, 1, 3), np.float32),
    )
    image = CpuRenderer().render(one, view)
    variance = (40 * 0.1 / 2) ** 2 + 0.3
    expected = 0.8 * np.exp(-0.5 * (np.arange(33) - 16.0) ** 2 / variance)
    expected[expected < 1 / 255] = 0
    np.testing.assert_allclose(image.alpha[16], expected, atol=2e-6)
    np.testing.assert_allclose(image.rgb[16, :, 1], 0.5 * expected, atol=2e-6)
    np.testing.assert_allclose(image.depth[:, 16], 2 * expected, atol=4e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("name", ["means", "log_scales", "quats", "logit_opacities", "sh"])
def test_a_broken_number_breaks_nothing_else(name: str, value: float) -> None:
    scene, view = blob(60, 8), camera()
    array = getattr(scene.splats, name).copy()
    array.reshape(60, -1)[30, 0] = value
    broken = with_splats(scene, **{name: array})
    image, gradients = CpuRenderer(1).render_with_grad(broken, view, lambda image: np.ones_like(image.rgb))
    assert np.isfinite(image.rgb).all()
    assert np.isfinite(image.depth).all()
    for field in ("means", "log_scales", "quats", "logit_opacities", "sh", "means2d", "contribution"):
        assert np.isfinite(getattr(gradients, field)).all(), field
    if np.isnan(value):
        without = replace(scene, splats=scene.splats.take(np.arange(60) != 30))
        assert psnr(image.rgb, CpuRenderer(1).render(without, view).rgb) > 120


def test_threads_must_be_positive() -> None:
    with pytest.raises(UsageError, match="threads is 0"):
        CpuRenderer(0)
