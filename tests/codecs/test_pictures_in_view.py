"""What the default codec's encoder decides with pictures in view: which views, which classes, which basis, how colours
are rounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gscompress import formats
from gscompress.codecs import default
from gscompress.codecs.colour import Basis
from gscompress.codecs.default import DefaultCodec
from gscompress.codecs.glance import NARROWEST, VIEWS, WIDEST, glance
from gscompress.codecs.importance import at_least
from gscompress.codecs.plan import _classes
from gscompress.container.chunk import pack_streams
from gscompress.context import Context
from gscompress.metrics import psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.viewpoints import generate

SCENE = formats.read(Path(__file__).parent.parent / "fixtures" / "fruit.ply")
CTX = Context(renderer=CpuRenderer(), cameras=generate(SCENE, 12, width=96))
OTHERS = generate(SCENE, 8, width=96, offset=1)


def encoded(codec: DefaultCodec) -> tuple[int, float]:
    """Bytes, and mean PSNR in views that the encoder did not see."""
    chunks = list(codec.encode(SCENE, replace(CTX, memo={})))
    decoded, renderer = codec.decode_whole(chunks), CpuRenderer()
    pairs = [(renderer.render(SCENE, c).rgb, renderer.render(decoded, c).rgb) for c in OTHERS]
    return sum(len(pack_streams(c.streams)) for c in chunks), float(np.mean([psnr(a, b) for a, b in pairs]))


def test_settled_colours_look_better_in_views_that_they_did_not_settle_in() -> None:
    (size, plain), (settled_size, settled) = (encoded(DefaultCodec(quality=40, settle=n)) for n in (0, 6))
    assert settled > plain + 0.2
    assert settled_size < 1.02 * size


def test_settling_changes_nothing_but_colours() -> None:
    plans = [DefaultCodec(quality=40, settle=n).plan(SCENE, replace(CTX, memo={})) for n in (0, 2)]
    assert np.array_equal(plans[0].splats.means, plans[1].splats.means)
    assert np.array_equal(plans[0].classes.colour, plans[1].classes.colour)
    assert not np.array_equal(plans[0].splats.sh, plans[1].splats.sh)


def test_settling_and_tuning_leave_an_empty_scene_and_one_without_views_alone() -> None:
    empty = Scene(SCENE.splats.take(np.zeros(0, np.int64)))
    for codec in (DefaultCodec(settle=2), DefaultCodec(tune=0.3)):
        assert len(codec.decode_whole(codec.encode(empty, replace(CTX, memo={})))) == 0
    a, b = (list(DefaultCodec(settle=n).encode(SCENE, Context())) for n in (0, 2))
    assert [c.streams for c in a] == [c.streams for c in b]


@pytest.mark.parametrize("degree", [0, 3])
def test_columns_move_along_with_their_rows_through_tuning(degree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default, "FEWEST", 10)
    splats = replace(SCENE.splats.with_sh_degree(degree), extras={"row": np.arange(len(SCENE))})
    plan = DefaultCodec(prune=3.0, tune=0.3, layers=2).plan(replace(SCENE, splats=splats), replace(CTX, memo={}))
    apart = np.linalg.norm(plan.splats.means - SCENE.splats.means[plan.splats.extras["row"]], axis=1)
    assert np.median(apart) < 0.01 * np.ptp(SCENE.splats.means, axis=0).max()


@pytest.mark.parametrize(("width", "wanted"), [(100, 100), (400, 320), (700, 350), (4000, 480)])
def test_a_glance_is_at_most_so_many_small_views(width: int, wanted: int) -> None:
    cameras = [c.resized(width, width // 2) for c in generate(SCENE, 1, width=96)] * 100
    seen = glance(Context(cameras=cameras)).cameras
    assert 0 < len(seen) <= VIEWS
    assert {c.width for c in seen} == {wanted}
    assert NARROWEST <= max(wanted, NARROWEST) <= WIDEST


def test_few_need_steps_below_the_finest_class() -> None:
    wide = np.random.default_rng(0).normal(0, 4, 5000)
    classes, base = _classes(wide)
    assert np.mean(-wide - base < -0.5) < 0.003
    assert classes.min() == 0
    assert classes.max() == 7


def test_what_is_well_hidden_counts_as_the_next_one() -> None:
    rng = np.random.default_rng(0)
    reach, hidden = rng.normal(size=100), np.arange(100)[::-1].astype(float)
    seen = np.arange(100) >= 10
    raised = at_least(reach - hidden, reach, seen, 0.2)
    # Of the 90 seen ones the best hidden 18 rise, and those not seen at all join them.
    assert np.allclose((raised - reach)[28:], -hidden[28:])
    assert np.allclose((raised - reach)[:28], -71.2, atol=1)
    assert np.ptp((raised - reach)[:28]) < 1e-9
    assert np.array_equal(at_least(reach - hidden, reach, np.zeros(100, bool), 0.2), reach)


def test_values_on_a_grid_in_rgb_keep_their_basis() -> None:
    rng = np.random.default_rng(0)
    grid = (rng.integers(-2, 3, (9000, 15, 3)) * 0.25).astype(np.float32)
    assert np.array_equal(np.abs(Basis.fit(grid, np.full(9000, 1 / 0.125**2)).matrix).sum(1), np.ones(45))
    # Correlated channels: one direction carries all, and the fitted basis finds it.
    level = rng.normal(size=(9000, 15, 1)).astype(np.float32)
    mixed = level * np.array([1.0, 0.5, -0.25], np.float32) + rng.normal(scale=0.01, size=(9000, 15, 3)).astype(
        np.float32
    )
    basis = Basis.fit(mixed, np.full(9000, 1 / 0.05**2))
    energy = np.square(basis.analyse(mixed)).mean(0)
    assert energy[:15].sum() > 0.99 * energy.sum()
