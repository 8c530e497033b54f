"""``.ply`` in the layout of the INRIA 3DGS reference: one row per Gaussian, float32, little-endian.

x y z · nx ny nz (optional, unused) · f_dc_0..2 · f_rest (channel-major: all red, all green, all blue) ·
opacity (logit) · scale_0..2 (log) · rot_0..3 (wxyz, any length). A file that declares no axes is in COLMAP's RDF.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.ply_comments import build_comments, comment_losses, parse_comments
from gscompress.formats.ply_header import (
    TYPE_NAMES,
    Element,
    Header,
    blocks,
    check,
    header_bytes,
    is_ply,
    read_header,
    row_ranges,
)
from gscompress.frame import RDF
from gscompress.scene import Scene, Splats
from gscompress.sh import C0

# The third log scale of a file without scale_2: a disc of one millionth of a unit (SuperSplat's choice as well).
FLAT = np.float32(math.log(1e-6))
_FLAT_SLACK = 0.1  # a codec may have moved the filler by as much
_NORMALS = ("nx", "ny", "nz")


class PlyFormat(Format):
    """The interchange format: lossless for float32 files, further columns and comments included."""

    name = "ply"
    suffixes = (".ply",)

    def sniff(self, path: Path, head: bytes) -> bool:
        return is_ply(head)

    def read(self, path: Path, log: EventLog) -> Scene:
        header = _plain_names(read_header(path))
        vertex = _vertex(header)
        check(header, vertex)
        splats, zero_normals = _read_rows(header, vertex, log)
        facts = parse_comments(header.comments)
        _note(header, vertex, log)
        model = "2dgs" if "scale_2" not in vertex.names else facts.model or "3dgs"
        meta = facts.meta | ({"normals": True} if zero_normals else {})
        return Scene(splats, facts.frame or RDF, model, meta)

    def losses(self, scene: Scene) -> list[str]:
        out = comment_losses(scene)
        extras = scene.splats.extras
        said = {
            "extra columns that are no numbers are dropped": [
                n for n, a in extras.items() if a.dtype.kind not in "biuf"
            ],
            "extra columns that have the name of a splat attribute are dropped": [n for n in extras if _is_core(n)],
            "extra columns of a type that PLY lacks are stored in another": [
                n for n, a in extras.items() if a.dtype.kind in "biuf" and a.dtype.str[1:] not in TYPE_NAMES
            ],
            "extra columns with several values per Gaussian become one column each": [
                n for n, a in extras.items() if a.ndim > 1
            ],
        }
        out += [f"{what}: {', '.join(names)}" for what, names in said.items() if names]
        return out

    @np.errstate(all="ignore")  # whatever bits the scene has are written
    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        comments = build_comments(scene, "2dgs" if _drops_scale_2(scene) else "3dgs")
        scene = scene.in_frame(RDF)
        columns = _columns(scene)
        dtype = np.dtype([(name, _column_type(array.dtype)) for name, array in columns.items()])
        with path.open("wb") as stream:
            stream.write(header_bytes([("vertex", len(scene), dtype)], comments))
            for rows in row_ranges(len(scene), dtype.itemsize):
                block = np.empty(rows.stop - rows.start, dtype)
                for name, array in columns.items():
                    block[name] = array[rows]
                block.tofile(stream)


def _plain_names(header: Header) -> Header:
    """CloudCompare puts "scalar_" before the name of every column that it does not know: take it away."""
    vertex = header.element("vertex")
    if vertex is None or "scalar_opacity" not in vertex.names:
        return header
    plain = tuple(replace(p, name=p.name.removeprefix("scalar_")) for p in vertex.properties)
    renamed = replace(vertex, properties=plain)
    return replace(header, elements=tuple(renamed if e is vertex else e for e in header.elements))


def _vertex(header: Header) -> Element:
    """The element that holds the splats. Raises UnreadableError when there are none, saying what there is."""
    vertex = header.element("vertex")
    if vertex is None:
        raise UnreadableError(f"{header.path}: the PLY has no vertex element")
    names = set(vertex.names)
    if "packed_position" in names:
        raise UnreadableError(f"{header.path}: this is a compressed.ply without its chunk element")
    if not {"x", "y", "z"} <= names:
        raise UnreadableError(f"{header.path}: the PLY has no x, y, z")
    if "opacity" not in names and not {"scale_0", "rot_0", "f_dc_0"} & names:
        kind = "mesh" if header.element("face") else "point cloud"
        raise UnreadableError(
            f"{header.path}: this PLY is a {kind}, not a splat scene: it has no opacity, scale_0, rot_0, f_dc_0"
        )
    for needed in ("opacity", "scale_0", "scale_1"):
        if needed not in names:
            raise UnreadableError(f"{header.path}: the PLY has no property {needed}: it is no complete splat scene")
    if not {"f_dc_0", "f_dc_1", "f_dc_2"} <= names and not {"red", "green", "blue"} <= names:
        raise UnreadableError(f"{header.path}: the PLY has no colour (f_dc_0, f_dc_1, f_dc_2)")
    if len(names & {f"rot_{i}" for i in range(4)}) not in (0, 4):
        raise UnreadableError(f"{header.path}: the PLY has only some of rot_0 to rot_3")
    return vertex


def rest_per_channel(header: Header, element: Element) -> int:
    """f_rest columns per colour channel: (degree + 1)^2 - 1 for any degree. Raises UnreadableError."""
    rest = sum(name.startswith("f_rest_") for name in element.names)
    bands = rest // 3 + 1
    complete = {f"f_rest_{i}" for i in range(rest)} <= set(element.names)
    if rest % 3 or math.isqrt(bands) ** 2 != bands or not complete:
        raise UnreadableError(f"{header.path}: {rest} f_rest properties fit no SH degree (0, 9, 24 or 45)")
    return bands - 1


def _read_rows(header: Header, vertex: Element, log: EventLog) -> tuple[Splats, bool]:
    """All rows, and whether the file has normals that are all zero (then they are not kept as columns)."""
    count, dtype, stored = vertex.count, header.dtype(vertex), rest_per_channel(header, vertex)
    kept = min(stored, 15)
    if stored > kept:
        log.warn(f"{header.path.name}: SH of degree {math.isqrt(stored)} is cut to degree 3")
    arrays = _empty(count, kept + 1)
    columns = _core_columns(arrays, stored)
    if "scale_2" not in vertex.names:
        arrays.log_scales[:, 2] = FLAT
    if "rot_0" not in vertex.names:
        log.warn(f"{header.path.name}: no rotations: every Gaussian is given the identity")
        arrays.quats[:] = (1, 0, 0, 0)
    from_rgb = "f_dc_0" not in vertex.names
    names = [n for n in vertex.names if n not in columns and not n.startswith("f_rest_")]
    extras = {name: np.empty(count, dtype[name].newbyteorder("=")) for name in names}
    targets = {name: columns.get(name, extras.get(name)) for name in vertex.names}
    with np.errstate(all="ignore"):
        for rows, block in blocks(header, vertex):
            for name, target in targets.items():
                if target is not None:
                    target[rows] = block[name]
        if from_rgb:
            log.warn(f"{header.path.name}: no f_dc: the colour is taken from red, green, blue")
            for channel, name in enumerate(("red", "green", "blue")):
                top = 255 if dtype[name].kind in "iu" else 1
                arrays.sh[:, 0, channel] = (extras.pop(name) / top - 0.5) / C0
    zero_normals = all(
        n in extras and extras[n].dtype == np.float32 and not extras[n].view(np.uint32).any() for n in _NORMALS
    )
    if zero_normals:
        extras = {name: array for name, array in extras.items() if name not in _NORMALS}
    return Splats(
        arrays.means, arrays.log_scales, arrays.quats, arrays.logit_opacities, arrays.sh, extras
    ), zero_normals


def _note(header: Header, vertex: Element, log: EventLog) -> None:
    """Say what of the file is not carried into the scene."""
    doubles = [p.name for p in vertex.properties if p.code == "f8" and p.name in ("x", "y", "z")]
    if doubles:
        log.warn(f"{header.path.name}: double precision positions are rounded to float32")
    others = [e.name for e in header.elements if e is not vertex]
    if others:
        log.warn(f"{header.path.name}: elements that are not splats are left out: {', '.join(others)}")
    for text in header.comments:
        if text.lower().startswith("vertical axis"):
            log.info(
                f"{header.path.name}: the header says '{text}'; the axes are taken as declared or RDF all the same"
            )


def _empty(count: int, bands: int) -> Splats:
    f32 = np.float32
    return Splats(
        np.empty((count, 3), f32),
        np.empty((count, 3), f32),
        np.empty((count, 4), f32),
        np.empty(count, f32),
        np.zeros((count, bands, 3), f32),
    )


def _core_columns(splats: Splats, per_channel: int) -> dict[str, npt.NDArray[Any]]:
    """PLY names to one-dimensional views of the arrays, in the INRIA order.

    ``per_channel`` f_rest columns per colour stand in the file; those beyond the array's bands have no view.
    """
    views = {name: splats.means[:, i] for i, name in enumerate("xyz")}
    views |= {f"f_dc_{c}": splats.sh[:, 0, c] for c in range(3)}
    for channel in range(3):
        for band in range(1, splats.sh.shape[1]):
            views[f"f_rest_{channel * per_channel + band - 1}"] = splats.sh[:, band, channel]
    views["opacity"] = splats.logit_opacities
    views |= {f"scale_{i}": splats.log_scales[:, i] for i in range(3)}
    views |= {f"rot_{i}": splats.quats[:, i] for i in range(4)}
    return views


def _is_core(name: str) -> bool:
    """Whether a PLY property of that name is an attribute of every splat, so that no extra column may have it."""
    return bool(re.fullmatch(r"[xyz]|opacity|f_rest_.*|f_dc_[012]|scale_[012]|rot_[0123]", name))


def _drops_scale_2(scene: Scene) -> bool:
    """A scene of discs whose third scale is only the filler is written as it was read: without scale_2."""
    return scene.model == "2dgs" and bool((np.abs(scene.splats.log_scales[:, 2] - FLAT) <= _FLAT_SLACK).all())


def _columns(scene: Scene) -> dict[str, npt.NDArray[Any]]:
    """Every column of the file by name, in order: position, normals, colour, opacity, scales, rotation, extras."""
    splats = scene.splats
    core = _core_columns(splats, splats.sh.shape[1] - 1)
    if _drops_scale_2(scene):
        del core["scale_2"]
    extras = {name: array for name, array in _flat_extras(splats.extras).items() if not _is_core(name)}
    normals: dict[str, npt.NDArray[Any]] = {}
    if scene.meta.get("normals"):
        normals = {name: np.broadcast_to(np.float32(0), len(splats)) for name in _NORMALS}
    normals |= {name: extras.pop(name) for name in _NORMALS if name in extras}
    position = {name: core.pop(name) for name in "xyz"}
    return cast(dict[str, npt.NDArray[Any]], position | normals | core | extras)


def _flat_extras(extras: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """(N, C) columns become C columns name_0, name_1 …; blanks in names become underscores; only numbers are kept."""
    out = {}
    for name, array in extras.items():
        plain = "_".join(name.split()) or "extra"
        if array.dtype.kind not in "biuf":
            continue
        if array.ndim == 1:
            out[plain] = array
        else:
            wide = array.reshape(len(array), -1)
            out |= {f"{plain}_{i}": wide[:, i] for i in range(wide.shape[1])}
    return out


def _column_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The little-endian PLY type that holds a column: int64 becomes double, half float and bool the next wider."""
    code = dtype.str[1:]
    return np.dtype("<" + (code if code in TYPE_NAMES else {"b1": "u1", "f2": "f4"}.get(code, "f8")))
