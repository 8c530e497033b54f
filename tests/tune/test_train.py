"""Training: where it starts, how Gaussians multiply without changing the picture, and that it fits photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gscompress.camera import Camera, look_at
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.metrics import psnr
from gscompress.renderers.base import Gradients
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene, Splats
from gscompress.sh import C0
from gscompress.tune.densify import Densify
from gscompress.tune.growing import GrowingModel
from gscompress.tune.mcmc import DEAD, Mcmc, split_alike
from gscompress.tune.start import from_points, random_points
from gscompress.tune.train import RATES, Training, train

WIDTH, HEIGHT = 48, 36


def cameras(count: int = 6) -> list[Camera]:
    found = []
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
        eye = np.array([3 * np.cos(angle), -0.6, 3 * np.sin(angle)])
        w2c = look_at(eye, np.zeros(3), np.array([0.0, -1.0, 0.0]))
        found.append(Camera(WIDTH, HEIGHT, 45.0, 45.0, WIDTH / 2, HEIGHT / 2, w2c))
    return found


def coloured_cloud(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A ball whose colour changes from place to place."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(count, 3))
    points = 0.8 * points / np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), (127 + 120 * points / 0.8).astype(np.uint8)


@pytest.fixture(scope="module")
def ctx() -> Context:
    """Photos of a ball of opaque Gaussians."""
    points, colours = coloured_cloud()
    start = from_points(points, colours, 0)
    solid = replace(start, splats=replace(start.splats, logit_opacities=np.full(len(start), 3, np.float32)))
    renderer, views = CpuRenderer(), cameras()
    photos = [np.clip(255 * renderer.render(solid, c).rgb, 0, 255).astype(np.uint8) for c in views]
    return Context(renderer=renderer, cameras=views, photos=photos)


def quality(scene: Scene, ctx: Context) -> float:
    shown = [CpuRenderer().render(scene, c).rgb for c in ctx.cameras]
    return float(np.mean([psnr(np.clip(a, 0, 1), p / np.float32(255)) for a, p in zip(shown, ctx.photos)]))


def test_points_become_round_gaussians_of_their_colour_as_large_as_gaps() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    colours = np.tile(np.array([[255, 0, 51]], np.uint8), (len(grid), 1))
    scene = from_points(np.concatenate([grid, grid[:5], [[np.nan] * 3]]), np.concatenate([colours, colours[:6]]), 1)
    assert len(scene) == 64
    assert scene.splats.sh_degree == 1
    np.testing.assert_allclose(scene.splats.log_scales, 0, atol=1e-6)
    np.testing.assert_allclose(0.5 + C0 * scene.splats.sh[:, 0], np.tile([[1, 0, 0.2]], (64, 1)), atol=1e-6)
    with pytest.raises(UsageError, match="sparse points"):
        from_points(grid[:3], colours[:3])


def test_spacing_is_that_of_a_search_through_all() -> None:
    points = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)
    scene = from_points(points, np.zeros((200, 3), np.uint8), 0)
    distances = np.square(scene.splats.means[:, None].astype(np.float64) - scene.splats.means[None]).sum(2)
    expected = np.sqrt(np.sort(distances, axis=1)[:, 1:4].mean(1))
    np.testing.assert_allclose(np.exp(scene.splats.log_scales[:, 0]), expected, rtol=1e-4)


def test_random_points_lie_where_cameras_look() -> None:
    points, colours = random_points(cameras(), 500, seed=0)
    assert np.linalg.norm(points.mean(0)) < 0.3
    assert 1 < np.linalg.norm(points, axis=1).max() < 2
    assert colours.shape == (500, 3)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_copies_together_look_like_the_original(copies: int) -> None:
    """What a ray through the middle and the whole disc show: the first exactly, the second nearly."""
    camera = cameras(1)[0]
    logits, log_factor = split_alike(np.array([0.8]), np.array([copies]))

    def picture(count: int, logit: float, log_scale: float) -> np.ndarray:
        means = np.zeros((count, 3), np.float32)
        quats = np.tile(np.eye(4, dtype=np.float32)[:1], (count, 1))
        sh = np.full((count, 1, 3), 1, np.float32)
        scales = np.full((count, 3), log_scale, np.float32)
        scene = Scene(Splats(means, scales, quats, np.full(count, logit, np.float32), sh))
        return CpuRenderer().render(scene, camera).alpha

    before, after = picture(1, np.log(4), -1.5), picture(copies, logits[0], -1.5 + log_factor[0])
    assert after.max() == pytest.approx(before.max(), abs=0.02)
    assert after.sum() == pytest.approx(before.sum(), rel=0.12)


def zero_gradients(model: GrowingModel) -> Gradients:
    arrays = {name: np.zeros_like(model.value(name)) for name in ("means", "log_scales", "quats")}
    sh = np.zeros_like(model.scene().splats.sh)
    count = len(model)
    return Gradients(
        **arrays,
        logit_opacities=np.zeros(count, np.float32),
        sh=sh,
        means2d=np.zeros((count, 2), np.float32),
        contribution=np.ones(count, np.float32),
    )


def test_mcmc_moves_the_dead_and_stays_in_budget() -> None:
    points, colours = coloured_cloud(200)
    model = GrowingModel(from_points(points, colours, 1), RATES, 1.0)
    model.value("logit_opacities")[:50] = -9.0
    grow = Mcmc(model, budget=205, steps=1000, rate=0.0, seed=0)
    grow(100)
    assert len(model) == 205
    assert (model.opacities() > DEAD).all()
    living = {bytes(row) for row in from_points(points, colours, 1).splats.means}
    assert {bytes(row) for row in model.value("means")} <= living
    model.step(zero_gradients(model), 1.0)


def test_density_control_clones_small_and_splits_large_ones() -> None:
    points, colours = coloured_cloud(100)
    model = GrowingModel(from_points(points, colours, 1), RATES, 1.0)
    model.value("log_scales")[:] = -6.0
    model.value("log_scales")[:10] = -1.0
    model.value("logit_opacities")[90:] = -9.0
    gradients = zero_gradients(model)
    pulled = np.zeros((100, 2), np.float32)
    pulled[:20] = 1.0
    model.step(replace(gradients, means2d=pulled), 1.0)
    Densify(model, budget=1000, steps=1000, pixels=WIDTH, extent=1.0, seed=0)(30)
    assert len(model) == 90 + 20
    sizes = model.value("log_scales").max(1)
    assert np.count_nonzero(np.isclose(sizes, -1.0 - np.log(1.6), atol=0.05)) == 20
    _, counts = np.unique(model.value("means"), axis=0, return_counts=True)
    assert np.count_nonzero(counts == 2) == 10


@pytest.mark.parametrize("method", ["mcmc", "classic"])
def test_training_fits_the_photos_and_repeats(ctx: Context, method: str) -> None:
    points, colours = coloured_cloud(150)
    grey = np.full_like(colours, 128)
    plan = Training(steps=250, budget=260, method=method, degree=1)  # type: ignore[arg-type]
    scene = train(points, grey, ctx, plan)
    assert 40 < len(scene) <= 260
    assert quality(scene, ctx) > quality(from_points(points, grey, 1), ctx) + 3
    if method == "mcmc":
        again = train(points, grey, ctx, plan)
        assert np.array_equal(again.splats.means, scene.splats.means)


def test_training_refuses_what_it_cannot_do(ctx: Context) -> None:
    points, colours = coloured_cloud(20)
    with pytest.raises(UsageError, match="needs photos"):
        train(points, colours, replace(ctx, photos=()))
    with pytest.raises(UsageError, match="training method"):
        Training(method="nosuch")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="steps"):
        Training(steps=0)
