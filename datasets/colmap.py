"""COLMAP's sparse model, text or binary: ``cameras``, ``images`` and ``points3D``.

Distorted cameras (SIMPLE_RADIAL, RADIAL, OPENCV) come out as the pinhole cameras of the undistorted photos.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.datasets import pose
from gscompress.datasets.binary import Cursor
from gscompress.datasets.lens import Lens
from gscompress.datasets.view import View, find_photo, hold_out
from gscompress.errors import UnreadableError
from gscompress.frame import quat_to_matrix

MODELS = {
    0: ("SIMPLE_PINHOLE", ("f", "cx", "cy")),
    1: ("PINHOLE", ("fx", "fy", "cx", "cy")),
    2: ("SIMPLE_RADIAL", ("f", "cx", "cy", "k1")),
    3: ("RADIAL", ("f", "cx", "cy", "k1", "k2")),
    4: ("OPENCV", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")),
}
PARAMETERS = dict(MODELS.values())


def find(folder: Path) -> Path | None:
    """The folder with the sparse model at or below ``folder``, if there is one."""
    for place in (folder, folder / "sparse" / "0", folder / "sparse", folder / "colmap" / "sparse" / "0"):
        if any((place / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt")):
            return place
    return None


def load(model: Path, photos: Path) -> list[View]:
    """The views of the sparse model in folder ``model`` with their photos under ``photos``, every eighth held out.

    Raises UnreadableError.
    """
    binary = (model / "cameras.bin").is_file()
    lenses = dict(_cameras_bin(model / "cameras.bin") if binary else _cameras_txt(model / "cameras.txt"))
    views = []
    for name, quat, shift, camera, where in (
        _images_bin(model / "images.bin") if binary else _images_txt(model / "images.txt")
    ):
        if camera not in lenses:
            raise UnreadableError(f"{where}: camera {camera} is not in the cameras file")
        if not (pose.plausible(quat) and pose.plausible(shift) and np.abs(quat).max() > 1e-30):
            raise UnreadableError(f"{where}: the pose is not finite")
        w2c = pose.from_w2c(quat_to_matrix(quat[None])[0], shift, where)
        views.append(View(lenses[camera].camera(w2c, name, where), find_photo(photos, name), lens=lenses[camera]))
    if not views:
        raise UnreadableError(f"{model}: the model has no images")
    return hold_out(views)


def load_points(model: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """(P, 3) positions and (P, 3) colours of the sparse points in folder ``model``. Raises UnreadableError."""
    if (model / "points3D.bin").is_file():
        return _points_bin(model / "points3D.bin")
    path = model / "points3D.txt"
    rows = []
    for number, line in _lines(path):
        fields = line.split(maxsplit=7)
        try:
            rows.append([float(field) for field in fields[1:7]])
        except ValueError:
            raise UnreadableError(f"{path}: line {number}: expected id, x, y, z, r, g, b") from None
        if len(rows[-1]) != 6:
            raise UnreadableError(f"{path}: line {number}: expected id, x, y, z, r, g, b")
    return _points(np.array(rows, np.float64).reshape(-1, 6), path)


def _points(rows: npt.NDArray[np.float64], path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    if not pose.plausible(rows) or (rows[:, 3:] < 0).any() or (rows[:, 3:] > 255).any():
        raise UnreadableError(f"{path}: positions must be finite and colours 0 to 255")
    return rows[:, :3].astype(np.float32), rows[:, 3:].astype(np.uint8)


def _lens(model: str, size: tuple[int, int], parameters: tuple[float, ...], where: str) -> Lens:
    if model not in PARAMETERS:
        known = ", ".join(PARAMETERS)
        raise UnreadableError(
            f"{where}: camera model {model} is not supported ({known} are): run colmap image_undistorter"
        )
    if len(parameters) != len(PARAMETERS[model]) or not pose.plausible(parameters):
        raise UnreadableError(f"{where}: {model} takes {len(PARAMETERS[model])} finite parameters")
    if not all(1 <= side <= 32768 for side in size):
        raise UnreadableError(f"{where}: a picture of {size[0]}x{size[1]} pixels is out of range (1 to 32768)")
    values = dict(zip(PARAMETERS[model], parameters, strict=True))
    focal = values.pop("f", 0.0)
    return Lens(width=size[0], height=size[1], **{"fx": focal, "fy": focal, **values})


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without comments; empty ones are kept."""
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if not line.startswith("#"):
                    yield number, line.strip()
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableError(f"{path}: not UTF-8 text") from None


def _cameras_txt(path: Path) -> Iterator[tuple[int, Lens]]:
    for number, line in _lines(path):
        where = f"{path}: line {number}"
        fields = line.split()
        if not fields:
            continue
        try:
            identity, size = int(fields[0]), (int(fields[2]), int(fields[3]))
            parameters = tuple(float(field) for field in fields[4:])
        except (ValueError, IndexError):
            raise UnreadableError(f"{where}: expected id, model, width, height and parameters") from None
        yield identity, _lens(fields[1], size, parameters, where)


def _images_txt(path: Path) -> Iterator[tuple[str, Any, Any, int, str]]:
    """Every other line is a pose; the line after it lists 2D points and may be empty."""
    lines = _lines(path)
    for number, line in lines:
        if not line:
            continue
        where = f"{path}: line {number}"
        fields = line.split(maxsplit=9)
        try:
            numbers = np.array([float(field) for field in fields[1:8]])
            camera, name = int(fields[8]), fields[9]
        except (ValueError, IndexError):
            raise UnreadableError(f"{where}: expected id, quaternion, translation, camera id and name") from None
        yield name, numbers[:4], numbers[4:], camera, where
        next(lines, None)


def _cameras_bin(path: Path) -> Iterator[tuple[int, Lens]]:
    cursor = Cursor(path)
    for number in range(cursor.count(24)):
        where = f"{path}: camera {number}"
        identity, model, width, height = cursor.take("iiQQ")
        name, parameters = MODELS.get(model, (f"number {model}", ()))
        yield identity, _lens(name, (width, height), cursor.take("d" * len(parameters)), where)


def _images_bin(path: Path) -> Iterator[tuple[str, Any, Any, int, str]]:
    cursor = Cursor(path)
    for number in range(cursor.count(73)):
        numbers = cursor.take("i7di")
        name = cursor.name()
        cursor.skip(cursor.count(24) * 24)
        yield name, np.array(numbers[1:5]), np.array(numbers[5:8]), numbers[8], f"{path}: image {number}"


def _points_bin(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    cursor = Cursor(path)
    rows = np.empty((cursor.count(51), 6))
    point = struct.Struct("<Q3d3Bd")
    for row in rows:
        row[:] = cursor.unpack(point)[1:7]
        cursor.skip(cursor.count(8) * 8)
    return _points(rows, path)
