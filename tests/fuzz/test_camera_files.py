"""Damaged camera files either load or are refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mutate import mutations

from gscompress.datasets import load_cameras, load_points
from gscompress.errors import GscompressError

sys.path.insert(0, str(Path(__file__).parent.parent / "datasets"))
import worlds

FILES = {
    "cameras.json": worlds.write_object,
    "transforms.json": worlds.write_nerfstudio,
    "sparse/cameras.txt": lambda at: worlds.write_colmap_text(at / "sparse", "OPENCV", (40, 41, 24, 18, 0.01, 0, 0, 0)),
    "sparse/images.txt": lambda at: worlds.write_colmap_text(at / "sparse"),
    "sparse/points3D.txt": lambda at: worlds.write_colmap_text(at / "sparse"),
    "sparse/cameras.bin": lambda at: worlds.write_colmap_binary(at / "sparse", 4, (40, 41, 24, 18, 0.01, 0, 0, 0)),
    "sparse/images.bin": lambda at: worlds.write_colmap_binary(at / "sparse"),
    "sparse/points3D.bin": lambda at: worlds.write_colmap_binary(at / "sparse"),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_camera_files_do_no_harm(name: str, tmp_path: Path) -> None:
    FILES[name](tmp_path)
    path = tmp_path / name
    messages = []
    for damaged in mutations(path.read_bytes(), 150, seed=len(name)):
        path.write_bytes(damaged)
        try:
            load_points(tmp_path) if "points3D" in name else load_cameras(tmp_path)
        except GscompressError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)
