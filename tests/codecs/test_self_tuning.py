"""Tuning with the codec in the loop: values move by shares of their steps, only where seen; views to tune against."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import blob

from gscompress.codecs import self_tuning
from gscompress.codecs.coded_model import CodedModel
from gscompress.codecs.importance import by_looks
from gscompress.codecs.latents import grid_of, latents_of, splats_of
from gscompress.codecs.plan import Plan
from gscompress.renderers.base import Gradients
from gscompress.scene import Scene
from gscompress.viewpoints import generate

RATE = 0.1
SCENE = blob(200, 2)
PLAN = Plan.make(SCENE.splats, by_looks(SCENE), 1e-3, diffusion=0.0, part=131_072)
GRID = grid_of(PLAN)


def gradients(contribution: np.ndarray, size: float = 1.0) -> Gradients:
    rng, splats = np.random.default_rng(0), SCENE.splats
    arrays = splats.means, splats.log_scales, splats.quats, splats.logit_opacities, splats.sh
    drawn = [(size * rng.normal(size=array.shape)).astype(np.float32) for array in arrays]
    return Gradients(*drawn, np.zeros((len(splats), 2), np.float32), contribution.astype(np.float32))


def moved(contribution: np.ndarray, size: float = 1.0, faint: float = 1e-15) -> dict[str, np.ndarray]:
    """How far values move in the first update, in steps."""
    model = CodedModel(PLAN, SCENE, RATE, faint=faint)
    before = [array.copy() for array in model.latents]
    model.scene()
    model.step(gradients(contribution, size), 1.0)
    means, scales, _, opacities, colours = (now - was for now, was in zip(model.latents, before))
    sigmas = np.exp(np.sort(before[1], axis=1)) * np.exp2(GRID.position)[:, None]
    return {
        "means": np.linalg.norm(means, axis=1) / np.linalg.norm(sigmas, axis=1),
        "scales": np.abs(scales / GRID.scale[:, None]),
        "opacities": np.abs(opacities / GRID.opacity),
        "colours": np.abs(colours),
    }


def test_every_value_moves_by_the_rate_in_steps() -> None:
    for name, far in moved(np.ones(len(SCENE))).items():
        # Adam's first step is the rate, whatever the gradient; clipping at the decoder's limits may cut it short.
        assert np.median(far) == pytest.approx(RATE, rel=1e-3), name
        assert far.max() < RATE * 1.01, name


def test_what_views_hardly_show_moves_in_proportion() -> None:
    less, least = (moved(np.ones(len(SCENE)), size, faint=1.0)["colours"] for size in (1e-4, 1e-5))
    assert least.max() < less.max() < 0.01 * RATE
    np.testing.assert_allclose(least * 10, less, rtol=0.05, atol=1e-6)


def test_rows_that_no_view_has_seen_stay() -> None:
    seen = np.arange(len(SCENE)) % 2 == 0
    for name, far in moved(seen).items():
        assert not far[~seen].any(), name
        assert far[seen].all(axis=-1).mean() > 0.9, name


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_latents_are_the_splats_in_other_words(degree: int) -> None:
    scene = blob(100, degree)
    plan = Plan.make(scene.splats, by_looks(scene), 1e-3, diffusion=0.0, part=131_072)
    grid = grid_of(plan)
    again, splats = splats_of(latents_of(plan, grid), plan, grid), plan.splats
    thick = np.maximum(splats.log_scales, np.log(0.2 * grid.blur))  # the decoder makes nothing thinner
    np.testing.assert_allclose(again.log_scales, thick, atol=2e-3)
    for name in ("means", "logit_opacities", "sh"):
        np.testing.assert_allclose(getattr(again, name), getattr(splats, name), atol=2e-3, err_msg=name)


def test_views_are_added_as_far_as_there_is_time() -> None:
    few = generate(SCENE, 3, width=64)
    more = self_tuning._more(SCENE, few, 5)
    assert len(more) == 5
    assert {(c.width, c.height) for c in more} == {(64, 48)}
    assert not {c.w2c.tobytes() for c in more} & {c.w2c.tobytes() for c in few}
    assert not self_tuning._more(SCENE, few * 150, 5)
    empty = Scene(SCENE.splats.take(np.zeros(0, np.int64)))
    assert not self_tuning._more(replace(empty), few, 5)
