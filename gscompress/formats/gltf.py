"""``.glb`` and ``.gltf`` with KHR_gaussian_splatting, the Khronos extension (release candidate of 2026).

Attributes are activated: scale and opacity linear, quaternions xyzw. glTF axes are left-up-forward: "+Y up, +Z forward,
-X right". Also read: attribute names of the drafts (``_SCALE`` …, colour and opacity in COLOR_0), log scales of some
draft writers, and SPZ streams inside a primitive.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.gltf_container import MAGIC, Document, glb_bytes, open_document
from gscompress.formats.gltf_nodes import placed_meshes, transformed
from gscompress.formats.limits import check_expansion, require_finite
from gscompress.formats.packed_values import sigmoid
from gscompress.formats.spz_container import parse
from gscompress.formats.spz_pack import unpack
from gscompress.frame import Frame
from gscompress.scene import Model, Scene, Splats
from gscompress.sh import C0

LUF = Frame("LUF")
EXTENSION = "KHR_gaussian_splatting"
_SPZ = ("KHR_gaussian_splatting_compression_spz_2", "KHR_gaussian_splatting_compression_spz")
_OLD_SPZ = "KHR_spz_gaussian_splats_compression"
_ELLIPSE = {
    "kernel": "ellipse",
    "colorSpace": "srgb_rec709_display",
    "sortingMethod": "cameraDistance",
    "projection": "perspective",
}
_MODEL_KEY = "gscompress_model"
_MODELS: dict[str, Model] = {"mip": "mip", "2dgs": "2dgs"}
_LOGIT_SLACK = 2.0**-24  # opacities of exactly 0 and 1 are read as this far away from them
_MIN_LOG_SCALE = -20.0
_MOST_PLACED = 4096  # a small file could draw one mesh a million times
_FLOAT, _BYTE, _POINTS = 5126, 5121, 0


class GltfFormat(Format):
    """Lossless but for the activations; ``.glb`` is one binary file, ``.gltf`` is JSON with base64 inside."""

    name = "gltf"
    suffixes = (".glb", ".gltf")

    def sniff(self, path: Path, head: bytes) -> bool:
        if head[:4] == MAGIC:
            return True
        return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" and (
            path.suffix.lower() == ".gltf" or EXTENSION.encode() in head
        )

    def read(self, path: Path, log: EventLog) -> Scene:
        document = open_document(path)
        placed = list(itertools.islice(_placed_primitives(document), _MOST_PLACED + 1))
        if len(placed) > _MOST_PLACED:
            raise UnreadableError(f"{path}: more than {_MOST_PLACED:,} splat primitives: refused")
        if not placed and EXTENSION not in str(document.json.get("extensionsUsed")):
            raise UnreadableError(f"{path}: this glTF has no Gaussian splats ({EXTENSION})")
        loaded: dict[int, Splats] = {}
        total, bands = 0, 1
        for primitive, _ in placed:
            if id(primitive) not in loaded:
                loaded[id(primitive)] = _read_primitive(document, primitive, log)
            total += len(loaded[id(primitive)])
            bands = max(bands, loaded[id(primitive)].sh.shape[1])
            check_expansion(path, total, bands, document.stored)
        models = {_model(primitive) for primitive, _ in placed}
        parts = [transformed(loaded[id(primitive)], matrix) for primitive, matrix in placed]
        return Scene(_joined(parts), LUF, models.pop() if len(models) == 1 else "3dgs")

    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        require_finite(scene, "glTF")
        document, binary = _document(scene.in_frame(LUF))
        if path.suffix.lower() == ".glb":
            path.write_bytes(glb_bytes(document, binary))
            return
        if binary:
            document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
        path.write_text(json.dumps(document), encoding="utf-8")

    def losses(self, scene: Scene) -> list[str]:
        out = ["quaternions are normalised, scales and opacities activated: opacities to ±6e-8"]
        if scene.splats.extras:
            out.append(f"extra columns are dropped: {', '.join(scene.splats.extras)}")
        if scene.model != "3dgs":
            out.append(f"only gscompress will read the {scene.model} tag: {EXTENSION} has none")
        return out


def _placed_primitives(document: Document) -> Iterator[tuple[Mapping[str, Any], npt.NDArray[np.float64]]]:
    """(primitive, 4x4 global matrix) of every splat primitive that the default scene draws."""
    for index, matrix in placed_meshes(document):
        primitives = document.item("meshes", index).get("primitives")
        for primitive in primitives if isinstance(primitives, list) else []:
            extensions = primitive.get("extensions") if isinstance(primitive, dict) else None
            if isinstance(extensions, dict) and (EXTENSION in extensions or _OLD_SPZ in extensions):
                yield primitive, matrix


def _model(primitive: Mapping[str, Any]) -> Model:
    extras = primitive.get("extras")
    return _MODELS.get(str(extras.get(_MODEL_KEY)), "3dgs") if isinstance(extras, dict) else "3dgs"


def _read_primitive(document: Document, primitive: Mapping[str, Any], log: EventLog) -> Splats:
    compressed = _spz_view(primitive["extensions"])
    if compressed is not None:
        data, _ = document.view(compressed)
        content = parse(document.path, bytes(data), log)
        splats = unpack(content.packed, content.header.version, content.header.fractional_bits)
        return Scene(splats, content.frame).in_frame(LUF).splats
    attributes = primitive.get("attributes")
    if not isinstance(attributes, dict):
        raise UnreadableError(f"{document.path}: a splat primitive has no attributes")
    names = {name.removeprefix(f"{EXTENSION}:").lstrip("_"): name for name in attributes}

    def column(name: str, kind: str) -> npt.NDArray[np.float32]:
        if name not in names:
            raise UnreadableError(f"{document.path}: a splat primitive has no {name}")
        return document.accessor(attributes[names[name]], kind)

    means = column("POSITION", "VEC3")
    count = len(means)
    bands = next((b for b in (4, 3, 2) if f"SH_DEGREE_{b - 1}_COEF_0" in names), 1)
    check_expansion(document.path, count, bands * bands, document.stored)
    if "SH_DEGREE_0_COEF_0" in names or "OPACITY" in names:
        opacities = column("OPACITY", "SCALAR")[:, 0]
        sh = [column(f"SH_DEGREE_{degree}_COEF_{i}", "VEC3") for degree in range(bands) for i in range(2 * degree + 1)]
    else:
        rgba = column("COLOR_0", "VEC4")
        opacities, sh = rgba[:, 3], [(rgba[:, :3] - np.float32(0.5)) / np.float32(C0)]
        sh += [
            column(f"SH_DEGREE_{degree}_COEF_{i}", "VEC3") for degree in range(1, bands) for i in range(2 * degree + 1)
        ]
    rotation, scale = column("ROTATION", "VEC4"), column("SCALE", "VEC3")
    if {len(a) for a in (rotation, scale, opacities, *sh)} != {count}:
        raise UnreadableError(f"{document.path}: the attributes of a splat primitive differ in length")
    log_scales = _logs(document, scale, log)
    return Splats(means, log_scales, rotation[:, [3, 0, 1, 2]], _logits(document, opacities, log), np.stack(sh, 1))


def _spz_view(extensions: Mapping[str, Any]) -> object | None:
    """The buffer view of an SPZ stream, if the primitive is stored as one."""
    splatting = extensions.get(EXTENSION)
    inner = splatting.get("extensions") if isinstance(splatting, dict) else None
    for name in (*_SPZ, _OLD_SPZ):
        for owner in (inner, extensions):
            if isinstance(owner, dict) and isinstance(owner.get(name), dict):
                return owner[name].get("bufferView", -1)
    return None


def _logs(document: Document, scale: npt.NDArray[np.float32], log: EventLog) -> npt.NDArray[np.float32]:
    """Natural logs of linear scales; scales with negative values can only be logs already."""
    if (scale < 0).any():
        log.warn(f"{document.path.name}: negative scales: taken as logarithms, as an older draft had them")
        return scale
    flat = int((scale == 0).sum())
    if flat:
        log.warn(f"{document.path.name}: {flat:,} scales of 0 are read as exp({_MIN_LOG_SCALE:g})")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.maximum(np.log(scale), np.float32(_MIN_LOG_SCALE))


def _logits(document: Document, opacities: npt.NDArray[np.float32], log: EventLog) -> npt.NDArray[np.float32]:
    clipped = np.clip(opacities.astype(np.float64), _LOGIT_SLACK, 1 - _LOGIT_SLACK)
    moved = int((np.abs(clipped - opacities) > 0).sum())
    if moved:
        log.warn(f"{document.path.name}: {moved:,} opacities of 0, 1 or beyond are read as just inside")
    return (np.log(clipped) - np.log1p(-clipped)).astype(np.float32)


def _joined(parts: list[Splats]) -> Splats:
    """All primitives as one, at the highest SH degree among them."""
    if not parts:
        none = np.empty((0, 3), np.float32)
        return Splats(none, none, np.empty((0, 4), np.float32), none[:, 0], none[:, None])
    degree = max(part.sh_degree for part in parts)
    return Splats.joined([part if part.sh_degree == degree else part.with_sh_degree(degree) for part in parts])


def _document(scene: Scene) -> tuple[dict[str, Any], bytes]:
    """The glTF JSON of a scene in glTF axes, and its binary buffer."""
    document: dict[str, Any] = {"asset": {"version": "2.0", "generator": "gscompress"}, "extensionsUsed": [EXTENSION]}
    if not len(scene):
        return document | {"scene": 0, "scenes": [{}]}, b""
    columns = _columns(scene.splats)
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    offset = 0
    for name, array in columns.items():
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[array.shape[1]]
        component = _BYTE if array.dtype == np.uint8 else _FLOAT
        accessor: dict[str, Any] = {"bufferView": len(views), "componentType": component, "count": len(scene)}
        accessor["type"] = kind
        if component == _BYTE:
            accessor["normalized"] = True
        if name == "POSITION":
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        accessors.append(accessor)
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": 34962})
        offset += array.nbytes
    primitive: dict[str, Any] = {"attributes": {name: i for i, name in enumerate(columns)}, "mode": _POINTS}
    primitive["extensions"] = {EXTENSION: _ELLIPSE}
    if scene.model != "3dgs":
        primitive["extras"] = {_MODEL_KEY: scene.model}
    document |= {
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    return document, b"".join(array.tobytes() for array in columns.values())


def _columns(splats: Splats) -> dict[str, npt.NDArray[Any]]:
    """Attribute names to (N, width) arrays in activated form. COLOR_0 is for viewers that draw points only."""
    opacities = sigmoid(splats.logit_opacities)
    norms = np.linalg.norm(splats.quats, axis=1, keepdims=True)
    quats = np.where(norms > 0, splats.quats / np.where(norms > 0, norms, 1), np.array([1, 0, 0, 0], np.float32))
    scales = np.exp(np.clip(splats.log_scales.astype(np.float64), -80, 80))
    colour = np.clip(0.5 + C0 * splats.sh[:, 0].astype(np.float64), 0, 1)
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    prefix = f"{EXTENSION}:"
    columns: dict[str, npt.NDArray[Any]] = {
        "POSITION": splats.means,
        "COLOR_0": np.rint(255 * np.concatenate([linear, opacities[:, None]], axis=1)).astype(np.uint8),
        f"{prefix}ROTATION": quats[:, [1, 2, 3, 0]].astype("<f4"),
        f"{prefix}SCALE": scales.astype("<f4"),
        f"{prefix}OPACITY": opacities[:, None].astype("<f4"),
    }
    for degree in range(splats.sh_degree + 1):
        for i in range(2 * degree + 1):
            columns[f"{prefix}SH_DEGREE_{degree}_COEF_{i}"] = splats.sh[:, degree * degree + i]
    return columns
