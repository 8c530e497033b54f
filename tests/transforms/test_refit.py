"""Colours fitted after a reduction: closer to the original, in other views too, and nothing but colours moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gscompress import formats
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.metrics import psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.transforms.prune import Prune
from gscompress.transforms.refit import refit_sh
from gscompress.transforms.sh_degree import ShDegree
from gscompress.viewpoints import generate

SCENE = formats.read(Path(__file__).parent.parent / "fixtures" / "fruit.ply")
CTX = Context(renderer=CpuRenderer(), cameras=generate(SCENE, 12, width=64))
OTHERS = generate(SCENE, 6, width=64, offset=1)


def shown(scene: Scene) -> float:
    renderer = CpuRenderer()
    pairs = [(renderer.render(SCENE, c).rgb, renderer.render(scene, c).rgb) for c in OTHERS]
    return float(np.mean([min(psnr(a, b), 99.0) for a, b in pairs]))


def test_refit_after_a_lower_degree_gains_in_views_that_it_did_not_see() -> None:
    cut, fitted = (ShDegree(degree=1, refit=rounds)(SCENE, CTX) for rounds in (0, 3))
    assert fitted.splats.sh_degree == 1
    assert shown(fitted) > shown(cut) + 0.4
    for name in ("means", "log_scales", "quats", "logit_opacities"):
        assert np.array_equal(getattr(fitted.splats, name), getattr(cut.splats, name))


def test_refit_after_pruning_does_no_harm() -> None:
    pruned, fitted = (Prune(ratio=0.5, refit=rounds)(SCENE, CTX) for rounds in (0, 3))
    assert len(fitted) == len(pruned)
    assert shown(fitted) > shown(pruned)


def test_a_scene_that_lost_nothing_keeps_its_colours() -> None:
    same = refit_sh(SCENE, SCENE, CTX, 2)
    # Pictures of the original are kept in half precision.
    np.testing.assert_allclose(same.splats.sh, SCENE.splats.sh, atol=5e-3)


def test_a_scene_out_of_sight_is_left_alone() -> None:
    away = replace(SCENE, splats=replace(SCENE.splats, means=SCENE.splats.means + 1e6))
    assert refit_sh(away, SCENE, CTX, 2) is away


def test_rounds_are_checked() -> None:
    with pytest.raises(UsageError, match="refit"):
        ShDegree(degree=1, refit=-1)
    with pytest.raises(UsageError, match="refit"):
        Prune(refit=101)
    assert ShDegree(degree=1).needs == frozenset()
    assert "renderer" in ShDegree(degree=1, refit=1).needs
    assert "renderer" in Prune(refit=1).needs
