"""Laws of .splat: positions are exact, bytes stay within their bounds, and what is lost is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from scene_strategies import degrees_between, opacity, random_scene, scenes

from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.splat import ROW, SplatFormat
from gscompress.frame import RUB
from gscompress.scene import Scene
from gscompress.sh import C0

FORMAT = SplatFormat()


def through(scene: Scene, folder: Path, log: EventLog | None = None) -> Scene:
    path = folder / "a.splat"
    FORMAT.write(scene, path, EventLog())
    return FORMAT.read(path, log or EventLog())


@settings(max_examples=40, deadline=None)
@given(scenes(300))
def test_errors_stay_within_the_stated_bounds(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> None:
    one, two, bound = scene.splats, through(scene, tmp_path_factory.mktemp("s")).splats, FORMAT.bounds(scene)
    np.testing.assert_array_equal(one.means, two.means)
    assert np.abs(one.log_scales - two.log_scales).max() <= bound["log_scales"]
    assert degrees_between(one.quats, two.quats).max() <= bound["quats"]
    assert np.abs(opacity(one.logit_opacities) - opacity(two.logit_opacities)).max() <= bound["opacities"] + 1e-7
    inside = np.clip(one.sh[:, 0], -0.5 / C0, 0.5 / C0)
    assert np.abs(inside - two.sh[:, 0]).max() <= bound["dc"] + 1e-6
    assert two.sh_degree == 0


def test_a_second_pass_changes_only_scales_by_an_ulp(tmp_path: Path) -> None:
    once = through(random_scene(500, 0, 1), tmp_path)
    twice = through(once, tmp_path).splats
    for name in ("means", "sh", "logit_opacities"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(once.splats, name))
    np.testing.assert_allclose(twice.log_scales, once.splats.log_scales, atol=3e-6)


def test_axis_aligned_rotations_are_exact(tmp_path: Path) -> None:
    scene = random_scene(8, 0, 2)
    scene.splats.quats[:] = np.concatenate([np.eye(4), -np.eye(4)])
    back = through(scene, tmp_path).splats.quats
    assert degrees_between(scene.splats.quats, back).max() == 0
    stored = np.fromfile(tmp_path / "a.splat", ROW)["quats"]  # not every viewer normalises: the length must be right
    assert (np.linalg.norm((stored.astype(float) - 128) / 128, axis=1) == 1).all()


def test_a_row_is_32_bytes_in_the_documented_order(tmp_path: Path) -> None:
    row = np.zeros(1, ROW)
    row["means"], row["scales"], row["rgba"], row["quats"] = (
        (1, 2, 3),
        (1, 0.5, 2),
        (0, 51, 255, 51),
        (128, 0, 128, 128),
    )
    path = tmp_path / "a.splat"
    path.write_bytes(row.tobytes())
    assert path.stat().st_size == 32
    splats = FORMAT.read(path, EventLog()).splats
    np.testing.assert_allclose(splats.log_scales[0], np.log([1, 0.5, 2]), atol=1e-6)
    np.testing.assert_allclose(splats.sh[0, 0] * C0 + 0.5, [0, 0.2, 1], atol=1e-6)
    np.testing.assert_allclose(opacity(splats.logit_opacities), 0.2, atol=1e-6)
    np.testing.assert_array_equal(splats.quats[0], [0, -1, 0, 0])


def test_scales_without_a_logarithm_are_cleaned_and_said(tmp_path: Path) -> None:
    rows = np.zeros(4, ROW)
    rows["scales"] = [[0, 1, 1], [-1, 1, 1], [np.nan, 1, 1], [1, 1, 1]]
    path = tmp_path / "a.splat"
    path.write_bytes(rows.tobytes())
    log = EventLog()
    splats = FORMAT.read(path, log).splats
    assert splats.log_scales[:, 0].tolist() == [-20, -20, -20, 0]
    assert any("3 scales that are zero" in text for text in log.warnings)
    assert any("4 opacities of exactly 0 or 1" in text for text in log.warnings)
    assert np.isfinite(splats.logit_opacities).all()
    assert (np.linalg.norm(splats.quats, axis=1) > 0).all()


def test_everything_that_is_lost_is_said() -> None:
    scene = random_scene(5, 2, 3)
    scene.splats.sh[:, 0] = 0
    scene.splats.sh[2, 0, 1] = 9
    scene.splats.log_scales[:] = -3
    scene.splats.log_scales[1, 1] = -30
    scene = replace(
        scene, splats=replace(scene.splats, extras={"id": np.arange(5)}), model="mip", meta={"author": "me"}
    )
    assert FORMAT.losses(scene.in_frame(RUB))[1:] == [
        "the colours of 1 Gaussians that lie outside 0 to 1 are clamped",
        "1 log scales below -20 are clamped",
        "spherical harmonics of degree 1 to 2 are dropped",
        "the model tag 'mip' is dropped",
        "axes are turned from RUB to RDF, which every program expects",
        "extra columns are dropped: id",
        "metadata is dropped: author",
    ]
    assert len(FORMAT.losses(replace(random_scene(5, 0, 3)))) <= 2


@pytest.mark.parametrize("size", [1, 31, 33, 63])
def test_sizes_that_are_no_whole_rows_are_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.splat"
    path.write_bytes(bytes(size))
    with pytest.raises(UnreadableError, match="32-byte rows"):
        FORMAT.read(path, EventLog())


def test_an_empty_scene_and_nans_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty scene"):
        through(random_scene(0, 0, 0), tmp_path)
    scene = random_scene(2, 0, 0)
    scene.splats.quats[1, 1] = np.nan
    with pytest.raises(UsageError, match="1 values of quats"):
        through(scene, tmp_path)
