"""The same three cameras and photos, written in every layout that gscompress reads."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gscompress.camera import look_at
from gscompress.frame import matrix_to_quat

SIZE = (48, 36)
FOCAL = (40.0, 41.0)
CENTRE = (23.5, 18.25)
NAMES = ("a.png", "b.png", "c.png")
EYES = ((0.0, 0.0, -4.0), (3.0, -1.0, -2.0), (-2.0, 0.5, 3.0))
GL = np.diag([1.0, -1.0, -1.0, 1.0])


def poses() -> list[np.ndarray]:
    """World-to-camera of each camera."""
    return [look_at(np.array(eye), np.zeros(3), np.array([0.1, -1.0, 0.0])) for eye in EYES]


def photos(folder: Path, mode: str = "RGB") -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        pixels = np.full((SIZE[1], SIZE[0], len(mode)), 60 * number, np.uint8)
        Image.fromarray(pixels).save(folder / name)


def write_inria(folder: Path) -> Path:
    entries = []
    for number, w2c in enumerate(poses()):
        c2w = np.linalg.inv(w2c)
        entries.append(
            {
                "id": number,
                "img_name": NAMES[number],
                "width": SIZE[0],
                "height": SIZE[1],
                "position": c2w[:3, 3].tolist(),
                "rotation": c2w[:3, :3].tolist(),
                "fx": FOCAL[0],
                "fy": FOCAL[1],
            }
        )
    return _dump(folder / "cameras.json", entries)


def write_object(folder: Path) -> Path:
    intrinsics = {"fx": FOCAL[0], "fy": FOCAL[1], "cx": CENTRE[0], "cy": CENTRE[1], "W": SIZE[0], "H": SIZE[1]}
    entries = [
        {"name": name, "split": split, "R": w2c[:3, :3].tolist(), "t": w2c[:3, 3].tolist(), **intrinsics}
        for name, split, w2c in zip(NAMES, ("train", "test", "train"), poses(), strict=True)
    ]
    return _dump(folder / "cameras.json", {"cameras": entries})


def write_nerfstudio(folder: Path, applied: np.ndarray | None = None, **extra: Any) -> Path:
    intrinsics = {"fl_x": FOCAL[0], "fl_y": FOCAL[1], "cx": CENTRE[0], "cy": CENTRE[1], "w": SIZE[0], "h": SIZE[1]}
    forward = np.eye(4) if applied is None else applied
    frames = [
        {"file_path": f"images/{name}", "transform_matrix": (forward @ np.linalg.inv(w2c) @ GL).tolist()}
        for name, w2c in zip(NAMES, poses(), strict=True)
    ]
    frames[1].update(intrinsics)
    top = {**intrinsics, "frames": frames, **extra}
    if applied is not None:
        top["applied_transform"] = applied[:3].tolist()
    return _dump(folder / "transforms.json", top)


def write_colmap_text(folder: Path, model: str = "PINHOLE", parameters: tuple[float, ...] = (*FOCAL, *CENTRE)) -> Path:
    folder.mkdir(parents=True)
    (folder / "cameras.txt").write_text(
        f"# a comment\n7 {model} {SIZE[0]} {SIZE[1]} {' '.join(map(repr, parameters))}\n"
    )
    lines = ["# two lines per image"]
    for number, w2c in enumerate(poses()):
        numbers = [*matrix_to_quat(w2c[None, :3, :3])[0].tolist(), *w2c[:3, 3].tolist()]
        lines += [f"{number + 1} {' '.join(map(repr, numbers))} 7 {NAMES[number]}", "1.5 2.5 -1" if number else ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / "points3D.txt").write_text("# id x y z r g b error track\n5 1.5 -2 3 10 20 30 0.1 1 0\n6 0 0 1 1 2 3 0\n")
    return folder


def write_colmap_binary(
    folder: Path, model: int = 1, parameters: tuple[float, ...] = (*FOCAL, *CENTRE), size: tuple[int, int] = SIZE
) -> Path:
    folder.mkdir(parents=True)
    cameras = struct.pack("<QiiQQ", 1, 7, model, *size) + struct.pack(f"<{len(parameters)}d", *parameters)
    (folder / "cameras.bin").write_bytes(cameras)
    images = struct.pack("<Q", len(NAMES))
    for number, w2c in enumerate(poses()):
        quat = matrix_to_quat(w2c[None, :3, :3])[0]
        images += struct.pack("<i7di", number + 1, *quat, *w2c[:3, 3], 7) + NAMES[number].encode() + b"\0"
        images += struct.pack("<Q", number) + struct.pack("<ddq", 1.5, 2.5, -1) * number
    (folder / "images.bin").write_bytes(images)
    points = (
        struct.pack("<Q", 2) + struct.pack("<Q3d3BdQ", 5, 1.5, -2, 3, 10, 20, 30, 0.1, 1) + struct.pack("<ii", 1, 0)
    )
    points += struct.pack("<Q3d3BdQ", 6, 0, 0, 1, 1, 2, 3, 0.0, 0)
    (folder / "points3D.bin").write_bytes(points)
    return folder


def _dump(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path
