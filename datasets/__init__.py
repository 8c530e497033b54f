"""Photos and cameras: COLMAP, nerfstudio, Blender and ``cameras.json``, recognised by content."""

from __future__ import annotations

import os
from pathlib import Path

from gscompress.camera import Camera
from gscompress.errors import UnreadableError


def load_cameras(path: str | os.PathLike[str]) -> list[Camera]:
    """The cameras of a file or a dataset folder, in file order.

    Raises UnreadableError (missing, of no known kind, broken).
    """
    from gscompress.datasets import cameras_json, jsonfile

    source = Path(path)
    if source.is_dir():
        source = source / "cameras.json"
    data = jsonfile.load(source)
    if cameras_json.matches(data):
        return cameras_json.parse(data, str(source))
    raise UnreadableError(f"{source}: not a camera file that gscompress knows")
