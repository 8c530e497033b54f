"""Photos and cameras: COLMAP, nerfstudio, Blender and ``cameras.json``, recognised by content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.errors import UnreadableError
from gscompress.events import EventLog

if TYPE_CHECKING:
    from gscompress.datasets.view import Split, View

_KNOWN = "a COLMAP model (sparse/0), transforms.json, transforms_train.json or cameras.json"


def load_cameras(path: str | os.PathLike[str], split: Split | None = None) -> list[Camera]:
    """The cameras of a file or a dataset folder, in file order, right-down-forward axes. Photos need not be there.

    split: only those for training or testing. Raises UnreadableError (missing, of no known kind, broken).
    """
    return [view.camera for view in _find(Path(path)) if split in (None, view.split)]


def load_views(
    path: str | os.PathLike[str],
    *,
    width: int | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
    log: EventLog | None = None,
) -> list[View]:
    """The views of a dataset: cameras with lazily loaded photos and a train/test split.

    width: pixels to scale every view to; without it, views over 1600 pixels are scaled down to that. background: what
    to lay under transparent photos, RGB in [0, 255]. Views whose photo is missing are left out with a warning.
    Raises UnreadableError, also when no photo is there at all.
    """
    from dataclasses import replace

    views = _find(Path(path))
    found = [replace(view, background=background).at_width(width) for view in views if os.path.isfile(view.path)]
    if not found:
        raise UnreadableError(f"{path}: none of the {len(views)} photos is there, the first would be {views[0].path}")
    if len(found) < len(views):
        missing = next(view.path for view in views if not os.path.isfile(view.path))
        (log or EventLog()).warn(f"{path}: {len(views) - len(found)} of {len(views)} photos are missing ({missing}, …)")
    return found


def load_points(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """(P, 3) positions and (P, 3) uint8 colours of the COLMAP points of a dataset. Raises UnreadableError."""
    from gscompress.datasets import colmap

    model = colmap.find(Path(path))
    if model is None:
        raise UnreadableError(f"{path}: no COLMAP model (sparse/0) with points in it")
    return colmap.load_points(model)


def _find(path: Path) -> list[View]:
    from gscompress.datasets import blender, cameras_json, colmap, jsonfile, nerfstudio

    if not path.exists():
        raise UnreadableError(f"{path}: no such file or folder")
    if path.is_dir():
        if blender.matches(path):
            return blender.load(path)
        model = colmap.find(path)
        if model is not None:
            return colmap.load(model, _photos_beside(model, path))
        for name in ("transforms.json", "cameras.json"):
            if (path / name).is_file():
                return _find(path / name)
        raise UnreadableError(f"{path}: holds no cameras: expected {_KNOWN}")
    if path.suffix in (".bin", ".txt"):
        return colmap.load(path.parent, _photos_beside(path.parent, path.parent))
    data = jsonfile.load(path)
    if cameras_json.matches(data):
        return cameras_json.views(data, path)
    if nerfstudio.matches(data):
        return nerfstudio.load(path)
    raise UnreadableError(f"{path}: not a camera file that gscompress knows: expected {_KNOWN}")


def _photos_beside(model: Path, given: Path) -> Path:
    """The ``images`` folder at or above the model's folder."""
    for folder in (given, model, *model.resolve().parents[:3]):
        if (folder / "images").is_dir():
            return folder / "images"
    return given / "images"
