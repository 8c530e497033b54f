"""What the user asked for, and what a codec under test has to keep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specimens import FRUIT, blob

from gscompress import formats
from gscompress.bench import worker
from gscompress.bench.peers import PEERS, USUAL, ordered
from gscompress.bench.peers.general import restore, transpose
from gscompress.bench.plan import Cell, CodecSpec, Rules, codec_specs, install_hints, installed, scene_specs
from gscompress.bench.views import Judges, judges_for
from gscompress.cli.main import run
from gscompress.errors import GscompressError, UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.ply import PlyFormat
from gscompress.frame import RDF
from gscompress.viewpoints import generate

SLOW = {"small", "gsply_spz"}  # a minute of tuning; kernels that gsply compiles on first use, seen in tests/peers
HERE = [name for name in ordered() if PEERS.get(name)().version() is not None]


@pytest.mark.parametrize("name", ordered())
def test_rate_points_can_be_asked_for_by_name(name: str) -> None:
    peer = PEERS.get(name)()
    assert peer.name == name
    for degree in (0, 3):
        points = peer.points(degree)
        assert len({point.label for point in points}) == len(points) > 0
        for point in points:
            assert CodecSpec(name, (point.label,)).points(degree) == [point]
    with pytest.raises(UsageError, match="rate point"):
        peer.point("nonsense", 3)


@pytest.mark.parametrize("name", [name for name in HERE if name not in SLOW])
def test_every_codec_that_is_here_brings_a_scene_back(name: str, tmp_path: Path) -> None:
    peer, log = PEERS.get(name)(), EventLog()
    source, target = tmp_path / "a.ply", tmp_path / f"a{peer.suffix}"
    formats.write(blob(300, 1), source)
    peer.encode(source, target, peer.points(1)[-1].options, log)
    back = peer.decode(target, log).in_frame(RDF)
    distance = back.splats.means[:, None] - formats.read(source).splats.means[None]
    assert 100 < len(back) <= 300
    assert np.abs(distance).max(axis=2).min(axis=1).max() < 0.05


def test_our_presets_are_measured_as_the_command_line_runs_them(tmp_path: Path) -> None:
    for preset in ("default", "lossless"):
        quality = {"quality": 60.0} if preset == "default" else {}
        job = {"codec": preset, "source": str(FRUIT), "target": str(tmp_path / "bench.gscz"), "options": quality}
        made = worker.encode(job, EventLog())
        target = tmp_path / f"{preset}.gscz"
        wish = ["--quality", "60"] if quality else []
        assert run(["compress", str(FRUIT), str(target), "--preset", preset, *wish]) == 0
        assert target.read_bytes() == (tmp_path / "bench.gscz").read_bytes()
        assert made["bytes"] == target.stat().st_size


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 50), st.integers(1, 20), st.randoms(use_true_random=False))
def test_transposing_a_ply_can_be_undone(rows: int, stride: int, random) -> None:
    properties = "".join(f"property uchar c{i}\n" for i in range(stride))
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {rows}\n{properties}end_header\n"
    data = header.encode() + random.randbytes(rows * stride)
    assert restore(transpose(data)) == data


def test_a_ply_with_more_than_vertices_is_refused() -> None:
    with pytest.raises(GscompressError, match="more than vertices"):
        transpose(b"ply\nelement vertex 2\nend_header\nabc")
    with pytest.raises(GscompressError, match="binary"):
        transpose(b"ply\r\n")


def test_codecs_by_name_with_and_without_points() -> None:
    assert codec_specs("spz:5/4+8/8, default:q35") == [CodecSpec("spz", ("5/4", "8/8")), CodecSpec("default", ("q35",))]
    assert [spec.name for spec in codec_specs(None)] == list(USUAL)
    assert [spec.name for spec in codec_specs("all")] == ordered()
    assert codec_specs("default:q35")[0].points(3)[0].options == {"quality": 35.0}
    for wrong in ("nosuch", ","):
        with pytest.raises(UsageError, match="choose from"):
            codec_specs(wrong)


def test_what_is_not_installed_is_skipped_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSCOMPRESS_SPLAT_TRANSFORM", "/nowhere")
    log = EventLog()
    assert installed(codec_specs("st_sog,spz"), log) == [CodecSpec("spz")]
    assert "npm install" in log.warnings[0]
    hints = {peer.name: version for peer, version in install_hints()}
    assert hints["st_sog"] is None
    assert "spz" not in hints


def test_scenes_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for path in ("a.ply.xz", "b.sog", "b/a.compressed.ply"):
        (tmp_path / path).touch()
    a, b = tmp_path / "a.ply.xz", tmp_path / "b.sog"
    one, two = scene_specs([a, b], cameras=[f"b={a}"])
    assert (one.name, one.cameras, two.name, two.cameras) == ("a", None, "b", a)
    assert scene_specs([a], cameras=[str(b)])[0].cameras == b
    with pytest.raises(UsageError, match="same file name"):
        scene_specs([a, tmp_path / "b" / "a.compressed.ply"])
    with pytest.raises(UsageError, match="NAME=PATH"):
        scene_specs([a, b], cameras=[str(b)])
    for wrong in ({"paths": [tmp_path / "no.ply"]}, {"paths": [a], "photos": ["a=nowhere"]}):
        with pytest.raises(UnreadableError, match="no such file"):
            scene_specs(**wrong)  # type: ignore[arg-type]


def test_rules_out_of_range_are_refused() -> None:
    for wrong in ({"protocol": "other"}, {"repeat": 0}, {"timeout": 0}):
        with pytest.raises(UsageError):
            Rules(**wrong)  # type: ignore[arg-type]


def test_a_cell_has_a_folder_of_its_own() -> None:
    scene = scene_specs([FRUIT])[0]
    folders = {Cell(scene, name, point).folder for name in ordered() for point in PEERS.get(name)().points(3)}
    assert len(folders) == sum(len(PEERS.get(name)().points(3)) for name in ordered())
    assert all(len(folder.parts) == 3 and ".." not in folder.parts for folder in folders)


def test_judges_are_views_that_no_encoder_sees_and_survive_the_disk(tmp_path: Path) -> None:
    scene = PlyFormat().read(FRUIT, EventLog()).in_frame(RDF)
    judges = judges_for(scene, None, None, Rules(views=3, size=(48, 36)), EventLog())
    used = {camera.w2c.tobytes() for camera in generate(scene, 24)}
    assert not used & {camera.w2c.tobytes() for camera in judges.cameras}
    digest = judges.save(tmp_path)
    again = Judges.load(tmp_path)
    assert again.save(tmp_path) == digest
    for old, new in zip(judges.pictures, again.pictures, strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(UsageError, match="--data"):
        judges_for(scene, None, None, Rules("photos"), EventLog())


def test_of_a_camera_file_only_the_test_views_judge(tmp_path: Path) -> None:
    scene = PlyFormat().read(FRUIT, EventLog()).in_frame(RDF)
    entries = [
        {
            "name": f"{number}",
            "R": camera.w2c[:3, :3].tolist(),
            "t": camera.w2c[:3, 3].tolist(),
            **{key: getattr(camera, key) for key in ("fx", "fy", "cx", "cy")},
            "W": camera.width,
            "H": camera.height,
            "split": "test" if number == 1 else "train",
        }
        for number, camera in enumerate(generate(scene, 3, 48))
    ]
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"cameras": entries}))
    assert [camera.name for camera in judges_for(scene, path, None, Rules(), EventLog()).cameras] == ["1"]
