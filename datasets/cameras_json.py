"""``cameras.json``: the list that the 3DGS reference trainer writes, and the object form with R, t per camera.

The reference's list (INRIA, ``camera_to_JSON``): ``id, img_name, width, height, position, rotation, fx, fy`` with
the camera's centre and its axes in the world (camera-to-world, OpenCV axes), principal point at the centre.
The object form: ``{"cameras": [{"name", "R", "t", "fx", "fy", "cx", "cy", "W", "H", "split"?}]}`` with world-to-camera
rotation and translation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gscompress.camera import Camera
from gscompress.datasets import jsonfile, pose
from gscompress.errors import UnreadableError


def load(path: Path) -> list[Camera]:
    """The cameras of either form, in file order. Raises UnreadableError."""
    return parse(jsonfile.load(path), str(path))


def matches(data: Any) -> bool:
    """Whether parsed JSON has the shape of either form."""
    return isinstance(data, list) or (isinstance(data, dict) and isinstance(data.get("cameras"), list))


def parse(data: Any, where: str) -> list[Camera]:
    """The cameras in parsed JSON; ``where`` names the file in messages. Raises UnreadableError."""
    entries = data if isinstance(data, list) else jsonfile.listing(jsonfile.record(data, where), "cameras", where)
    if not entries:
        raise UnreadableError(f"{where}: no cameras")
    return [_camera(jsonfile.record(e, f"{where}: camera {i}"), f"{where}: camera {i}") for i, e in enumerate(entries)]


def _camera(entry: Mapping[str, Any], where: str) -> Camera:
    if "rotation" in entry or "position" in entry:
        turn = jsonfile.array(entry, "rotation", ((3, 3),), where)
        w2c = pose.from_c2w(turn, jsonfile.array(entry, "position", ((3,),), where), where)
        name_key, width_key, height_key = "img_name", "width", "height"
    else:
        turn = jsonfile.array(entry, "R", ((3, 3),), where)
        w2c = pose.from_w2c(turn, jsonfile.array(entry, "t", ((3,),), where), where)
        name_key, width_key, height_key = "name", "W", "H"
    width, height = jsonfile.number(entry, width_key, where), jsonfile.number(entry, height_key, where)
    return pose.pinhole(
        (width, height),
        (jsonfile.number(entry, "fx", where), jsonfile.number(entry, "fy", where)),
        (jsonfile.number(entry, "cx", where, width / 2), jsonfile.number(entry, "cy", where, height / 2)),
        w2c,
        str(entry.get(name_key, "")),
        where,
    )
