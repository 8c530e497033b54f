"""Data sets as the survey 3DGS.zip knows them: found on disk, judged by its rules, written as it takes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import worlds
from PIL import Image
from specimens import blob

from gscompress import formats
from gscompress.bench import standard, survey, tables, worker
from gscompress.bench.plan import Rules, scene_specs
from gscompress.bench.results import SceneResults
from gscompress.bench.views import Judges
from gscompress.errors import UnreadableError
from gscompress.events import EventLog

RULES = Rules("3dgs-zip")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The folders that people have: 360_v2, tandt_db and nerf_synthetic, three views each."""
    for folder in ("360_v2/garden", "360_v2/room", "tandt_db/tandt/train", "tandt_db/db/playroom"):
        worlds.write_colmap_binary(tmp_path / folder / "sparse" / "0")
        worlds.photos(tmp_path / folder / "images")
    lego = tmp_path / "nerf_synthetic" / "lego"
    worlds.photos(lego / "train", "RGBA")
    worlds.photos(lego / "test", "RGBA")
    for split in ("train", "test"):
        frames = [
            {"file_path": f"./{split}/{name[0]}", "transform_matrix": (np.linalg.inv(w2c) @ worlds.GL).tolist()}
            for name, w2c in zip(worlds.NAMES, worlds.poses(), strict=True)
        ]
        path = lego / f"transforms_{split}.json"
        path.write_text(json.dumps({"camera_angle_x": 1.0, "frames": frames}))
    return tmp_path


def trained(folder: Path, scene: str, seed: int = 0) -> Path:
    """A model where the 3DGS trainer leaves it."""
    path = folder / scene / "point_cloud" / "iteration_30000" / "point_cloud.ply"
    path.parent.mkdir(parents=True)
    formats.write(blob(300, 1, seed), path)
    return path


def test_scenes_are_named_after_their_models_and_find_their_photos(disk: Path, tmp_path: Path) -> None:
    names = ("garden", "train", "playroom", "lego")
    specs = scene_specs([trained(tmp_path / "models", name) for name in names], photos=[str(disk)])
    assert {spec.name: spec.photos and spec.photos.relative_to(disk).as_posix() for spec in specs} == {
        "garden": "360_v2/garden",
        "train": "tandt_db/tandt/train",  # and not nerf_synthetic/lego/train, which holds no cameras
        "playroom": "tandt_db/db/playroom",
        "lego": "nerf_synthetic/lego",
    }
    assert standard.set_of("train") == "TanksAndTemples"
    with pytest.raises(UnreadableError, match="'bonsai'"):
        scene_specs([trained(tmp_path / "models", name) for name in ("bonsai", "room")], photos=[str(disk)])
    (one,) = scene_specs([tmp_path / "models/garden/point_cloud/iteration_30000/point_cloud.ply"], photos=[str(disk)])
    assert one.photos == disk / "360_v2" / "garden"


def test_every_eighth_photo_judges_and_synthetic_scenes_their_test_split_on_white(disk: Path) -> None:
    log = EventLog()
    garden = standard.held_out(disk / "360_v2" / "garden", log)
    assert [view.name for view in garden] == ["a.png"]
    lego = standard.held_out(disk / "nerf_synthetic" / "lego", log)
    assert len(lego) == 3
    assert standard.background(disk / "nerf_synthetic" / "lego") == standard.WHITE
    assert lego[0].image.min() == 255  # fully transparent photos
    assert standard.background(disk / "360_v2" / "garden") == standard.BLACK
    assert log.warnings == []


@pytest.mark.parametrize(("scene", "folder"), [("garden", "images_4"), ("room", "images_2")])
def test_reduced_photos_of_mipnerf360_judge_only_with_a_warning(disk: Path, scene: str, folder: str) -> None:
    place = disk / "360_v2" / scene
    (place / "images").rename(place / folder)
    Image.new("RGB", (12, 9), (9, 9, 9)).save(place / folder / "a.png")
    log = EventLog()
    (view,) = standard.held_out(place, log)
    assert (view.camera.width, view.camera.height) == view.image.shape[1::-1] == (12, 9)
    assert view.camera.fx == pytest.approx(worlds.FOCAL[0] / 4)
    assert folder in log.warnings[0]


@pytest.fixture
def measured(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SceneResults]:
    """Two scenes, two rate points, in this process. LPIPS has no weights here."""
    monkeypatch.setenv("GSCOMPRESS_LPIPS", str(tmp_path / "none"))
    monkeypatch.setattr(worker, "without_lpips", lambda: "no weights")
    out = []
    for number, name in enumerate(("train", "lego")):
        folder = tmp_path / "scenes" / name
        folder.mkdir(parents=True)
        source = trained(tmp_path / "models", name, number)
        photos = str(standard.locate(disk, name))
        job = {"folder": str(folder), "path": str(source), "cameras": None, "photos": photos, "rules": RULES.to_json()}
        log, cells = EventLog(), []
        facts = {"name": name, "note": "", **worker.prepare(job, log)}
        assert "LPIPS stays empty: no weights" in log.warnings[0]
        for label, bits in (("5/4", [5, 4]), ("3/2", [3, 2])):
            target = folder / f"{bits[0]}.spz"
            made = {"codec": "spz", "source": str(source), "target": str(target), "options": {"sh_bits": bits}}
            cell = worker.encode(made, log)
            judged = {"stored": str(target), "judges": str(folder), "worst": str(folder / "worst.png"), "score": True}
            cell |= worker.decode({"codec": "spz", **judged, "rules": RULES.to_json()}, log)
            cells.append({"codec": "spz", "title": "SPZ", "ours": False, "point": label, "status": "done", **cell})
        assert Judges.load(folder).background == (standard.WHITE if name == "lego" else standard.BLACK)
        out.append(SceneResults(facts, cells, []))
    return out


def test_tables_to_hand_in_have_the_columns_and_names_of_the_survey(
    measured: list[SceneResults], tmp_path: Path
) -> None:
    about = {"machine": {}, "rules": RULES.to_json()}
    tables.write_all(tmp_path, "mine", measured, "spz", about)
    place = tmp_path / "3dgs-zip" / "spz" / "results"
    rows = [line.split(",") for line in (place / "TanksAndTemples" / "train.csv").read_text().splitlines()]
    assert rows[0] == ["Submethod", "PSNR", "SSIM", "LPIPS", "Size [Bytes]", "#Gaussians"]
    assert [row[0] for row in rows[1:]] == ["-3/2", "-5/4"]
    small = measured[0].cells[1]
    assert [float(value) for value in rows[1][1:3]] == [small["psnr"], small["ssim"]]
    assert rows[1][3:] == ["", str(small["bytes"]), "300"]
    assert (tmp_path / "results" / "TanksAndTemples" / "train.csv").is_file()
    assert (tmp_path / "results" / "SyntheticNeRF" / "lego.csv").is_file()
    page = (tmp_path / "results.md").read_text()
    assert "TanksAndTemples, mean of 1 of 2 scenes" in page
    assert "Without truck this is no result of the survey" in page
    assert "LPIPS was not measured: no weights" in page
    assert len((place / "TanksAndTemples.csv").read_text().splitlines()) == 3


def test_averages_are_means_over_scenes_of_points_that_all_have(measured: list[SceneResults]) -> None:
    first, second = measured
    mean = {row["point"]: row for row in survey.average(measured, "spz")}
    for cell in first.cells:
        other = next(one for one in second.cells if one["point"] == cell["point"])
        assert mean[cell["point"]]["psnr"] == pytest.approx((cell["psnr"] + other["psnr"]) / 2)
        assert mean[cell["point"]]["lpips"] is None
    fewer = SceneResults(second.facts, second.cells[:1], [])
    assert [row["point"] for row in survey.average([first, fewer], "spz")] == ["5/4"]
    alone = SceneResults(second.facts, second.cells[:1], [])
    assert [row[0] for row in survey._rows(survey.average([alone], "spz"))] == ["Submethod", "Baseline"]
    assert survey.average([], "spz") == []
