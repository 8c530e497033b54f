"""Laws of .compressed.ply: errors stay within the stated bounds, and what is clamped or reordered is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from scene_strategies import degrees_between, opacity, random_scene, scenes

from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.compressed_ply import SH_VALUES, CompressedPlyFormat, sh_bytes
from gscompress.formats.morton import morton_order
from gscompress.formats.ply import PlyFormat
from gscompress.frame import RUB
from gscompress.scene import Scene

FIXTURES = Path(__file__).parent.parent / "fixtures"
FORMAT = CompressedPlyFormat()


def through(scene: Scene, folder: Path, log: EventLog | None = None) -> Scene:
    path = folder / "a.compressed.ply"
    FORMAT.write(scene, path, EventLog())
    return FORMAT.read(path, log or EventLog())


def assert_within_bounds(scene: Scene, back: Scene) -> None:
    """Every attribute of ``back`` lies within the stated bound of the (reordered) original."""
    bound, one = FORMAT.bounds(scene), scene.splats.take(morton_order(scene.splats.means))
    two = back.splats
    rounding = 2.0**-22  # of float32, relative
    assert (np.abs(one.means - two.means) <= bound["means"] + rounding * np.abs(one.means)).all()
    assert (np.abs(one.log_scales - two.log_scales) <= bound["log_scales"] + 20 * rounding).all()
    assert degrees_between(one.quats, two.quats).max() <= bound["quats"]
    assert np.abs(opacity(one.logit_opacities) - opacity(two.logit_opacities)).max() <= bound["opacities"] + 1e-7
    assert np.abs(one.sh[:, 0] - two.sh[:, 0]).max() <= bound["dc"] + 1e-5
    assert np.abs(np.clip(one.sh[:, 1:], -4, 4) - two.sh[:, 1:]).max(initial=0) <= bound["sh"]


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_errors_stay_within_the_stated_bounds(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> None:
    back = through(scene, tmp_path_factory.mktemp("c"))
    assert_within_bounds(scene, back)
    assert (back.model, back.frame) == (scene.model, scene.frame)


def test_the_position_bound_is_reached_almost(tmp_path: Path) -> None:
    scene = random_scene(5000, 0, 1)
    errors = np.abs(through(scene, tmp_path).splats.means - scene.splats.means[morton_order(scene.splats.means)])
    assert 0.9 * FORMAT.bounds(scene)["means"] < errors.max() <= FORMAT.bounds(scene)["means"] * 1.001


def test_sh_bytes_are_the_nearest_ones() -> None:
    values = np.concatenate([np.linspace(-5, 5, 4001), SH_VALUES]).astype(np.float32)
    slow = np.abs(values[:, None] - SH_VALUES).argmin(axis=1)
    error = np.abs(values - SH_VALUES[sh_bytes(values)])
    np.testing.assert_allclose(error, np.abs(values - SH_VALUES[slow]), atol=1e-6)


def test_a_second_pass_over_one_chunk_adds_no_error(tmp_path: Path) -> None:
    once = through(random_scene(256, 2, 2), tmp_path)
    twice = through(once, tmp_path).splats
    order = morton_order(once.splats.means)
    np.testing.assert_array_equal(twice.sh[:, 1:], once.splats.sh[order, 1:])
    np.testing.assert_allclose(twice.means, once.splats.means[order], atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257])
def test_any_count_survives(count: int, tmp_path: Path) -> None:
    scene = random_scene(count, 1, 3)
    back = through(scene, tmp_path)
    assert len(back) == count
    assert back.splats.sh.shape == scene.splats.sh.shape
    if count:
        assert_within_bounds(scene, back)


def test_identical_gaussians_stay_identical(tmp_path: Path) -> None:
    scene = random_scene(1, 3, 4)
    many = replace(scene, splats=scene.splats.take(np.zeros(300, int)))
    back = through(many, tmp_path).splats
    assert (back.means == scene.splats.means[0]).all()
    assert (back.log_scales == scene.splats.log_scales[0]).all()


def test_comments_model_and_metadata_travel(tmp_path: Path) -> None:
    scene = replace(random_scene(9, 0, 5), model="mip", meta={"comments": ["hello"], "attribution": "somebody"})
    back = through(scene, tmp_path)
    assert back.model == "mip"
    assert back.meta == {"attribution": "somebody", "comments": ["hello", "SplatRenderMode: mip"]}


def test_other_axes_are_turned_and_said(tmp_path: Path) -> None:
    scene = random_scene(300, 1, 6)
    turned = through(scene.in_frame(RUB), tmp_path)
    assert_within_bounds(scene, replace(turned, splats=turned.splats))
    assert any(loss.startswith("axes are turned from RUB") for loss in FORMAT.losses(scene.in_frame(RUB)))


def test_what_is_clamped_or_dropped_is_said(tmp_path: Path) -> None:
    scene = random_scene(300, 1, 7)
    scene.splats.log_scales[:3, 1] = -np.inf, np.inf, -25
    scene.splats.sh[5, 2, 1] = 4.5
    scene.splats.logit_opacities[:2] = np.inf, -np.inf
    scene = replace(scene, splats=replace(scene.splats, extras={"id": np.arange(300)}))
    losses = FORMAT.losses(scene)
    for text in (
        "the Gaussians change their order",
        "3 log scales beyond ±20 are clamped",
        "1 SH coefficients beyond ±4 are clamped",
        "extra columns are dropped: id",
    ):
        assert text in losses
    log = EventLog()
    back = through(scene, tmp_path, log).splats
    assert np.isfinite(back.logit_opacities).all()
    assert np.abs(back.log_scales).max() <= 20
    assert any("opacities of exactly 0 or 1" in text for text in log.warnings)


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    scene = random_scene(3, 0, 8)
    scene.splats.means[1] = np.nan
    assert FORMAT.losses(scene)  # bounds of the rest can be stated all the same
    with pytest.raises(UsageError, match="3 values of means"):
        through(scene, tmp_path)


def test_old_files_without_colour_ranges_mean_0_to_1(tmp_path: Path) -> None:
    path = tmp_path / "old.compressed.ply"
    scene = random_scene(2, 0, 9)
    scene.splats.sh[:] = [[[-1.7724539, 0, 1.7724539]], [[1.7724539, -1.7724539, 0]]]  # 0, 0.5, 1 as colours
    FORMAT.write(scene, path, EventLog())
    new = path.read_bytes()
    head, body = new.split(b"end_header\n", 1)
    lines = [line for line in head.split(b"\n") if line[-5:] not in b"min_r min_g min_b max_r max_g max_b".split()]
    path.write_bytes(b"\n".join(lines) + b"end_header\n" + body[:48] + body[72:])
    expected = FORMAT.read(path, EventLog()).splats.sh[:, 0]
    full = scene.splats.take(morton_order(scene.splats.means)).sh[:, 0]
    extremes = np.abs(full) > 1
    np.testing.assert_allclose(expected[extremes], full[extremes], atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"element chunk 2", b"element chunk 1", "1 chunks are too few for 300"),
        (b"element sh 300", b"element sh 299", "sh must have 300 rows"),
        (b"property uint packed_scale", b"property uint packed_skale", "vertex has no packed_scale"),
        (b"property float min_x", b"property float min_q", "chunk has no min_x"),
        (b"element vertex 300", b"element vertex 99999999999", "has room for"),
    ],
)
def test_files_that_contradict_themselves_are_refused(old: bytes, new: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.compressed.ply"
    FORMAT.write(random_scene(300, 1, 10), path, EventLog())
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(UnreadableError, match=message):
        FORMAT.read(path, EventLog())


def test_it_is_told_from_a_plain_ply(tmp_path: Path) -> None:
    packed = (FIXTURES / "fruit.compressed.ply").read_bytes()
    assert FORMAT.sniff(tmp_path / "renamed.ply", packed)
    assert not FORMAT.sniff(tmp_path / "a.compressed.ply", (FIXTURES / "fruit.ply").read_bytes())
    with pytest.raises(UnreadableError, match=r"compressed\.ply"):
        PlyFormat().read(FIXTURES / "fruit.compressed.ply", EventLog())
