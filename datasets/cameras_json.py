"""``cameras.json``: the list that the 3DGS reference trainer writes, and the object form with R, t per camera.

The reference's list (INRIA, ``camera_to_JSON``): ``id, img_name, width, height, position, rotation, fx, fy`` with
the camera's centre and its axes in the world (camera-to-world, OpenCV axes), principal point at the centre.
The object form: ``{"cameras": [{"name", "R", "t", "fx", "fy", "cx", "cy", "W", "H", "split"?}]}`` with world-to-camera
rotation and translation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gscompress.camera import Camera
from gscompress.datasets import jsonfile, pose
from gscompress.datasets.view import View, find_photo, hold_out
from gscompress.errors import UnreadableError


def matches(data: Any) -> bool:
    """Whether parsed JSON has the shape of either form."""
    return isinstance(data, list) or (isinstance(data, dict) and isinstance(data.get("cameras"), list))


def views(data: Any, path: Path) -> list[View]:
    """The views in parsed JSON, in file order, with photos in ``images`` beside the file. Raises UnreadableError.

    The split is the file's where it has one for every camera, else every eighth is held out.
    """
    entries = data if isinstance(data, list) else data["cameras"]
    if not entries:
        raise UnreadableError(f"{path}: no cameras")
    out = []
    for number, entry in enumerate(entries):
        where = f"{path}: camera {number}"
        camera = _camera(jsonfile.record(entry, where), where)
        out.append(View(camera, find_photo(path.parent / "images", camera.name)))
    splits = [entry.get("split") for entry in entries]
    if all(split in ("train", "test") for split in splits):
        return [replace(view, split=split) for view, split in zip(out, splits, strict=True)]
    return hold_out(out)


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
