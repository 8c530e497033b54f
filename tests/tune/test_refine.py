"""Tuning: towards the target, only where asked, the same every time; sparse Adam leaves unseen rows alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gscompress import formats
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.tune.adam import SparseAdam
from gscompress.tune.refine import COLOUR_ONLY, refine, steps_in
from gscompress.viewpoints import generate


@pytest.fixture(scope="module")
def scene() -> Scene:
    return formats.read(Path(__file__).parent.parent / "fixtures" / "fruit.ply")


@pytest.fixture(scope="module")
def ctx(scene: Scene) -> Context:
    return Context(renderer=CpuRenderer(), cameras=generate(scene, 4, width=80))


def error(scene: Scene, original: Scene, ctx: Context) -> float:
    renderer = CpuRenderer()
    shown = [renderer.render(scene, c).rgb - renderer.render(original, c).rgb for c in ctx.cameras]
    return float(np.mean([np.square(difference).mean() for difference in shown]))


def test_tuning_halves_the_error_of_disturbed_colours(scene: Scene, ctx: Context) -> None:
    sh = scene.splats.sh + np.random.default_rng(0).normal(scale=0.1, size=scene.splats.sh.shape).astype(np.float32)
    disturbed = replace(scene, splats=replace(scene.splats, sh=sh))
    tuned = refine(disturbed, scene, ctx, 120)
    assert error(tuned, scene, ctx) < 0.5 * error(disturbed, scene, ctx)


def test_colour_only_leaves_the_geometry(scene: Scene, ctx: Context) -> None:
    thinned = replace(scene, splats=scene.splats.take(np.arange(len(scene)) % 3 > 0))
    tuned = refine(thinned, scene, ctx, 10, COLOUR_ONLY)
    for name in ("means", "log_scales", "quats", "logit_opacities"):
        assert np.array_equal(getattr(tuned.splats, name), getattr(thinned.splats, name))
    assert error(tuned, scene, ctx) < error(thinned, scene, ctx)


def test_tuning_repeats_itself(scene: Scene, ctx: Context) -> None:
    thinned = replace(scene, splats=scene.splats.take(slice(0, 100)))
    first, second = (refine(thinned, scene, ctx, 5) for _ in range(2))
    assert np.array_equal(first.splats.sh, second.splats.sh)
    assert np.array_equal(first.splats.means, second.splats.means)


def test_tuning_needs_a_renderer_and_counts_steps(scene: Scene, ctx: Context) -> None:
    with pytest.raises(UsageError, match="judges by renders"):
        refine(scene, scene, Context(), 1)
    assert steps_in(10, scene, ctx) > steps_in(1, scene, ctx) > 0


def test_sparse_adam_moves_seen_rows_by_the_rate() -> None:
    adam = SparseAdam(np.zeros((3, 2), np.float32))
    gradient = np.array([[1, -2], [3, 4], [0.5, -0.1]], np.float32)
    adam.step(gradient, np.array([True, False, True]), 0.1)
    # The first step of Adam is the rate times the sign, whatever the gradient's size.
    np.testing.assert_allclose(adam.parameter, [[-0.1, 0.1], [0.0, 0.0], [-0.1, 0.1]], atol=1e-6)
