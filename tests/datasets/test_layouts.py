"""Every layout gives the same cameras, photos and split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import worlds
from PIL import Image

from gscompress.camera import Camera
from gscompress.datasets import load_cameras, load_points, load_views
from gscompress.errors import UnreadableError
from gscompress.events import EventLog

WRITERS = {
    "object": worlds.write_object,
    "nerfstudio": worlds.write_nerfstudio,
    "colmap text": lambda folder: worlds.write_colmap_text(folder / "sparse" / "0"),
    "colmap binary": lambda folder: worlds.write_colmap_binary(folder / "sparse" / "0"),
}


def check(cameras: list[Camera], centre: tuple[float, float] = worlds.CENTRE) -> None:
    assert [camera.name for camera in cameras] == list(worlds.NAMES)
    for camera, w2c in zip(cameras, worlds.poses(), strict=True):
        np.testing.assert_allclose(camera.w2c, w2c, atol=1e-9)
        assert (camera.width, camera.height) == worlds.SIZE
        np.testing.assert_allclose((camera.fx, camera.fy, camera.cx, camera.cy), (*worlds.FOCAL, *centre))


@pytest.mark.parametrize("layout", WRITERS)
def test_a_folder_and_its_file_give_the_cameras(layout: str, tmp_path: Path) -> None:
    written = WRITERS[layout](tmp_path)
    check(load_cameras(written))
    check(load_cameras(tmp_path))


def test_the_reference_trainers_list_has_its_principal_point_in_the_middle(tmp_path: Path) -> None:
    check(load_cameras(worlds.write_inria(tmp_path)), (24, 18))


@pytest.mark.parametrize("layout", WRITERS)
def test_photos_come_with_the_cameras(layout: str, tmp_path: Path) -> None:
    WRITERS[layout](tmp_path)
    worlds.photos(tmp_path / "images")
    views = load_views(tmp_path)
    assert [view.image[0, 0, 0] for view in views] == [0, 60, 120]
    assert views[0].image is views[0].image
    small = load_views(tmp_path, width=24)[1]
    assert small.image.shape == (18, 24, 3)
    assert small.camera.fx == pytest.approx(20)


def test_every_eighth_view_by_name_is_for_testing(tmp_path: Path) -> None:
    entry = json.loads(worlds.write_inria(tmp_path).read_text())[0]
    names = [f"{k * 7 % 20:03d}.png" for k in range(20)]
    (tmp_path / "cameras.json").write_text(json.dumps([{**entry, "img_name": name} for name in names]))
    (tmp_path / "images").mkdir()
    for name in names:
        Image.new("RGB", worlds.SIZE).save(tmp_path / "images" / name)
    views = load_views(tmp_path)
    assert [view.name for view in views] == names
    assert sorted(view.name for view in views if view.split == "test") == ["000.png", "008.png", "016.png"]


def test_a_split_in_the_file_is_kept(tmp_path: Path) -> None:
    worlds.write_object(tmp_path)
    worlds.photos(tmp_path / "images")
    assert [view.split for view in load_views(tmp_path)] == ["train", "test", "train"]


def test_an_applied_transform_is_undone(tmp_path: Path) -> None:
    applied = np.eye(4)
    applied[:3] = [[0, 1, 0, 0.5], [1, 0, 0, -2], [0, 0, -1, 1]]
    check(load_cameras(worlds.write_nerfstudio(tmp_path, applied)))


def test_blender_splits_by_file_and_lays_the_background_under(tmp_path: Path) -> None:
    frames = json.loads(worlds.write_nerfstudio(tmp_path / "tmp").read_text())["frames"]
    for number, name in enumerate(("train", "test")):
        frame = {"file_path": f"./{name}/a", "transform_matrix": frames[number]["transform_matrix"]}
        (tmp_path / f"transforms_{name}.json").write_text(json.dumps({"camera_angle_x": 1.0, "frames": [frame]}))
        worlds.photos(tmp_path / name, "RGBA")
    views = load_views(tmp_path)
    assert [view.split for view in views] == ["train", "test"]
    assert (views[0].image == 255).all()
    assert (load_views(tmp_path, background=(0, 0, 0))[0].image == 0).all()
    for view, w2c in zip(views, worlds.poses(), strict=False):
        np.testing.assert_allclose(view.camera.w2c, w2c, atol=1e-9)
        assert view.camera.fx == pytest.approx(24 / np.tan(0.5))


@pytest.mark.parametrize("write", [worlds.write_colmap_text, worlds.write_colmap_binary])
def test_sparse_points_are_read(write: object, tmp_path: Path) -> None:
    write(tmp_path / "sparse" / "0")  # type: ignore[operator]
    points, colours = load_points(tmp_path)
    np.testing.assert_array_equal(points, np.float32([[1.5, -2, 3], [0, 0, 1]]))
    np.testing.assert_array_equal(colours, np.uint8([[10, 20, 30], [1, 2, 3]]))


def test_missing_photos_are_skipped_with_a_warning(tmp_path: Path) -> None:
    worlds.write_nerfstudio(tmp_path)
    worlds.photos(tmp_path / "images")
    (tmp_path / "images" / "b.png").unlink()
    log = EventLog()
    assert [view.name for view in load_views(tmp_path, log=log)] == ["a.png", "c.png"]
    assert "1 of 3 photos are missing" in log.warnings[0]
    assert len(load_cameras(tmp_path)) == 3


def test_no_photo_at_all_is_an_error(tmp_path: Path) -> None:
    worlds.write_nerfstudio(tmp_path)
    with pytest.raises(UnreadableError, match="none of the 3 photos"):
        load_views(tmp_path)


def test_a_photo_of_another_shape_or_kind_is_refused(tmp_path: Path) -> None:
    worlds.write_nerfstudio(tmp_path)
    worlds.photos(tmp_path / "images")
    Image.new("RGB", (48, 48)).save(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    views = load_views(tmp_path)
    with pytest.raises(UnreadableError, match="48x48 pixels do not fit"):
        _ = views[0].image
    with pytest.raises(UnreadableError, match="not a readable picture"):
        _ = views[1].image


def test_large_photos_are_limited_to_1600_pixels(tmp_path: Path) -> None:
    scaled = {"w": 4000, "h": 3000, "fl_x": 3000.0, "fl_y": 3000.0, "cx": 2000.0, "cy": 1500.0}
    path = worlds.write_nerfstudio(tmp_path)
    data = {**json.loads(path.read_text()), **scaled}
    data["frames"] = data["frames"][:1]
    path.write_text(json.dumps(data))
    worlds.photos(tmp_path / "images")
    (view,) = load_views(tmp_path)
    assert (view.camera.width, view.camera.height, view.camera.fx) == (1600, 1200, 1200)


def test_the_limit_cuts_fractions_off_as_the_3dgs_trainer_does(tmp_path: Path) -> None:
    folder = worlds.write_colmap_binary(tmp_path / "sparse" / "0", size=(5187, 3361))  # garden: 1036.7 would be 1037
    worlds.photos(tmp_path / "images")
    assert folder.is_dir()
    assert {view.at_width(None).camera.height for view in load_views(tmp_path)} == {1036}
