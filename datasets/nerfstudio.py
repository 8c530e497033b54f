"""``transforms.json`` of nerfstudio and instant-ngp: camera-to-world in OpenGL axes, intrinsics per file or per frame.

``applied_transform`` and ``applied_scale`` (what nerfstudio did to the poses of the reconstruction) are undone, so that
the cameras are in the world of the reconstruction, like the ``.ply`` that was trained from it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.datasets import jsonfile, pose
from gscompress.datasets.lens import Lens
from gscompress.datasets.view import View, find_photo, hold_out
from gscompress.errors import UnreadableError

MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "PERSPECTIVE")


def matches(data: Any) -> bool:
    """Whether parsed JSON has this shape (Blender's has no focal length in pixels)."""
    return isinstance(data, dict) and isinstance(data.get("frames"), list)


def load(path: Path) -> list[View]:
    """The views of a ``transforms.json``, every eighth held out. Raises UnreadableError."""
    data = jsonfile.record(jsonfile.load(path), str(path))
    frames = jsonfile.listing(data, "frames", str(path))
    undo = _undo(data, str(path))
    views = []
    for number, frame in enumerate(frames):
        where = f"{path}: frame {number}"
        views.append(_view(jsonfile.record(frame, where), data, path.parent, undo, where))
    return hold_out(views)


def _undo(data: Mapping[str, Any], where: str) -> tuple[npt.NDArray[np.float64], float]:
    """The inverse of the applied transform (4, 4) and the applied scale."""
    scale = jsonfile.number(data, "applied_scale", where, 1.0)
    forward = np.eye(4)
    if "applied_transform" in data:
        applied = jsonfile.array(data, "applied_transform", ((3, 4), (4, 4)), where)
        forward[:3] = applied[:3]
    if not scale > 0 or abs(np.linalg.det(forward[:3, :3])) < 1e-12:
        raise UnreadableError(f"{where}: 'applied_transform' or 'applied_scale' cannot be undone")
    return np.asarray(np.linalg.inv(forward), np.float64), scale


def _view(
    frame: Mapping[str, Any], data: Mapping[str, Any], folder: Path, undo: tuple[npt.NDArray[Any], float], where: str
) -> View:
    name = jsonfile.text(frame, "file_path", where)
    path = find_photo(folder, name)
    c2w = np.eye(4)
    c2w[:3] = jsonfile.array(frame, "transform_matrix", ((4, 4), (3, 4)), where)[:3]
    c2w[:3, 3] /= undo[1]
    c2w = undo[0] @ c2w @ pose.GL_TO_CV
    lens = _lens({**data, **frame}, path, where)
    return View(lens.camera(pose.from_c2w(c2w[:3, :3], c2w[:3, 3], where), Path(name).name, where), path, lens=lens)


def _lens(source: Mapping[str, Any], path: Path, where: str) -> Lens:
    model = source.get("camera_model", "OPENCV")
    k4 = jsonfile.number(source, "k4", where, 0.0)
    if model not in MODELS or k4:
        what = f"camera model '{model}'" if model not in MODELS else "coefficient k4"
        raise UnreadableError(f"{where}: {what} is not supported: undistort the photos first (ns-process-data, COLMAP)")
    width, height = _size(source, path, where)
    if "fl_x" in source or "camera_angle_x" not in source:
        fx = jsonfile.number(source, "fl_x", where)
    else:
        fx = 0.5 * width / np.tan(0.5 * jsonfile.number(source, "camera_angle_x", where))
    coefficients = {key: jsonfile.number(source, key, where, 0.0) for key in ("k1", "k2", "k3", "p1", "p2")}
    return Lens(
        width,
        height,
        fx,
        jsonfile.number(source, "fl_y", where, fx),
        jsonfile.number(source, "cx", where, width / 2),
        jsonfile.number(source, "cy", where, height / 2),
        **coefficients,
    )


def _size(source: Mapping[str, Any], path: Path, where: str) -> tuple[int, int]:
    """Width and height in pixels, from the file or from the photo."""
    if "w" not in source and os.path.isfile(path):
        return photo_size(path)
    size = jsonfile.number(source, "w", where), jsonfile.number(source, "h", where)
    if not all(1 <= side <= 32768 and side == int(side) for side in size):
        raise UnreadableError(f"{where}: a picture of {size[0]:g}x{size[1]:g} pixels is out of range (1 to 32768)")
    return int(size[0]), int(size[1])


def photo_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file. Raises UnreadableError."""
    from PIL import Image

    try:
        with Image.open(path) as photo:
            return photo.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableError(f"{path}: not a readable picture: {error}") from None
