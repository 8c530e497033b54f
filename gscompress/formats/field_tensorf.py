"""VM planes: TensoRF's checkpoints (Chen et al. 2022; ``.th``), and our own of contracted planes.

Canonical names, for K from 0 to 2 with features last: density.plane.K (H, W, R), density.line.K (N, R), the same for
colour, basis.weight (features, sum of R), head.0 … head.2 where shading is by a network, occupancy (Z, Y, X) bool.
Plane K lies along the axes xy, xz, yz (columns first), its line along the third.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from gscompress.errors import UnreadableError
from gscompress.field import Array, Field, Spec
from gscompress.formats.field_base import OURS, Content, FieldLayout

_PARTS = {"density": "density", "colour": "app"}
_HEAD = {0: 0, 1: 2, 2: 4}  # layers of the network, and their places in its Sequential
_SIZES = ((1, 0, 2), (2, 0, 1), (2, 1, 0))  # axes of rows, columns and line
_PLAIN = {
    "step": ("step_ratio", 2.0),
    "shift": ("density_shift", -10.0),
    "scale": ("distance_scale", 25.0),
    "faint": ("rayMarch_weight_thres", 1e-4),
    "activation": ("fea2denseAct", "softplus"),
    "shading": ("shadingMode", "MLP_Fea"),
}
_FREQUENCIES = ("view_pe", "fea_pe")
_MOST_FREQUENCIES = 24
_SHADINGS = ("MLP_Fea", "MLP", "SH", "RGB")  # TensoRF's own MLP_PE does not run: it counts its inputs wrongly
_MASK_THRESHOLD = 1e-3  # TensoRF's default; it counts only when its training goes on
_MORE = ("contraction", "samples")


class TensorfLayout(FieldLayout):
    """What TensoRF saves. Whether it is seen against white is not in the file: white is assumed, but for scenes in
    normalised device coordinates, which are known by near and far of 0 and 1."""

    name: ClassVar[str] = "tensorf"
    suffixes: ClassVar[tuple[str, ...]] = (".th", ".pth", ".ckpt")

    def matches(self, content: Content) -> bool:
        return "state_dict.density_plane.0" in content.arrays and "kwargs.contraction" not in content.facts

    def read(self, content: Content) -> Field:
        sizes = [int(n) for n in _numbers(content, "gridSize", 3)]
        tensors: dict[str, Array] = {}
        for ours, theirs in _PARTS.items():
            for k, (row, column, along) in enumerate(_SIZES):
                plane = content.need(f"state_dict.{theirs}_plane.{k}", 1, None, sizes[row], sizes[column])
                line = content.need(f"state_dict.{theirs}_line.{k}", 1, plane.shape[1], sizes[along], 1)
                tensors[f"{ours}.plane.{k}"] = np.ascontiguousarray(plane[0].transpose(1, 2, 0))
                tensors[f"{ours}.line.{k}"] = np.ascontiguousarray(line[0, :, :, 0].T)
        width = sum(tensors[f"colour.line.{k}"].shape[1] for k in range(3))
        tensors["basis.weight"] = content.need("state_dict.basis_mat.weight", None, width)
        geometry = _geometry(content)
        if geometry["shading"] not in _SHADINGS:
            raise UnreadableError(
                f"{content.path}: shading {geometry['shading']!r:.20} is none of {', '.join(_SHADINGS)}"
            )
        if str(geometry["shading"]).startswith("MLP"):
            for k, place in _HEAD.items():
                weight = content.need(f"state_dict.renderModule.mlp.{place}.weight", None, None)
                tensors[f"head.{k}.weight"] = weight
                tensors[f"head.{k}.bias"] = content.need(f"state_dict.renderModule.mlp.{place}.bias", len(weight))
        if "alphaMask.mask" in content.arrays:
            tensors["occupancy"] = _mask(content)
            geometry["mask_box"] = _box(content, "alphaMask.aabb")
        return Field(tensors, Spec("planes", self.name, geometry))

    def build(self, field: Field) -> dict[str, Any]:
        geometry, t = field.spec.geometry, field.tensors
        state: dict[str, Array] = {}
        for ours, theirs in _PARTS.items():
            for k in range(3):
                state[f"{theirs}_plane.{k}"] = t[f"{ours}.plane.{k}"].transpose(2, 0, 1)[None]
                state[f"{theirs}_line.{k}"] = t[f"{ours}.line.{k}"].T[None, :, :, None]
        state["basis_mat.weight"] = t["basis.weight"]
        if "head.0.weight" in t:
            state |= {
                f"renderModule.mlp.{place}.{part}": t[f"head.{k}.{part}"]
                for k, place in _HEAD.items()
                for part in ("weight", "bias")
            }
        kwargs = {
            "aabb": np.asarray(geometry["box"], np.float32),
            "gridSize": [len(t[f"density.line.{k}"]) for k in (2, 1, 0)],
            "density_n_comp": [t[f"density.line.{k}"].shape[1] for k in range(3)],
            "appearance_n_comp": [t[f"colour.line.{k}"].shape[1] for k in range(3)],
            "app_dim": len(t["basis.weight"]),
            "alphaMask_thres": _MASK_THRESHOLD,
            "near_far": [geometry["near"], geometry["far"]],
            "featureC": len(t["head.0.weight"]) if "head.0.weight" in t else 128,
        }
        kwargs |= {theirs: geometry[ours] for ours, (theirs, _) in _PLAIN.items()}
        kwargs |= dict(zip(_FREQUENCIES, geometry["frequencies"]))
        tree: dict[str, Any] = {"kwargs": kwargs | self.more(geometry), "state_dict": state}
        if "occupancy" in t:
            tree["alphaMask.shape"] = list(t["occupancy"].shape)
            tree["alphaMask.mask"] = np.packbits(t["occupancy"].reshape(-1))
            tree["alphaMask.aabb"] = np.asarray(geometry.get("mask_box", geometry["box"]), np.float32)
        return tree

    def more(self, geometry: Mapping[str, Any]) -> dict[str, Any]:
        """Further keywords."""
        return {}


class PlanesLayout(TensorfLayout):
    """Planes of contracted space: TensoRF's file with keywords that its own code refuses, as it cannot draw them."""

    name: ClassVar[str] = "planes"

    def matches(self, content: Content) -> bool:
        return "state_dict.density_plane.0" in content.arrays and "kwargs.contraction" in content.facts

    def more(self, geometry: Mapping[str, Any]) -> dict[str, Any]:
        return {key: geometry[key] for key in _MORE}


def _geometry(content: Content) -> dict[str, Any]:
    near, far = (float(x) for x in _numbers(content, "near_far", 2))
    ndc = (near, far) == (0.0, 1.0)
    if OURS not in content.facts:
        content.log.info(f"{content.path.name}: a {'black' if ndc else 'white'} background is assumed")
    geometry = {"box": _box(content, "kwargs.aabb"), "near": near, "far": far, "ndc": ndc, "white": not ndc}
    for ours, (theirs, otherwise) in _PLAIN.items():
        value = content.facts.get(f"kwargs.{theirs}", otherwise)
        if isinstance(value, str) != isinstance(otherwise, str):
            raise UnreadableError(f"{content.path}: '{theirs}' is {value!r:.40}")
        geometry[ours] = value
    frequencies = [content.facts.get(f"kwargs.{name}", 6) for name in _FREQUENCIES]
    if not all(isinstance(count, int) and 0 <= count <= _MOST_FREQUENCIES for count in frequencies):
        raise UnreadableError(f"{content.path}: {' and '.join(_FREQUENCIES)} are {frequencies!r:.60}")
    geometry["frequencies"] = frequencies
    if "kwargs.contraction" in content.facts:  # ours: the file's own geometry is laid over this one
        geometry |= {key: content.facts.get(f"kwargs.{key}") for key in _MORE} | {"world": np.eye(4)[:3].tolist()}
    return geometry


def _numbers(content: Content, name: str, count: int) -> list[float]:
    value = content.facts.get(f"kwargs.{name}")
    plain = isinstance(value, list) and len(value) == count
    if not plain or not all(isinstance(x, (int, float)) and math.isfinite(x) for x in value):  # type: ignore[union-attr]
        raise UnreadableError(f"{content.path}: the checkpoint's '{name}' is no list of {count} numbers")
    return list(value)  # type: ignore[arg-type]


def _box(content: Content, name: str) -> list[list[float]]:
    box = content.need(name, 2, 3).astype(float)
    if not (np.isfinite(box).all() and (box[1] > box[0]).all()):
        raise UnreadableError(f"{content.path}: '{name}' is no box")
    return box.tolist()


def _mask(content: Content) -> Array:
    shape = content.facts.get("alphaMask.shape")
    bits = content.need("alphaMask.mask", None)
    sides = [n for n in shape if isinstance(n, int) and n > 0] if isinstance(shape, list) else []
    if len(sides) < 3 or len(sides) != len(shape) or bits.dtype != np.uint8 or -(-math.prod(sides) // 8) != len(bits):  # type: ignore[arg-type]
        raise UnreadableError(f"{content.path}: the alpha mask does not fit its shape")
    if math.prod(sides[:-3]) != 1:
        raise UnreadableError(f"{content.path}: the alpha mask has {len(sides)} dimensions")
    return np.unpackbits(bits, count=math.prod(sides)).astype(bool).reshape(sides[-3:])
