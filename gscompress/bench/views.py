"""The judges of one scene on disk: cameras and the pictures that decoded scenes are compared with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.bench import standard
from gscompress.bench.plan import Rules
from gscompress.camera import Camera
from gscompress.comparison import VISIBLE, Colour, nothing_seen, picture
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene

U8 = npt.NDArray[np.uint8]
OFFSET = 1
"""Of generated views: encoders place theirs at 0 and must not be judged by them."""


@dataclass(frozen=True, slots=True)
class Judges:
    """cameras in right-down-forward axes, one (H, W, 3) picture for each, and the colour behind the scene."""

    cameras: list[Camera]
    pictures: list[U8]
    background: Colour = standard.BLACK

    def save(self, folder: Path) -> str:
        """Write both files and return a digest of what is in them."""
        cameras = [_camera_json(camera) for camera in self.cameras]
        text = json.dumps({"background": self.background, "cameras": cameras}, indent=1)
        (folder / "cameras.json").write_text(text, "utf-8")
        named: dict[str, Any] = {f"{i:04d}": picture for i, picture in enumerate(self.pictures)}
        np.savez_compressed(folder / "pictures.npz", **named)
        digest = hashlib.sha256(text.encode())
        for one in self.pictures:
            digest.update(one.tobytes())
        return digest.hexdigest()[:16]

    @classmethod
    def load(cls, folder: Path) -> Judges:
        told = json.loads((folder / "cameras.json").read_text("utf-8"))
        cameras = [_camera_from(entry) for entry in told["cameras"]]
        with np.load(folder / "pictures.npz") as stored:
            return cls(cameras, [stored[f"{i:04d}"] for i in range(len(cameras))], tuple(told["background"]))


def judges_for(scene: Scene, cameras: Path | None, photos: Path | None, rules: Rules, log: EventLog) -> Judges:
    """Choose them by the rules; the scene is in right-down-forward axes. Raises UsageError, UnreadableError."""
    from gscompress.renderers import RENDERERS

    if rules.protocol != "self":
        if photos is None:
            raise UsageError(f"protocol '{rules.protocol}' needs photos: give the dataset with --data")
        views = standard.held_out(photos, log)
        pictures = [view.image for view in views]
        return Judges([view.camera for view in views], pictures, standard.background(photos))
    renderer = RENDERERS.get("cpu")()
    seen, pictures = [], []
    chosen = _cameras(scene, cameras, rules)
    for camera in chosen:
        image, alpha = picture(renderer, scene, camera, standard.BLACK)
        if alpha >= VISIBLE:
            seen.append(camera)
            pictures.append(image)
    if not seen:
        raise UsageError(nothing_seen(len(chosen)))
    return Judges(seen, pictures)


def _cameras(scene: Scene, given: Path | None, rules: Rules) -> list[Camera]:
    if given is None:
        from gscompress.viewpoints import generate

        return generate(scene, rules.views, *rules.size, offset=OFFSET)
    from gscompress.datasets import load_cameras

    return load_cameras(given, "test") or load_cameras(given)


def _camera_json(camera: Camera) -> dict[str, Any]:
    names = ("name", "width", "height", "fx", "fy", "cx", "cy", "near")
    return {**{name: getattr(camera, name) for name in names}, "w2c": camera.w2c.tolist()}


def _camera_from(entry: Mapping[str, Any]) -> Camera:
    return Camera(**{**entry, "w2c": np.array(entry["w2c"], np.float64)})
