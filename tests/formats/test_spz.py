"""Laws of SPZ: files of the reference read right, errors stay inside the stated bounds, nothing wraps around."""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from closeness import axis_angles
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_strategies import degrees_between, opacity, random_scene, scenes

from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.ply import PlyFormat
from gscompress.formats.spz import SpzFormat
from gscompress.formats.spz_container import AXES
from gscompress.frame import RDF, RUB, Frame
from gscompress.scene import Scene

FIXTURES = Path(__file__).parent.parent / "fixtures"


def read(path: Path, log: EventLog | None = None) -> Scene:
    return SpzFormat().read(path, log or EventLog())


def through(scene: Scene, path: Path, fmt: SpzFormat | None = None) -> Scene:
    (fmt or SpzFormat()).write(scene, path, EventLog())
    return read(path)


def old_file(path: Path, header: tuple[int, int, int, int, int], body: bytes) -> Path:
    path.write_bytes(gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", *header, 0) + body))
    return path


def assert_within_bounds(fmt: SpzFormat, before: Scene, after: Scene) -> None:
    """Inside the format's range; what lies outside must be as near as the range allows."""
    bound = fmt.bounds(before)
    a, b = before.splats, after.in_frame(before.frame).splats
    reach = (2**23 - 1) * 2 * bound["means"]
    rounding = 1e-6 * np.abs(a.means).max(initial=0)
    assert np.abs(np.clip(a.means, -reach, reach) - b.means).max(initial=0) <= bound["means"] + rounding
    assert np.abs(np.clip(a.log_scales, -10, 5.9375) - b.log_scales).max(initial=0) <= bound["log_scales"] + 1e-6
    assert degrees_between(a.quats, b.quats).max(initial=0) <= bound["quats"]
    assert np.abs(opacity(a.logit_opacities) - opacity(b.logit_opacities)).max(initial=0) <= bound["opacities"] + 1e-6
    dc = np.clip(a.sh[:, 0], -0.5 / 0.15, 0.5 / 0.15)
    assert np.abs(dc - b.sh[:, 0]).max(initial=0) <= bound["dc"] + 1e-5
    turned = before.in_frame(RUB).splats.sh, after.splats.sh
    for name, columns in (("sh1", slice(1, 4)), ("sh2", slice(4, 16))):
        inside = [np.clip(sh[:, columns], -1, 127 / 128) for sh in turned]
        assert np.abs(inside[0] - inside[1]).max(initial=0) <= bound[name] + 1e-6


@pytest.mark.parametrize("version", [3, 4])
def test_files_of_the_reference_writer_hold_the_scene(version: int) -> None:
    """splat-transform wraps Niantic's own library, which turns RDF into RUB."""
    scene = read(FIXTURES / f"fruit.v{version}.spz")
    source = PlyFormat().read(FIXTURES / "fruit.ply", EventLog())
    assert scene.frame == RUB
    assert scene.meta["spz_version"] == version
    bound = SpzFormat(fractional_bits=12).bounds(source)
    turned = scene.in_frame(RDF).splats
    assert np.abs(turned.means - source.splats.means).max() <= bound["means"] + 1e-6
    assert np.abs(turned.log_scales - np.clip(source.splats.log_scales, -10, 6)).max() <= bound["log_scales"] + 1e-6
    assert axis_angles(turned, source.splats).max() <= bound["quats"]
    assert np.abs(opacity(turned.logit_opacities) - opacity(source.splats.logit_opacities)).max() <= 0.5 / 255 + 1e-6
    # The library rounds to 8 bits first and then to the bucket: half an 8-bit step more than ours.
    assert np.abs(turned.sh[:, 1:4] - source.splats.sh[:, 1:4]).max() <= bound["sh1"] + 0.5 / 128
    assert np.abs(turned.sh[:, 4:] - source.splats.sh[:, 4:]).max() <= bound["sh2"] + 0.5 / 128


@pytest.mark.parametrize("name", ["minimal-v2.spz", "minimal-raw.spz"])
def test_version_2_gzipped_or_not(name: str) -> None:
    scene = read(FIXTURES / name)
    assert scene.meta["spz_version"] == 2
    np.testing.assert_array_equal(scene.splats.means, [[-1, 0, -1], [0, 0, -1], [-1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(scene.splats.log_scales, np.full((4, 3), -2.3125))
    np.testing.assert_allclose(scene.splats.quats[0], [1, 1 / 255, 1 / 255, 1 / 255], atol=1e-4)


def test_version_1_has_half_float_positions(tmp_path: Path) -> None:
    means = np.array([[1.5, -2, 0.25], [np.inf, 100, 0]], "<f2")
    body = (
        means.tobytes() + bytes([0, 255]) + bytes([255, 0, 51] * 2) + bytes([0, 160, 255] * 2) + bytes([255, 0, 0] * 2)
    )
    log = EventLog()
    scene = read(old_file(tmp_path / "a.spz", (1, 2, 0, 12, 0), body), log)
    np.testing.assert_array_equal(scene.splats.means, [[1.5, -2, 0.25], [0, 100, 0]])
    np.testing.assert_array_equal(scene.splats.log_scales[0], [-10, 0, 5.9375])
    np.testing.assert_allclose(scene.splats.sh[0, 0], [0.5 / 0.15, -0.5 / 0.15, -0.3 / 0.15], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(scene.splats.quats, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(opacity(scene.splats.logit_opacities), [0.25 / 255, 254.75 / 255], rtol=1e-4)
    assert "2 opacities" in log.warnings[0]


def test_every_smallest_three_word_decodes_as_the_specification_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**32, 300, np.uint32)
    words[:4] = np.arange(4, dtype=np.uint32) << 30
    body = bytes(9 * 300) + bytes(300) + bytes(3 * 300) + bytes(3 * 300) + words.astype("<u4").tobytes()
    quats = read(old_file(tmp_path / "a.spz", (3, 300, 0, 12, 0), body)).splats.quats
    for word, quat in zip(words.tolist(), quats, strict=True):
        xyzw, rest = [0.0] * 4, word
        for index in (3, 2, 1, 0):
            if index != word >> 30:
                xyzw[index] = math.sqrt(0.5) * (rest & 511) / 511 * (-1 if rest & 512 else 1)
                rest >>= 10
        squares = sum(x * x for x in xyzw)
        xyzw[word >> 30] = math.sqrt(max(0, 1 - squares))
        expected = np.array(xyzw) / max(1, math.sqrt(squares))
        np.testing.assert_allclose(quat[[1, 2, 3, 0]], expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(scenes(200), st.sampled_from([3, 4]), st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_errors_stay_within_the_stated_bounds(
    tmp_path_factory: pytest.TempPathFactory, scene: Scene, version: int, sh_bits: tuple[int, int]
) -> None:
    fmt = SpzFormat(version=version, sh_bits=sh_bits)  # type: ignore[arg-type]
    after = through(scene, tmp_path_factory.mktemp("spz") / "a.spz", fmt)
    assert (after.frame, len(after), after.splats.sh_degree) == (RUB, len(scene), scene.splats.sh_degree)
    assert after.model == ("mip" if scene.model == "mip" else "3dgs")
    assert_within_bounds(fmt, scene, after)


@pytest.mark.parametrize("version", [3, 4])
def test_writing_again_changes_nothing(version: int, tmp_path: Path) -> None:
    fmt = SpzFormat(version=version, fractional_bits=12)  # type: ignore[arg-type]
    once = through(random_scene(300, 3, 0), tmp_path / "a.spz", fmt)
    again = through(once, tmp_path / "b.spz", fmt)
    for name in ("means", "log_scales", "logit_opacities", "sh"):
        np.testing.assert_array_equal(getattr(again.splats, name), getattr(once.splats, name))
    # A quaternion whose two largest components tie may be stored without the other one the second time.
    moved = degrees_between(again.splats.quats, once.splats.quats)
    assert moved.max() <= fmt.bounds(once)["quats"]
    assert (moved > 0.01).mean() < 0.02


@pytest.mark.parametrize("reach", [1e-3, 3.0, 2047.0, 2049.0, 5e4, 1e6])
def test_positions_never_wrap_around(reach: float, tmp_path: Path) -> None:
    scene = random_scene(50, 0, 4)
    means = scene.splats.means / np.abs(scene.splats.means).max() * np.float32(reach)
    scene = replace(scene, splats=replace(scene.splats, means=means))
    after = through(scene, tmp_path / "a.spz").in_frame(RDF)
    bound = SpzFormat().bounds(scene)["means"]
    assert bound < reach / 1e6 or bound <= 2**-13
    assert np.abs(after.splats.means - means).max() <= bound + 1e-6 * reach


def test_a_fixed_step_clamps_and_says_so(tmp_path: Path) -> None:
    scene = random_scene(20, 0, 4)
    scene = replace(scene, splats=replace(scene.splats, means=np.full((20, 3), 3000, np.float32)))
    fmt = SpzFormat(fractional_bits=12)
    assert any("60 positions beyond ±2048" in loss for loss in fmt.losses(scene))
    after = through(scene, tmp_path / "a.spz", fmt).in_frame(RDF)
    np.testing.assert_allclose(after.splats.means, 2048, atol=1e-3)


def test_small_gaussians_get_a_finer_step() -> None:
    scene = random_scene(100, 0, 0)
    tiny = replace(scene, splats=replace(scene.splats, log_scales=scene.splats.log_scales - 5))
    assert SpzFormat().bounds(scene)["means"] == 2**-13
    step = 2 * SpzFormat().bounds(tiny)["means"]
    assert step <= np.exp(np.median(tiny.splats.log_scales.mean(axis=1))) / 4 < 2**-12


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("axes", ["RDF", "LUF", "RFU", "LBD"])
def test_other_axes_are_recorded_and_read_back(version: int, axes: str, tmp_path: Path) -> None:
    scene = random_scene(30, 2, 0)
    after = through(scene, tmp_path / "a.spz", SpzFormat(version=version, axes=axes))  # type: ignore[arg-type]
    assert after.frame == Frame(axes)
    plain = through(scene, tmp_path / "b.spz").in_frame(RDF)
    np.testing.assert_allclose(after.in_frame(RDF).splats.means, plain.splats.means, atol=1e-6)
    assert degrees_between(after.in_frame(RDF).splats.quats, scene.splats.quats).max() < 0.3
    header = (tmp_path / "a.spz").read_bytes()
    raw = gzip.decompress(header)[-12:] if version == 3 else header[32:44]
    assert struct.unpack("<III", raw) == (0xADBE0003, 4, AXES.index(axes) + 1)


def test_unknown_extensions_are_skipped(tmp_path: Path) -> None:
    SpzFormat(version=3, axes="RDF").write(random_scene(3, 1, 0), tmp_path / "a.spz", EventLog())
    body = gzip.decompress((tmp_path / "a.spz").read_bytes())
    cut = len(body) - 12
    (tmp_path / "b.spz").write_bytes(
        gzip.compress(body[:cut] + struct.pack("<II4s", 0x12340001, 4, b"abcd") + body[cut:])
    )
    assert read(tmp_path / "b.spz").frame == RDF


def test_degree_4_is_cut_with_a_warning(tmp_path: Path) -> None:
    sh = np.arange(72, dtype=np.uint8) + 100
    body = bytes(9) + bytes([128]) + bytes(3) + bytes(3) + bytes(4) + sh.tobytes()
    log = EventLog()
    scene = read(old_file(tmp_path / "a.spz", (3, 1, 4, 12, 0), body), log)
    assert "degree 4" in log.warnings[0]
    np.testing.assert_array_equal(scene.splats.sh[0, 1:], (sh[:45].reshape(15, 3).astype(np.float32) - 128) / 128)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_gaussian(version: int, count: int, tmp_path: Path) -> None:
    fmt = SpzFormat(version=version)  # type: ignore[arg-type]
    assert len(through(random_scene(count, 3, 0), tmp_path / "a.spz", fmt)) == count


def test_losses_name_what_is_given_up() -> None:
    scene = random_scene(40, 1, 0)
    splats = replace(scene.splats, extras={"label": np.zeros(40)}, sh=scene.splats.sh + np.float32(2))
    losses = " ".join(SpzFormat().losses(replace(scene, splats=splats, model="2dgs")))
    for word in ("label", "2DGS", "SH coefficients outside", "positions ±"):
        assert word in losses


@pytest.mark.parametrize("name", ["means", "log_scales", "quats", "logit_opacities", "sh"])
def test_what_is_no_number_is_refused(name: str, tmp_path: Path) -> None:
    scene = random_scene(4, 1, 0)
    array = getattr(scene.splats, name).copy()
    array.flat[0] = np.nan
    with pytest.raises(UsageError, match=name):
        SpzFormat().write(replace(scene, splats=replace(scene.splats, **{name: array})), tmp_path / "a.spz", EventLog())


@pytest.mark.parametrize(
    "options",
    [{"version": 2}, {"sh_bits": (0, 4)}, {"sh_bits": (5,)}, {"fractional_bits": 24}, {"axes": "XYZ"}, {"level": 0}],
)
def test_nonsense_options_are_refused(options: dict) -> None:
    with pytest.raises(UsageError, match="spz:"):
        SpzFormat(**options)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ((4, 9), "version 9"),
        ((12, 5), "SH degree 5"),
        ((13, 40), "fractional"),
        ((15, 3), "table of 3"),
        ((8, 5), "positions has 36 bytes"),
    ],
)
def test_errors_say_what_is_wrong(patch: tuple[int, int], message: str, tmp_path: Path) -> None:
    SpzFormat().write(random_scene(4, 1, 0), tmp_path / "a.spz", EventLog())
    data = bytearray((tmp_path / "a.spz").read_bytes())
    data[patch[0]] = patch[1]
    (tmp_path / "a.spz").write_bytes(data)
    with pytest.raises(UnreadableError, match=message):
        read(tmp_path / "a.spz")
