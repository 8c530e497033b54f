"""The standard scenes of the survey 3DGS.zip: which there are, where they lie on disk, and the photos that judge.

The rules are those of the survey's README (w-m/3dgs-compression-survey), "3DGS testing conventions": all nine scenes of
Mip-NeRF 360; photos at full size up to 1600 pixels a side, larger ones scaled down by PIL's bicubic ``resize``; every
eighth one judges; the synthetic scenes keep their own split, on white.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gscompress.errors import UnreadableError
from gscompress.events import EventLog

if TYPE_CHECKING:
    from gscompress.datasets.view import View

SETS = {
    "MipNeRF360": ("bicycle", "bonsai", "counter", "flowers", "garden", "kitchen", "room", "stump", "treehill"),
    "TanksAndTemples": ("train", "truck"),
    "DeepBlending": ("drjohnson", "playroom"),
    "SyntheticNeRF": ("chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship"),
}
"""Folder names of the survey, and their scenes."""
OUTDOORS = frozenset({"bicycle", "flowers", "garden", "stump", "treehill"})
"""Of Mip-NeRF 360; 3DGS trains on a quarter of their size, on half the size of the others."""
_CAMERAS = ("transforms.json", "cameras.json")
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def set_of(scene: str) -> str | None:
    """The data set that a scene of this name belongs to."""
    return next((name for name, scenes in SETS.items() if scene.lower() in scenes), None)


def locate(root: Path, scene: str) -> Path:
    """The folder of a scene at most three levels below ``root``, such as ``tandt_db/tandt/train``; else ``root``.

    A folder that holds no cameras is not one: ``lego/train`` only has photos.
    """
    from gscompress.datasets import blender, colmap

    for pattern in (scene, f"*/{scene}", f"*/*/{scene}"):
        for path in sorted(root.glob(pattern)):
            if colmap.find(path) or blender.matches(path) or any((path / name).is_file() for name in _CAMERAS):
                return path
    return root


def background(photos: Path) -> tuple[float, float, float]:
    """White for the synthetic scenes, whose photos are transparent and which are trained on it; else black."""
    from gscompress.datasets import blender

    return WHITE if photos.is_dir() and blender.matches(photos) else BLACK


def held_out(photos: Path, log: EventLog) -> list[View]:
    """The views of a data set that judge, at full size up to 1600 pixels. Raises UnreadableError."""
    from gscompress.datasets import load_views

    under = tuple(round(255 * channel) for channel in background(photos))
    reduced = _reduced(photos)
    if reduced is None:
        views = load_views(photos, background=(under[0], under[1], under[2]), log=log)
    else:
        log.warn(
            f"{photos}: no folder 'images' with photos of full size, so those of '{reduced.name}' judge, as in the "
            "scripts of 3DGS; the survey asks for full ones scaled to 1600 pixels: differences of 0.2 dB are usual"
        )
        views = _views_in(photos, reduced)
    test = [view for view in views if view.split == "test"]
    if not test:
        raise UnreadableError(f"{photos}: none of its views is held out for testing")
    return test


def _reduced(photos: Path) -> Path | None:
    """Mip-NeRF 360 without its full photos: the folder with those that 3DGS trains on."""
    scene = photos.resolve().name
    if set_of(scene) != "MipNeRF360" or (photos / "images").is_dir():
        return None
    folder = photos / ("images_4" if scene.lower() in OUTDOORS else "images_2")
    return folder if folder.is_dir() else None


def _views_in(photos: Path, folder: Path) -> list[View]:
    """The views of a COLMAP data set at the sizes of the photos in ``folder``."""
    from PIL import Image

    from gscompress.datasets import colmap

    model = colmap.find(photos)
    if model is None:
        raise UnreadableError(f"{photos}: no COLMAP model (sparse/0)")
    views = [view for view in colmap.load(model, folder) if view.path.is_file() and view.split == "test"]
    out = []
    for view in views:
        with Image.open(view.path) as stored:
            out.append(replace(view, camera=view.camera.resized(*stored.size)))
    return out
