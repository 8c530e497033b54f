"""The CPU renderer's gradients against autograd in float64 and finite differences; removal errors against removal."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from small_scenes import blob, camera, with_splats

from gscompress.camera import Camera
from gscompress.errors import UsageError
from gscompress.quant.probe import squares
from gscompress.renderers.base import Gradients
from gscompress.renderers.cpu import CpuRenderer
from gscompress.renderers.reference import blend, project
from gscompress.scene import Model, Scene

BACKGROUND = (0.2, 0.9, 0.4)
NAMES = ("means", "log_scales", "quats", "logit_opacities", "sh")


def in_front(scene: Scene, view: Camera) -> Scene:
    depth = scene.splats.means @ view.w2c[2, :3] + view.w2c[2, 3]
    return replace(scene, splats=scene.splats.take(depth > 0.1))


def beyond_limit(scene: Scene, view: Camera) -> int:
    """Gaussians whose view angle the Jacobian clamps."""
    x, y, z = (scene.splats.means @ view.w2c[:3, :3].T + view.w2c[:3, 3]).T
    column, row = view.fx * x / z + view.cx, view.fy * y / z + view.cy
    outside_x = (column < -0.15 * view.width) | (column > 1.15 * view.width)
    return int((outside_x | (row < -0.15 * view.height) | (row > 1.15 * view.height)).sum())


@pytest.mark.parametrize(
    ("n", "degree", "model", "size", "focal", "distance"),
    [
        (60, 3, "3dgs", 0.06, 1.0, 2.5),
        (60, 3, "mip", 0.02, 1.0, 2.5),
        (200, 2, "2dgs", 0.1, 1.0, 2.5),
        (120, 1, "3dgs", 0.2, 0.5, 1.0),
        (120, 0, "mip", 0.2, 0.5, 1.0),
    ],
)
def test_gradients_are_those_of_autograd(
    n: int, degree: int, model: Model, size: float, focal: float, distance: float
) -> None:
    torch_twin = pytest.importorskip("torch_twin", reason="torch is not installed", exc_type=ImportError)
    view = camera(focal=focal, distance=distance)
    scene = in_front(blob(n, 1, degree, model, size), view)
    if distance == 1.0:
        assert beyond_limit(scene, view) > 5
    grad = np.random.default_rng(3).normal(size=(view.height, view.width, 3)).astype(np.float32)
    _, twin = torch_twin.gradients(scene, view, grad, BACKGROUND)
    _, ours = CpuRenderer().render_with_grad(scene, view, lambda image: grad, background=BACKGROUND)
    for name, expected in twin.items():
        error = np.linalg.norm(getattr(ours, name) - expected) / np.linalg.norm(expected)
        assert error < 1e-4, name


@pytest.mark.parametrize(("model", "focal", "distance"), [("3dgs", 1.0, 2.5), ("mip", 0.5, 1.2)])
def test_gradients_are_finite_differences_of_the_twin(model: Model, focal: float, distance: float) -> None:
    """Every parameter of every Gaussian. A step can carry a pixel over the 1/255 cut, where the picture jumps and a
    difference quotient means nothing: that is why a few in a hundred may be off."""
    view = camera(23, 19, distance, focal)
    scene = in_front(blob(12, 5, 3, model, 0.12), view)
    grad = np.random.default_rng(4).normal(size=(view.height, view.width, 3)).astype(np.float32)
    _, ours = CpuRenderer().render_with_grad(scene, view, lambda image: grad, background=BACKGROUND)

    def loss(changed: Scene) -> float:
        return float((blend(project(changed, view), view.width, view.height, BACKGROUND)[0] * grad).sum())

    for name in NAMES:
        stored = getattr(scene.splats, name)
        analytic = getattr(ours, name).ravel()
        quotient = np.zeros(stored.size)
        for k in range(stored.size):
            up, down = stored.copy(), stored.copy()
            up.ravel()[k] += 1e-5
            down.ravel()[k] -= 1e-5
            step = float(up.ravel()[k]) - float(down.ravel()[k])
            quotient[k] = (loss(with_splats(scene, **{name: up})) - loss(with_splats(scene, **{name: down}))) / step
        scale = np.abs(analytic) + 1e-3 * np.abs(analytic).max()
        close = np.abs(quotient - analytic) < 1e-2 * scale
        assert np.abs(analytic).max() > 0.01, name
        assert close.mean() > 0.95, (name, close.mean())


def test_threads_and_repeats_do_not_change_a_bit() -> None:
    scene, view = blob(2000, 3), camera(160, 120)
    results = [CpuRenderer(t).render_with_grad(scene, view, lambda image: image.rgb - 0.5)[1] for t in (1, 2, 2, 3)]
    for other in results[1:]:
        assert all(np.array_equal(getattr(other, f.name), getattr(results[0], f.name)) for f in fields(Gradients))


def test_contributions_add_up_to_alpha() -> None:
    scene, view = blob(500, 9), camera(45, 37)
    image, gradients = CpuRenderer().render_with_grad(scene, view, lambda image: np.zeros_like(image.rgb))
    np.testing.assert_allclose(gradients.contribution.sum(), image.alpha.sum(), rtol=1e-5)
    assert (gradients.contribution >= 0).all()
    assert not gradients.means.any()


def test_a_view_can_be_pulled_back_twice_and_is_linear() -> None:
    scene, view = blob(100, 10), camera()
    renderer, rng = CpuRenderer(), np.random.default_rng(0)
    drawn = renderer.view(scene, view)
    a, b = rng.normal(size=(2, view.height, view.width, 3)).astype(np.float32)
    one, two, both = renderer.pull_back(drawn, a), renderer.pull_back(drawn, b), renderer.pull_back(drawn, a + b)
    for name in NAMES:
        whole = getattr(both, name)
        np.testing.assert_allclose(getattr(one, name) + getattr(two, name), whole, atol=1e-4 * np.abs(whole).max())
    with pytest.raises(UsageError, match="image gradient is"):
        renderer.pull_back(drawn, a[1:])


@pytest.mark.parametrize(("degree", "model"), [(3, "3dgs"), (0, "mip")])
def test_short_cuts_are_what_the_long_ways_are(degree: int, model: Model) -> None:
    scene, view, renderer = blob(200, 4, degree, model), camera(), CpuRenderer()
    grad = np.random.default_rng(1).normal(size=(view.height, view.width, 3)).astype(np.float32)
    drawn = renderer.view(scene, view)
    slow = renderer.pull_back(drawn, grad)
    expected = squares(np.asarray(scene.splats.quats, np.float64), slow)
    assert (expected[:, 14] > 0).sum() > 100
    # Both sum the same float32 pairs; the plain gradients are rounded to float32 before they are turned and squared.
    found, largest = renderer.squares(drawn, grad), expected.max(axis=0)
    np.testing.assert_array_less(np.abs(found - expected), 1e-3 * expected + 1e-6 * largest + 1e-30)
    wanted = drawn.image.rgb + np.float32(0.1) * grad
    errors, again = renderer.judge(drawn, grad, wanted)
    np.testing.assert_array_less(np.abs(again - expected), 1e-3 * expected + 1e-6 * largest + 1e-30)
    alone = renderer.removal_of(drawn, wanted)
    np.testing.assert_allclose(errors, alone, rtol=1e-3, atol=1e-5 * np.abs(alone).max())
    colours = np.ones_like(slow.sh)
    renderer.add_colours(drawn, renderer.colour_sums(drawn, grad), colours)
    np.testing.assert_allclose(colours - 1, slow.sh, rtol=1e-3, atol=1e-5 * abs(slow.sh).max())
    with pytest.raises(UsageError, match="image gradient is"):
        renderer.colour_sums(drawn, grad[1:])


@pytest.mark.parametrize("off", [0.0, 0.05])
def test_removal_error_is_what_removing_adds_to_the_error(off: float) -> None:
    scene, view, renderer = blob(60, 1), camera(), CpuRenderer()
    full = renderer.render(scene, view, background=BACKGROUND).rgb
    wanted = full + np.random.default_rng(0).normal(0, off, full.shape).astype(np.float32) + np.float32(off)
    already, expected = np.sum((full.astype(np.float64) - wanted) ** 2), np.zeros(60)
    for i in range(60):
        without = replace(scene, splats=scene.splats.take(np.arange(60) != i))
        picture = renderer.render(without, view, background=BACKGROUND).rgb
        expected[i] = np.sum((picture.astype(np.float64) - wanted) ** 2) - already
    errors = renderer.removal_error(scene, view, background=BACKGROUND, wanted=wanted if off else None)
    assert (np.abs(expected) > 1e-3).sum() > 30
    assert (expected < 0).any() == (off > 0)
    np.testing.assert_allclose(errors, expected, rtol=1e-3, atol=1e-3 if off else 1e-5)
    with pytest.raises(UsageError, match="the wanted picture is"):
        renderer.removal_error(scene, view, wanted=wanted[1:])
