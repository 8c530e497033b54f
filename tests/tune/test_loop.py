"""The loop and the plain model: what they aim at, that steps go downhill, that runs repeat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gscompress import formats
from gscompress.context import Context
from gscompress.renderers.base import Gradients
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.tune.loop import fit
from gscompress.tune.losses import photo
from gscompress.tune.splat_model import Rates, SplatModel
from gscompress.tune.targets import targets
from gscompress.viewpoints import generate


@pytest.fixture(scope="module")
def scene() -> Scene:
    return formats.read(Path(__file__).parent.parent / "fixtures" / "fruit.ply")


@pytest.fixture(scope="module")
def ctx(scene: Scene) -> Context:
    cameras = generate(scene, 3, width=72)
    photos = [np.clip(CpuRenderer().render(scene, c).rgb * 255, 0, 255).astype(np.uint8) for c in cameras]
    return Context(renderer=CpuRenderer(), cameras=cameras, photos=photos)


def test_targets_are_photos_when_there_are_any_and_renders_otherwise(scene: Scene, ctx: Context) -> None:
    assert all(target.rgb is photo for target, photo in zip(targets(scene, ctx), ctx.photos))
    rendered = targets(scene, replace(ctx, photos=()))
    assert [t.rgb.dtype for t in rendered] == [np.float16] * 3
    assert np.abs(rendered[0].rgb - ctx.photos[0] / 255).mean() < 0.01


def test_fitting_to_photos_undoes_disturbed_colours(scene: Scene, ctx: Context) -> None:
    noise = np.random.default_rng(0).normal(scale=0.3, size=scene.splats.sh.shape).astype(np.float32)
    disturbed = replace(scene, splats=replace(scene.splats, sh=scene.splats.sh + noise))
    counted: list[int] = []
    model = SplatModel(disturbed, Rates(dc=0.03, sh=0.01))
    losses = fit(model, targets(scene, ctx), ctx, 60, every=counted.append)
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:3])
    assert counted == list(range(1, 61))


def test_fitting_repeats_itself_and_follows_the_seed(scene: Scene, ctx: Context) -> None:
    runs = [fit(SplatModel(scene), targets(scene, c), c, 6) for c in (ctx, ctx, replace(ctx, seed=5))]
    assert runs[0] == runs[1] != runs[2]


def test_a_step_of_the_model_follows_the_slope_of_the_loss(scene: Scene, ctx: Context) -> None:
    """Each attribute alone: the loss falls by about rate x sum |gradient|, which is what Adam's first step predicts."""
    goal = targets(scene, ctx)[0]
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.2, size=scene.splats.sh.shape).astype(np.float32)
    start = replace(scene, splats=replace(scene.splats, sh=scene.splats.sh + noise))

    def loss(at: Scene) -> tuple[float, Gradients]:
        values: list[float] = []

        def pull(image: object) -> np.ndarray:
            value, gradient = photo(image.rgb, goal.rgb)  # type: ignore[attr-defined]
            values.append(value)
            return gradient

        gradients = ctx.need_renderer("test").render_with_grad(at, goal.camera, pull)[1]
        return values[0], gradients

    value, gradients = loss(start)
    none = Rates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for name, rate in (("dc", 1e-4), ("sh", 1e-4), ("logit_opacities", 3e-4), ("log_scales", 1e-4)):
        model = SplatModel(start, replace(none, **{name: rate}))
        model.step(gradients, 1.0)
        slope = {"dc": gradients.sh[:, :1], "sh": gradients.sh[:, 1:]}.get(name)
        predicted = rate * float(np.abs(getattr(gradients, name) if slope is None else slope).sum())
        assert value - loss(model.scene())[0] == pytest.approx(predicted, rel=0.15)
