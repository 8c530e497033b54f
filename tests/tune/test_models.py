"""Models beside the plain one: colours that are shared; and the views that distillation learns from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gscompress import formats
from gscompress.context import Context
from gscompress.renderers.base import Gradients, Image
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.tune.losses import squared
from gscompress.tune.pseudo_views import PSEUDO, PseudoViews
from gscompress.tune.shared_colours import SharedColours, sums
from gscompress.tune.splat_model import Rates
from gscompress.tune.targets import targets
from gscompress.viewpoints import generate

NONE = Rates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return formats.read(Path(__file__).parent.parent / "fixtures" / "fruit.ply")


@pytest.fixture(scope="module")
def ctx(scene: Scene) -> Context:
    return Context(renderer=CpuRenderer(), cameras=generate(scene, 3, width=72))


@pytest.mark.parametrize("name", ["dc", "sh"])
def test_a_step_of_shared_colours_follows_the_slope_of_the_loss(scene: Scene, ctx: Context, name: str) -> None:
    """The loss falls by about rate x sum |gradient| over codes and rows with colours of their own."""
    goal = targets(scene, ctx)[0]
    which = np.where(np.arange(len(scene)) % 4 == 0, -1, np.arange(len(scene)) % 5)
    codes = scene.splats.sh[:5] + np.float32(0.1)
    rate = 1e-4
    model = SharedColours(scene, which, codes, replace(NONE, **{name: rate}))
    start = model.scene()
    assert np.array_equal(start.splats.sh[which == 2], np.repeat(codes[2:3], np.count_nonzero(which == 2), 0))

    def loss(at: Scene) -> tuple[float, Gradients]:
        values: list[float] = []

        def pull(image: Image) -> np.ndarray:
            value, gradient = squared(image.rgb, goal.rgb)
            values.append(value)
            return gradient

        gradients = CpuRenderer().render_with_grad(at, goal.camera, pull)[1]
        return values[0], gradients

    value, gradients = loss(start)
    model.step(gradients, 1.0)
    bands = slice(0, 1) if name == "dc" else slice(1, None)
    slope = gradients.sh[:, bands]
    shared = np.abs([slope[which == code].sum(0) for code in range(5)]).sum()
    predicted = rate * float(shared + np.abs(slope[which < 0]).sum())
    assert value - loss(model.scene())[0] == pytest.approx(predicted, rel=0.1)


def test_sums_go_by_group() -> None:
    values = np.arange(12, dtype=np.float32).reshape(6, 2, 1)
    found = sums(values, np.array([2, 0, 2, 2, 0, 4]), 5)
    assert found[:, :, 0].tolist() == [[10, 12], [0, 0], [10, 13], [0, 0], [10, 11]]
    assert sums(values[:0], np.zeros(0, np.int64), 2).shape == (2, 2, 1)


def test_pseudo_views_are_near_the_given_ones_and_repeat(scene: Scene, ctx: Context) -> None:
    views = PseudoViews(scene, replace(ctx, seed=3))
    again = PseudoViews(scene, replace(ctx, seed=3))
    assert len(views) == (1 + PSEUDO) * 3
    assert views[0].camera is ctx.cameras[0]
    assert np.array_equal(views[5].rgb, again[5].rgb)
    spread = max(float(np.linalg.norm(c.position - ctx.cameras[0].position)) for c in ctx.cameras)
    for index, view in enumerate(views):
        away = float(np.linalg.norm(view.camera.position - ctx.cameras[index % 3].position))
        assert (away == 0) == (index < 3)
        assert away < spread / 2
