"""Broken camera files end in one clear line, never in a traceback, a hang or a huge allocation."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import worlds

from gscompress.datasets import load_cameras, load_points, load_views
from gscompress.errors import UnreadableError


def broken(folder: Path, change: Any) -> Path:
    """``cameras.json`` with ``change`` applied to its second camera."""
    path = worlds.write_object(folder)
    data = json.loads(path.read_text())
    change(data["cameras"][1])
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("R"), "camera 1: 'R' is missing"),
        (lambda c: c.pop("fx"), "camera 1: 'fx' is missing"),
        (lambda c: c.update(fx="wide"), "'fx' must be a number"),
        (lambda c: c.update(fx=float("nan")), "'fx' is not finite"),
        (lambda c: c.update(fx=10**400), "'fx' is not finite"),
        (lambda c: c.update(fx=-3), "focal lengths of -3 and 41 pixels are out of range"),
        (lambda c: c.update(cx=1e29), "does not lie near the picture"),
        (lambda c: c.update(R=[[1, 0], [0, 1]]), r"'R' must be 3x3 numbers, got shape \(2, 2\)"),
        (lambda c: c.update(R=[[1, 0, 0], [0, 1], [0, 0, 1]]), "'R' must be 3x3 numbers"),
        (lambda c: c.update(R=[[2, 0, 0], [0, 2, 0], [0, 0, 2]]), "not orthonormal"),
        (lambda c: c.update(R=[[-1, 0, 0], [0, 1, 0], [0, 0, 1]]), "not orthonormal and right-handed"),
        (lambda c: c.update(t=[0, 0, float("inf")]), "'t' has values that are not finite"),
        (lambda c: c.update(W=0), "out of range"),
        (lambda c: c.update(W=10**9), "out of range"),
        (lambda c: c.update(H=36.5), "out of range"),
    ],
)
def test_the_message_names_camera_and_key(change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=message):
        load_cameras(broken(tmp_path, change))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "no cameras"),
        ("[1]", "expected an object"),
        ("{}", "not a camera file"),
        ('"text"', "not a camera file"),
        ('{"frames": []}', "'frames' must be a non-empty array"),
        ('{"frames": [{"file_path": 3}]}', "'file_path' must be a string"),
        ("[" * 100_000, "nested too deeply|not valid JSON"),
        ("[" + "9" * 5000 + "]", "not valid JSON|expected an object"),
    ],
)
def test_json_of_another_kind_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(text)
    with pytest.raises(UnreadableError, match=message):
        load_cameras(path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such file or folder"):
        load_cameras(tmp_path / "nothing")
    with pytest.raises(UnreadableError, match="holds no cameras"):
        load_cameras(tmp_path)
    with pytest.raises(UnreadableError, match="no COLMAP model"):
        load_points(tmp_path)
    (tmp_path / "cameras.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableError, match="not UTF-8"):
        load_cameras(tmp_path)


def test_lens_models_that_are_not_supported_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"OPENCV_FISHEYE is not supported.*image_undistorter"):
        load_cameras(worlds.write_colmap_text(tmp_path / "a", "OPENCV_FISHEYE", (40.0, 40.0, 24.0, 18.0, 0, 0, 0, 0)))
    with pytest.raises(UnreadableError, match="number 5 is not supported"):
        load_cameras(worlds.write_colmap_binary(tmp_path / "b", 5, ()))
    with pytest.raises(UnreadableError, match="'OPENCV_FISHEYE' is not supported"):
        load_cameras(worlds.write_nerfstudio(tmp_path / "c", camera_model="OPENCV_FISHEYE"))
    with pytest.raises(UnreadableError, match="PINHOLE takes 4 finite parameters"):
        load_cameras(worlds.write_colmap_text(tmp_path / "d", "PINHOLE", (40.0,)))


def test_counts_are_checked_against_the_file(tmp_path: Path) -> None:
    folder = worlds.write_colmap_binary(tmp_path / "sparse" / "0")
    for name in ("images.bin", "points3D.bin", "cameras.bin"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(struct.pack("<Q", 2**60) + data[8:])
        with pytest.raises(UnreadableError, match="promises 1152921504606846976 records"):
            load_points(tmp_path) if name == "points3D.bin" else load_cameras(tmp_path)


def test_a_huge_picture_size_costs_nothing(tmp_path: Path) -> None:
    folder = worlds.write_colmap_binary(tmp_path / "sparse" / "0", size=(2**40, 2**40))
    with pytest.raises(UnreadableError, match="out of range"):
        load_views(folder)


def test_an_image_with_an_unknown_camera_is_refused(tmp_path: Path) -> None:
    folder = worlds.write_colmap_text(tmp_path / "sparse" / "0")
    (folder / "cameras.txt").write_text("1 PINHOLE 48 36 40 41 24 18\n")
    with pytest.raises(UnreadableError, match="camera 7 is not in the cameras file"):
        load_cameras(tmp_path)
