"""Laws of the Triton kernels. Not collected by name: ``test_triton.py`` runs this file in a process of its own.

On a GPU the kernels run there; elsewhere the process has TRITON_INTERPRET=1 (set before triton is imported) and they
run in Triton's interpreter, some 400 tile-splats a second, hence the tiny scenes.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from gscompress.camera import Camera, look_at
from gscompress.errors import UsageError
from gscompress.kernels import bin_tiles, packed, rasterize
from gscompress.kernels.planar import PlanarSplats, pull_back
from gscompress.kernels.record import GAIN, SLOTS
from gscompress.renderers import reference
from gscompress.renderers.cpu import CpuRenderer
from gscompress.renderers.triton import TritonRenderer
from gscompress.scene import Scene, Splats

CAMERA = Camera(50, 40, 60, 55, 24, 21, look_at(np.array([0.3, 0.2, -3.0]), np.zeros(3), np.array([0, -1.0, 0])))
BACKGROUND = (0.1, 0.5, 0.9)


def random_scene(n: int, seed: int = 0, degree: int = 3, model: str = "3dgs") -> Scene:
    """Overlapping Gaussians, some thin, some beside or behind the camera, opacities on both sides of 1/255."""
    rng = np.random.default_rng(seed)
    arrays = [
        rng.normal(size=(n, 3)) * (0.8, 0.8, 1.6),
        rng.normal(size=(n, 3)) * 0.8 - 2.2,
        rng.normal(size=(n, 4)),
        rng.normal(size=n) * 4,
        rng.normal(size=(n, (degree + 1) ** 2, 3)) * 0.3,
    ]
    return Scene(Splats(*(array.astype(np.float32) for array in arrays)), model=model)  # type: ignore[arg-type]


def records_of(scene: Scene, bands: int = 16) -> torch.Tensor:
    renderer = TritonRenderer()
    return renderer.records(renderer.upload(scene.splats), CAMERA, scene.model == "mip", bands)


def expected_records(scene: Scene) -> np.ndarray:
    """Records from the float64 twin: its conic's Cholesky factor, NaN rows where nothing can be drawn."""
    twin = reference.project(scene, CAMERA)
    factor = np.linalg.cholesky(np.linalg.inv(twin.covariances)) * GAIN.value
    rows = np.full((len(scene), SLOTS.value), np.nan)
    rows[twin.index, :2], rows[twin.index, 2], rows[twin.index, 3] = twin.centres, factor[:, 0, 0], factor[:, 1, 0]
    rows[twin.index, 4], rows[twin.index, 5] = factor[:, 1, 1], np.log2(twin.opacities)
    rows[twin.index, 6:9], rows[twin.index, 9] = twin.colours, twin.depths
    rows[~(rows[:, 5] >= np.log2(1 / 255))] = np.nan
    return rows


@pytest.mark.parametrize("model", ["3dgs", "mip"])
def test_a_record_is_the_twin_s_ellipse_colour_and_depth(model: str) -> None:
    scene = random_scene(150, model=model)
    expected, actual = expected_records(scene), records_of(scene).cpu().numpy()
    drawn = ~np.isnan(expected[:, 0])
    assert 40 < drawn.sum() < 140
    np.testing.assert_array_equal(np.isfinite(actual[:, 9]), drawn)
    assert (actual[~drawn, 5] == -np.inf).all()
    np.testing.assert_allclose(actual[drawn], expected[drawn], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_lower_sh_degrees_ignore_the_coefficients_above(degree: int) -> None:
    scene = random_scene(60)
    cut = replace(scene, splats=scene.splats.with_sh_degree(degree))
    actual = records_of(scene, bands=(degree + 1) ** 2).cpu().numpy()[:, 6:9]
    np.testing.assert_allclose(
        actual, records_of(cut, bands=(degree + 1) ** 2).cpu().numpy()[:, 6:9], rtol=0, atol=1e-6
    )


def test_every_tile_lists_exactly_the_gaussians_that_colour_it_near_to_far() -> None:
    records = records_of(random_scene(60, seed=1))
    bins = bin_tiles.bin_tiles(records, 50, 40)
    starts, ids = bins.starts.cpu().numpy(), bins.ids.cpu().numpy()
    listed = [ids[a:b].tolist() for a, b in pairwise(starts)]
    needed = bin_tiles.bin_tiles_slow(records.cpu().numpy(), 50, 40)
    assert len(listed) == len(needed) == 12
    for mine, twin in zip(listed, needed):
        assert [i for i in mine if i in twin] == twin
    spare = sum(map(len, listed)) - sum(map(len, needed))
    assert sum(map(len, needed)) > 100
    assert spare <= 2, "the slack of 1/64 px may add a pair or two, a bounding box adds dozens"


def test_the_picture_and_its_record_gradients_are_the_twin_s() -> None:
    records = records_of(random_scene(40, seed=2))
    records[:12, 5] += 3  # some beyond opaque, so that alpha is capped over several pixels
    bins = bin_tiles.bin_tiles(records, 36, 24)
    rgb, alpha, depth = rasterize.rasterize(records, bins, 36, 24, BACKGROUND)
    double = records.cpu().double().requires_grad_()
    twin = rasterize.rasterize_slow(double, 36, 24, BACKGROUND)
    for actual, expected in zip((rgb, alpha, depth), twin):
        np.testing.assert_allclose(actual.cpu(), expected.detach(), rtol=0, atol=5e-6)
    pull = torch.randn(24, 36, 3, generator=torch.Generator().manual_seed(0))
    (twin[0] * pull).sum().backward()
    grads = rasterize.rasterize_backward(records, bins, rgb, pull.to(rgb.device)).cpu()
    assert double.grad is not None
    for slot in range(9):
        scale = double.grad[:, slot].abs().max()
        assert (grads[:, slot] - double.grad[:, slot]).abs().max() < 2e-5 * scale, f"slot {slot}"
    np.testing.assert_allclose(grads[:, 9], twin[3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["3dgs", "mip"])
def test_projection_gradients_match_finite_differences_of_the_float64_twin(model: str) -> None:
    scene = random_scene(40, seed=3, model=model)
    pull = np.random.default_rng(0).normal(size=(40, SLOTS.value))
    pull[:, 9] = 0
    renderer = TritonRenderer()
    splats = renderer.upload(scene.splats)
    assert isinstance(splats, PlanarSplats)
    records = records_of(scene)
    drawn = torch.isfinite(records[:, 9]).cpu().numpy()
    device_pull = torch.from_numpy(pull.astype(np.float32)).to(records.device)
    camera = renderer.camera_tensor(CAMERA)
    grads = pull_back(splats, camera, records, device_pull, mip=model == "mip", bands=16)

    def loss(name: str, values: np.ndarray) -> np.ndarray:
        moved = expected_records(replace(scene, splats=replace(scene.splats, **{name: values})))
        return (moved * pull).sum(axis=1)

    for name, mine in (("means", grads.means), ("log_scales", grads.log_scales), ("quats", grads.quats)):
        base = getattr(scene.splats, name)
        for axis in range(base.shape[1]):
            up, down = base.copy(), base.copy()
            up[:, axis] += 2e-3
            down[:, axis] -= 2e-3
            slope = (loss(name, up) - loss(name, down)) / (up[:, axis] - down[:, axis])
            found = mine[axis].cpu().numpy()
            usable = drawn & np.isfinite(slope)
            assert usable.sum() > 15
            error = np.abs(found - slope)[usable] / (1 + np.abs(slope[usable]))
            assert np.median(error) < 1e-4, f"{name}[{axis}]"
            assert np.quantile(error, 0.9) < 5e-3, f"{name}[{axis}]"
            assert (found[~drawn] == 0).all()


@pytest.mark.parametrize("model", ["3dgs", "mip"])
def test_the_renderer_draws_the_reference_picture(model: str) -> None:
    scene = random_scene(40, seed=4, model=model)
    twin = reference.ReferenceRenderer().render(scene, CAMERA, background=BACKGROUND, sh_degree=2)
    image = TritonRenderer().render(scene, CAMERA, background=BACKGROUND, sh_degree=2)
    np.testing.assert_allclose(image.rgb, twin.rgb, rtol=0, atol=1e-5)
    np.testing.assert_allclose(image.alpha, twin.alpha, rtol=0, atol=1e-5)
    np.testing.assert_allclose(image.depth, twin.depth, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_the_cpu_renderer() -> None:
    scene = random_scene(30, seed=5, degree=1)
    small = CAMERA.resized(32, 32)
    pull = np.random.default_rng(1).normal(size=(32, 32, 3)).astype(np.float32)
    image, mine = TritonRenderer().render_with_grad(scene, small, lambda image: pull, background=BACKGROUND)
    twin, theirs = CpuRenderer().render_with_grad(scene, small, lambda image: pull, background=BACKGROUND)
    np.testing.assert_allclose(image.rgb, twin.rgb, rtol=0, atol=2e-5)
    for name in ("means", "log_scales", "quats", "logit_opacities", "sh", "means2d", "contribution"):
        actual, expected = getattr(mine, name), getattr(theirs, name)
        assert actual.shape == expected.shape
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-3 * scale, err_msg=name)


@pytest.mark.parametrize("palette", [False, True])
def test_fused_decode_draws_what_the_unpacked_scene_draws(palette: bool) -> None:
    scene = random_scene(45, seed=6, degree=2)
    if palette:
        sh = scene.splats.sh.copy()
        sh[:, 1:] = sh[np.arange(45) % 5, 1:]
        scene = replace(scene, splats=replace(scene.splats, sh=sh))
    box = packed.pack(scene.splats)
    assert (len(box.palette) == 5) == palette
    unpacked = replace(scene, splats=packed.unpack(box))
    twin = reference.ReferenceRenderer().render(unpacked, CAMERA, background=BACKGROUND)
    renderer = TritonRenderer(packed=True)
    image = renderer.render(scene, CAMERA, background=BACKGROUND)
    np.testing.assert_allclose(image.rgb, twin.rgb, rtol=0, atol=2e-5)
    with pytest.raises(UsageError, match="no gradients"):
        renderer.render_with_grad(scene, CAMERA, lambda image: image.rgb)


def test_a_pixel_stops_before_its_transmittance_would_fall_under_the_limit() -> None:
    wall = torch.zeros(24, SLOTS.value)
    wall[:, 0:2], wall[:, 2], wall[:, 4] = 8.0, 0.01, 0.01
    wall[:, 5] = torch.log2(torch.linspace(0.3, 1.0, 24))
    wall[:, 6:9], wall[:, 9] = torch.rand(24, 3, generator=torch.Generator().manual_seed(0)), torch.arange(24) + 1.0
    records = wall.to(records_of(random_scene(1)).device)
    bins = bin_tiles.bin_tiles(records, 16, 16)
    rgb, alpha, _depth = rasterize.rasterize(records, bins, 16, 16, BACKGROUND)
    grads = rasterize.rasterize_backward(records, bins, rgb, torch.ones_like(rgb)).cpu()
    twin = rasterize.rasterize_slow(wall.double(), 16, 16, BACKGROUND)
    np.testing.assert_allclose(rgb.cpu(), twin[0], rtol=0, atol=1e-6)
    assert 1e-4 <= 1 - float(alpha.max()) < 1e-2
    assert (grads[:, 9] > 0).sum() == (twin[3] > 0).sum() < 16
    assert (grads[-6:] == 0).all()


def test_nothing_in_view_gives_the_background_and_zero_gradients() -> None:
    scene = random_scene(8, seed=7, degree=0)
    away = replace(scene, splats=replace(scene.splats, means=scene.splats.means - np.float32([0, 0, 50])))
    image, grads = TritonRenderer().render_with_grad(away, CAMERA, lambda image: image.rgb, background=BACKGROUND)
    np.testing.assert_allclose(image.rgb, np.broadcast_to(np.float32(BACKGROUND), (40, 50, 3)))
    assert not any(getattr(grads, name).any() for name in ("means", "log_scales", "quats", "sh", "contribution"))
    empty = replace(scene, splats=scene.splats.take(slice(0, 0)))
    for boxed in (False, True):
        assert TritonRenderer(packed=boxed).render(empty, CAMERA).alpha.max() == 0
