"""A view: a camera and the photo that was taken with it, loaded when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.datasets.lens import Lens
from gscompress.errors import UnreadableError

Split = Literal["train", "test"]
HOLD_OUT = 8
"""Every so many views, sorted by name, one is for testing (3DGS and Mip-NeRF 360)."""
LARGEST_SIDE = 1600
"""Pixels; larger photos are scaled down as 3DGS does, unless a width is asked for."""
SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".webp")


@dataclass(frozen=True, eq=False)
class View:
    """camera: of the photo as ``image`` gives it. path: the photo. split: "train" or "test".

    lens: distortion to undo, or None. background: RGB in [0, 255] to lay under transparent photos.
    """

    camera: Camera
    path: Path
    split: Split = "train"
    lens: Lens | None = None
    background: tuple[int, int, int] = (255, 255, 255)

    @property
    def name(self) -> str:
        return self.camera.name

    @cached_property
    def image(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 at the camera's size, undistorted; kept after the first time. Raises UnreadableError."""
        from PIL import Image

        size = self.camera.width, self.camera.height
        try:
            with Image.open(self.path) as stored:
                stretch = stored.width * size[1] / (stored.height * size[0])
                if not 0.97 < stretch < 1.03:
                    raise UnreadableError(
                        f"{self.path}: {stored.width}x{stored.height} pixels do not fit its camera, {size[0]}x{size[1]}"
                    )
                photo = stored.convert("RGBA" if "A" in stored.getbands() or "transparency" in stored.info else "RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UnreadableError(f"{self.path}: not a readable picture: {error}") from None
        if photo.mode == "RGBA":
            photo = Image.alpha_composite(Image.new("RGBA", photo.size, self.background), photo).convert("RGB")
        if photo.size != size:
            photo = photo.resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(photo)
        return pixels if self.lens is None or self.lens.straight else self.lens.straighten(pixels, self.camera)

    def at_width(self, width: int | None) -> View:
        """The same view ``width`` pixels wide; None keeps the size, limited to ``LARGEST_SIDE``.

        That limit cuts fractions off as 3DGS does: its garden is 1600x1036 pixels, which rounding would make 1037.
        """
        camera = self.camera
        if width is None:
            down = max(camera.width, camera.height) / LARGEST_SIDE
            size = int(camera.width / down), int(camera.height / down)
            return self if down <= 1 else replace(self, camera=camera.resized(*(max(1, side) for side in size)))
        if width == camera.width:
            return self
        return replace(self, camera=camera.resized(width, max(1, round(camera.height * width / camera.width))))


def hold_out(views: Sequence[View]) -> list[View]:
    """The same views in the same order; by name, every eighth is marked "test", beginning with the first."""
    by_name = sorted(range(len(views)), key=lambda i: views[i].name)
    test = set(by_name[::HOLD_OUT])
    return [replace(view, split="test" if i in test else "train") for i, view in enumerate(views)]


def find_photo(folder: Path, name: str) -> Path:
    """``folder / name``, with a usual suffix added where that finds a file."""
    for suffix in SUFFIXES:
        if os.path.isfile(folder / f"{name}{suffix}"):
            return folder / f"{name}{suffix}"
    return folder / name
