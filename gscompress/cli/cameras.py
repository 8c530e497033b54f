"""``--cameras``, ``--size`` and ``--background``: from what the user typed to cameras and colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gscompress.camera import Camera
from gscompress.errors import UnreadableError, UsageError
from gscompress.scene import Scene

GENERATED = re.compile(r"(orbit|auto|inside)(?::(\d{1,4}))?")
DEFAULT_COUNT = 24
HELD_OUT = 1
"""Offset of the generated views that judge: compression places its own at offset 0 and must not be judged by them."""


def choose(scene: Scene, wish: str, size: tuple[int, int] | None) -> list[Camera]:
    """Cameras from a file or dataset folder, or generated: ``orbit:24`` (a turntable), ``auto:24``, ``inside:24``.

    ``size`` in pixels overrides the file's. The scene is in right-down-forward axes.
    Raises UsageError, UnreadableError.
    """
    generated = GENERATED.fullmatch(wish)
    if generated and not Path(wish).exists():
        from gscompress import viewpoints

        style, count = generated[1], int(generated[2] or DEFAULT_COUNT)
        width, height = size or (480, 360)
        if style == "orbit":
            return viewpoints.turntable(scene, count, width, height)
        kind: viewpoints.Style = "auto" if style == "auto" else "inside"
        return viewpoints.generate(scene, count, width, height, style=kind, offset=HELD_OUT)
    if not Path(wish).exists():
        raise UnreadableError(f"{wish}: no such camera file, and not one of orbit:24, auto:24, inside:24")
    from gscompress.datasets import load_cameras

    cameras = load_cameras(wish)
    return cameras if size is None else [refit(camera, *size) for camera in cameras]


def refit(camera: Camera, width: int, height: int) -> Camera:
    """The same vertical field of view in another picture size; pixels stay square, the sides gain or lose."""
    scale = height / camera.height
    return replace(
        camera,
        width=width,
        height=height,
        fx=camera.fx * scale,
        fy=camera.fy * scale,
        cx=width / 2 + (camera.cx - camera.width / 2) * scale,
        cy=camera.cy * scale,
    )


def parse_pixels(text: str | None) -> tuple[int, int] | None:
    """``960x540``. Raises UsageError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text.strip())
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(16 <= side <= 8192 for side in size):
        raise UsageError(f"'{text}' is no picture size: give width x height such as 960x540 (16 to 8192 pixels a side)")
    return size


def parse_colour(text: str) -> tuple[float, float, float]:
    """``black``, ``white`` or ``#rrggbb`` as RGB in [0, 1]. Raises UsageError."""
    named = {"black": "#000000", "white": "#ffffff"}.get(text, text)
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", named):
        raise UsageError(f"'{text}' is no colour: give black, white or #rrggbb")
    red, green, blue = bytes.fromhex(named[1:])
    return red / 255, green / 255, blue / 255


def file_names(cameras: Sequence[Camera]) -> list[str]:
    """A file name per camera: its number, and its own name as far as that is fit for a file name."""
    digits = max(3, len(str(len(cameras) - 1)))
    names = []
    for number, camera in enumerate(cameras):
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(camera.name).stem)[:80].strip("._")
        generated = stem.endswith(f"-{number:03d}")
        names.append(f"{number:0{digits}d}.png" if generated or not stem else f"{number:0{digits}d}-{stem}.png")
    return names
