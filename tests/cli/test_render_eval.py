"""render and eval: what they write, what they measure, and how they refuse."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from specimens import FRUIT, blob

from gscompress import formats
from gscompress.camera import Camera, look_at
from gscompress.cli.cameras import choose, file_names, parse_colour, parse_pixels, refit
from gscompress.cli.eval import evaluate
from gscompress.cli.render import render
from gscompress.cli.report import Run, report_compression, write_report
from gscompress.comparison import Score, average, compare
from gscompress.errors import GscompressError, MissingExtraError, OutputExistsError, UnreadableError, UsageError
from gscompress.frame import RUB
from gscompress.ledger import Entry, Ledger
from gscompress.pictures import error_levels, error_map, full_scale, side_by_side
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene

SMALL = "64x48"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A scene and a slightly damaged copy of it, in other axes and another format."""
    folder = tmp_path_factory.mktemp("pair")
    scene = blob(300, 1)
    formats.write(scene, folder / "a.ply")
    worse = replace(scene, splats=replace(scene.splats, sh=scene.splats.sh + np.float32(0.02)))
    formats.write(worse.in_frame(RUB), folder / "b.npz")
    return folder / "a.ply", folder / "b.npz"


def cameras_file(
    folder: Path, eye: tuple[float, float, float] = (0, 0, -6), target: tuple[float, ...] = (0, 0, 0)
) -> Path:
    w2c = look_at(np.array(eye, float), np.array(target, float), np.array([0, -1.0, 0]))
    entries = [
        {"name": name, "R": w2c[:3, :3].tolist(), "t": w2c[:3, 3].tolist(), "fx": 60, "fy": 60, "W": 64, "H": 48}
        for name in ("in/a.jpg", "../b.jpg")
    ]
    path = folder / "cameras.json"
    path.write_text(json.dumps({"cameras": entries}))
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture, np.int16)


def result(capsys: pytest.CaptureFixture[str], verb: Callable[..., None], *args: Any, **options: Any) -> Any:
    verb(*args, as_json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_both_verbs_fit_the_command_line() -> None:
    app = typer.Typer()
    app.command("render")(render)
    app.command("eval")(evaluate)
    assert set(typer.main.get_command(app).commands) == {"render", "eval"}  # type: ignore[attr-defined]


def test_render_writes_a_folder_of_pictures(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = result(capsys, render, pair[0], tmp_path / "out", cameras="orbit:3", size=SMALL)
    assert facts["views"] == 3
    for name in facts["files"]:
        picture = pixels(tmp_path / "out" / name)
        assert picture.shape == (48, 64, 3)
        assert picture.max() > 30


def test_render_takes_file_cameras_and_keeps_their_names_out_of_trouble(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = result(capsys, render, pair[0], tmp_path / "out", cameras=str(cameras_file(tmp_path)))
    assert facts["files"] == ["000-a.png", "001-b.png"]


def test_the_same_scene_in_other_axes_gives_the_same_picture(pair: tuple[Path, Path], tmp_path: Path) -> None:
    scene = formats.read(pair[0])
    formats.write(scene.in_frame(RUB), tmp_path / "turned.npz")
    cameras = str(cameras_file(tmp_path))
    render(pair[0], tmp_path / "one", cameras=cameras)
    render(tmp_path / "turned.npz", tmp_path / "two", cameras=cameras)
    one, two = (pixels(tmp_path / name / "000-a.png") for name in ("one", "two"))
    assert np.abs(one - two).max() <= 1


def test_render_writes_one_picture_or_a_film(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    render(pair[0], tmp_path / "one.png", cameras="orbit:1", size=SMALL)
    assert pixels(tmp_path / "one.png").shape == (48, 64, 3)
    with pytest.raises(UsageError, match="one picture, there are 2 cameras"):
        render(pair[0], tmp_path / "two.png", cameras="orbit:2", size=SMALL)
    pytest.importorskip("imageio_ffmpeg")
    render(pair[0], tmp_path / "film.mp4", cameras="orbit:3", size="65x49")
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"
    assert "64x48" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.mp4", "one.png"]


def test_a_film_without_its_extra_names_it(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingExtraError, match=r"gscompress\[render\]"):
        render(pair[0], tmp_path / "film.mp4")


def test_a_scene_behind_the_cameras_is_an_error_and_leaves_nothing(pair: tuple[Path, Path], tmp_path: Path) -> None:
    cameras = str(cameras_file(tmp_path, eye=(0, 0, -60), target=(0, 0, -100)))
    with pytest.raises(UsageError, match="none of the 2 cameras sees the scene"):
        render(pair[0], tmp_path / "out", cameras=cameras)
    with pytest.raises(UsageError, match="none of the 2 cameras sees the scene"):
        evaluate(pair[1], pair[0], cameras=cameras)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cameras": "nothing.json"}, UnreadableError, "nothing.json: no such camera file, and not one of orbit:24"),
        ({"cameras": "orbit:0"}, UsageError, "0 views"),
        ({"size": "big"}, UsageError, "'big' is no picture size"),
        ({"size": "960x0"}, UsageError, "no picture size"),
        ({"background": "pinkish"}, UsageError, "no colour"),
        ({"renderer": "crayon"}, UsageError, "unknown renderer 'crayon'"),
        ({"out": "there.png"}, OutputExistsError, "--force"),
        ({"out": "no/folder/x.png"}, UsageError, "not a folder"),
    ],
)
def test_render_refuses_in_one_line(
    options: dict[str, str],
    error: type[GscompressError],
    message: str,
    pair: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "there.png").write_bytes(b"mine")
    out = tmp_path / options.pop("out", "out")
    with pytest.raises(error, match=message):
        render(pair[0], out, **options)  # type: ignore[arg-type]
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_eval_measures_the_same_scene_as_identical(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    facts = result(capsys, evaluate, pair[0], pair[0], cameras="auto:2", size=SMALL)
    assert facts["identical"]
    assert facts["psnr"] is None
    assert facts["ssim"] == pytest.approx(1)
    evaluate(pair[0], pair[0], cameras="auto:2", size=SMALL)
    assert "identical" in capsys.readouterr().out


def test_eval_reports_mean_and_worst_and_draws_the_worst(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "worst.png"
    facts = result(capsys, evaluate, pair[1], pair[0], cameras="auto:4", size=SMALL, picture=picture)
    values = [view["psnr"] for view in facts["views"]]
    assert len(values) == 4
    assert facts["psnr"] == pytest.approx(np.mean(values))
    assert facts["worst"]["psnr"] == min(values)
    assert 30 < facts["psnr"] < 60
    assert pixels(picture).shape[1] == 3 * 64 + 40
    evaluate(pair[1], pair[0], cameras="auto:4", size=SMALL)
    assert f"{facts['psnr']:.2f}" in capsys.readouterr().out


def test_eval_with_photos_reports_the_drop(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cameras = cameras_file(tmp_path)
    data = json.loads(cameras.read_text())
    data["cameras"] = [{**data["cameras"][0], "name": f"{k}.png"} for k in range(3)]
    cameras.write_text(json.dumps(data))
    render(pair[0], tmp_path / "images", cameras=str(cameras))
    for k in range(3):
        (tmp_path / "images" / f"{k:03d}-{k}.png").rename(tmp_path / "images" / f"{k}.png")
    capsys.readouterr()
    facts = result(capsys, evaluate, pair[1], pair[0], data=tmp_path)
    assert [view["view"] for view in facts["views"]] == ["0.png"]
    assert facts["photos"]["reference"]["identical"]
    assert facts["photos"]["decoded"]["psnr"] == pytest.approx(facts["psnr"])
    small = result(capsys, evaluate, pair[1], pair[0], data=tmp_path, size="32x24")
    assert small["photos"]["psnr_drop"] == pytest.approx(
        small["photos"]["reference"]["psnr"] - small["photos"]["decoded"]["psnr"]
    )
    evaluate(pair[1], pair[0], data=tmp_path, size="32x24")
    assert "drop" in capsys.readouterr().out
    with pytest.raises(UsageError, match="leave out --cameras"):
        evaluate(pair[1], pair[0], data=tmp_path, cameras="auto:2")


def test_eval_refuses_a_picture_of_another_type_before_any_work(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"writes a \.png"):
        evaluate(tmp_path / "missing.ply", pair[0], picture=tmp_path / "x.jpg")
    (tmp_path / "x.png").touch()
    with pytest.raises(OutputExistsError):
        evaluate(tmp_path / "missing.ply", pair[0], picture=tmp_path / "x.png")


def test_cameras_that_see_nothing_are_left_out_with_a_warning() -> None:
    scene = blob(50, 0)
    there = look_at(np.array([0, 0, -6.0]), np.zeros(3), np.array([0, -1.0, 0]))
    away = look_at(np.array([0, 0, -60.0]), np.array([0, 0, -99.0]), np.array([0, -1.0, 0]))
    cameras = [Camera(32, 24, 30, 30, 16, 12, w2c, name) for w2c, name in ((there, "there"), (away, "away"))]
    from gscompress.events import EventLog

    log = EventLog()
    comparison = compare(scene, scene, cameras, CpuRenderer(1), log=log)
    assert [view.camera.name for view in comparison.views] == ["there"]
    assert "1 of 2 cameras see nothing" in log.warnings[0]


def test_identical_views_do_not_hide_the_loss_of_others() -> None:
    mean = average([Score(float("inf"), 1.0), Score(30.0, 0.9), Score(40.0, 0.95)])
    assert mean == Score(35.0, pytest.approx(0.95), None)


def test_another_shape_of_picture_keeps_pixels_square() -> None:
    camera = Camera(64, 48, 60, 61, 30, 25, np.eye(4))
    wide = refit(camera, 128, 64)
    assert wide.fx / wide.fy == pytest.approx(camera.fx / camera.fy)
    assert wide.height / wide.fy == pytest.approx(camera.height / camera.fy)
    assert wide.cy / 64 == pytest.approx(25 / 48)


def test_sizes_colours_and_names() -> None:
    assert parse_pixels("960x540") == (960, 540)
    assert parse_pixels(None) is None
    assert parse_colour("#ff0080") == (1, 0, pytest.approx(128 / 255))
    cameras = [Camera(8, 8, 8, 8, 4, 4, np.eye(4), name) for name in ("", "a/../..", "ä ö.jpg", "x" * 300)]
    names = file_names(cameras)
    assert names[0] == "000.png"
    assert len(set(names)) == 4
    assert all("/" not in name and len(name) < 100 for name in names)


def test_choose_prefers_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cameras_file(tmp_path).rename(tmp_path / "auto")
    assert [camera.name for camera in choose(blob(20), "auto", None)] == ["in/a.jpg", "../b.jpg"]


def test_the_error_map_gets_lighter_with_the_error() -> None:
    levels = np.arange(0, 41, 5, dtype=np.uint8)[None]
    light = error_map(levels, 40).sum(axis=2)[0]
    assert (np.diff(light.astype(int)) > 0).all()
    black, grey = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 9, np.uint8)
    assert (error_levels(black, grey) == 9).all()
    assert full_scale(error_levels(black, black)) == 8
    assert side_by_side(black, grey, ("a" * 99, "b")).size == (3 * 30 + 40, 20 + 42)


def test_the_report_is_one_page_with_everything_in_it(tmp_path: Path) -> None:
    scene = blob(100, 0)
    worse = replace(scene, splats=replace(scene.splats, sh=scene.splats.sh + np.float32(0.05)))
    renderer = CpuRenderer(1)
    comparison = compare(scene, worse, choose(scene, "auto:3", (48, 36)), renderer)
    ledger = Ledger((Entry("means", 0, 300), Entry("<sh>", 0, 100)), 100)
    settings = {"codec": {"name": "x", "steps": [{"a": 1}]}, "empty": {}}
    run = Run("<a>.ply", "b.gscz", 4000, 400, 1.25, ledger, settings, ["mind <this>"])
    write_report(tmp_path / "r.html", run, scene, worse, comparison, renderer)
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("data:image/webp;base64,") == 9
    for part in ("&lt;a&gt;.ply", "10.0×", "4.00", "Worst view", "&lt;sh&gt;", "75.0 %", "codec.steps.0.a", "1.2 s"):
        assert part in page, part
    assert "<this>" not in page
    assert "http://" not in page
    assert "https://" not in page
    with pytest.raises(OutputExistsError):
        write_report(tmp_path / "r.html", run, scene, worse, comparison, renderer)


def test_a_compression_run_is_reported(tmp_path: Path) -> None:
    from gscompress import api

    scene = formats.read(FRUIT)
    api.compress_to_file(scene, tmp_path / "f.gscz", "lossless")
    comparison = report_compression(tmp_path / "r.html", FRUIT, tmp_path / "f.gscz", scene, seconds=0.5)
    assert comparison.mean.psnr == float("inf")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "Every view is identical" in page
    assert "Where the bytes went" in page


def test_an_empty_scene_is_refused(tmp_path: Path) -> None:
    formats.write(Scene(blob(0).splats), tmp_path / "empty.npz")
    with pytest.raises(UsageError, match="no visible Gaussian"):
        render(tmp_path / "empty.npz", tmp_path / "out")
