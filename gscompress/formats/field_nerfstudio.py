"""nerfstudio checkpoints (``step-*.ckpt``): nerfacto and instant-ngp, in the torch and the tiny-cuda-nn layout.

Canonical names: grid (rows, F), the levels one after the other; base.0 … and head.0 … (``.weight``, ``.bias`` in the
torch layout); proposal.K.grid and proposal.K.net.0 …; appearance (images, width); occupancy (levels, X, Y, Z) bool.
Torch stores these as they are. tiny-cuda-nn stores one flat vector per module: first the layers, each padded to
multiples of 16 inputs and outputs and without biases, then the grid.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from gscompress.errors import UnreadableError, UsageError
from gscompress.field import Array, Field, Spec
from gscompress.formats.field_base import Content, FieldLayout, setting
from gscompress.hash_levels import levels_of, scales_of

_FIELD, _PROPOSALS = "pipeline._model.field", "pipeline._model.proposal_networks"
_TRANSFORMS = "dataparser_transforms.json"
_BASE = 16  # coarsest resolution: nerfstudio does not store it, and no method of its own changes it
_HARMONICS = 16
_GEO = 15  # geometry features of NerfactoField
_HEAD_LAYERS, _BASE_LAYERS = 3, 2


class NerfstudioLayout(FieldLayout):
    """The trainer's whole state is read; what is written back holds ``step`` and ``pipeline``."""

    name: ClassVar[str] = "nerfacto"
    suffixes: ClassVar[tuple[str, ...]] = (".ckpt",)

    def matches(self, content: Content) -> bool:
        return any(name.startswith(f"{_FIELD}.mlp_base.") for name in content.arrays)

    def read(self, content: Content) -> Field:
        tcnn = f"{_FIELD}.mlp_base.model.params" in content.arrays
        tensors: dict[str, Array] = {}
        indexing = "tcnn" if tcnn else "nerfstudio"
        geometry: dict[str, Any] = {**_sizes(content, _FIELD, indexing), "indexing": indexing}
        appearance = content.arrays.get(f"{_FIELD}.embedding_appearance.embedding.weight")
        if tcnn:
            _read_tcnn(content, tensors, geometry, 0 if appearance is None else appearance.shape[-1])
        else:
            tensors["grid"] = content.need(f"{_FIELD}.mlp_base.model.0.hash_table", None, None)
            _read_layers(content, f"{_FIELD}.mlp_base.model.1.layers", "base", tensors)
            _read_layers(content, f"{_FIELD}.mlp_head.layers", "head", tensors)
        if appearance is not None:
            tensors["appearance"] = appearance
        geometry["proposals"] = _read_proposals(content, tensors, tcnn)
        occupancy = content.arrays.get("pipeline._model.occupancy_grid.binaries")
        if occupancy is not None:
            tensors["occupancy"] = occupancy.astype(bool)
        geometry |= _scene(content, tensors, tcnn)
        _check(content, tensors, geometry)
        step = content.facts.get("step", 0)
        return Field(tensors, Spec("hash_grid", self.name, geometry), {"step": step})

    def build(self, field: Field) -> dict[str, Any]:
        geometry, t = field.spec.geometry, field.tensors
        tcnn = geometry["indexing"] == "tcnn"
        box = np.asarray(geometry["box"], np.float32)
        model: dict[str, Any] = {"field.aabb": box, **_buffers("field", geometry)}
        if "appearance" in t:
            model["field.embedding_appearance.embedding.weight"] = t["appearance"]
        if tcnn:
            model["field.mlp_base.model.params"] = _join(t, "base", "grid")
            model["field.mlp_head.tcnn_encoding.params"] = _join(t, "head", None)
        else:
            model["field.mlp_base.model.0.hash_table"] = t["grid"]
            _write_layers(t, "base", "field.mlp_base.model.1.layers", model)
            _write_layers(t, "head", "field.mlp_head.layers", model)
        for k, proposal in enumerate(geometry["proposals"]):
            stem = f"proposal_networks.{k}"
            model |= {f"{stem}.aabb": box, **_buffers(stem, proposal)}
            _write_proposal(t, k, stem, tcnn, model)
        if "occupancy" in t:
            model["occupancy_grid.binaries"] = t["occupancy"]
        pipeline = {f"_model.{name}": value for name, value in model.items()}
        return {"step": field.meta.get("step", 0), "pipeline": pipeline}


def _sizes(content: Content, stem: str, indexing: str) -> dict[str, Any]:
    """levels, base, finest, log2_size and scales from the module's buffers. Raises UnreadableError."""
    named = {"levels": "num_levels", "finest": "max_res", "log2_size": "log2_hashmap_size"}
    found = {key: content.need(f"{stem}.{name}") for key, name in named.items()}
    if any(value.size != 1 for value in found.values()):
        raise UnreadableError(f"{content.path}: the sizes of {stem} are no single numbers")
    sizes: dict[str, Any] = {key: int(value.reshape(-1)[0]) for key, value in found.items()} | {"base": _BASE}
    try:
        return sizes | {"scales": scales_of({**sizes, "indexing": indexing})}
    except UsageError as error:
        raise UnreadableError(f"{content.path}: {error}") from None


def _buffers(stem: str, geometry: Mapping[str, Any]) -> dict[str, Array]:
    named = {"num_levels": "levels", "max_res": "finest", "log2_hashmap_size": "log2_size"}
    return {f"{stem}.{name}": np.array(geometry[key], np.int64) for name, key in named.items()}


def _read_layers(content: Content, theirs: str, ours: str, tensors: dict[str, Array]) -> None:
    number = 0
    while f"{theirs}.{number}.weight" in content.arrays:
        weight = content.need(f"{theirs}.{number}.weight", None, None)
        tensors[f"{ours}.{number}.weight"] = weight
        tensors[f"{ours}.{number}.bias"] = content.need(f"{theirs}.{number}.bias", len(weight))
        number += 1
    if not number:
        raise UnreadableError(f"{content.path}: the checkpoint has no tensor '{theirs}.0.weight'")


def _write_layers(t: Mapping[str, Array], ours: str, theirs: str, model: dict[str, Any]) -> None:
    for name, array in t.items():
        if name.startswith(f"{ours}."):
            model[f"{theirs}.{name[len(ours) + 1 :]}"] = array


def _read_proposals(content: Content, tensors: dict[str, Array], tcnn: bool) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    while f"{_PROPOSALS}.{len(out)}.num_levels" in content.arrays:
        k = len(out)
        stem, ours = f"{_PROPOSALS}.{k}", f"proposal.{k}"
        sizes = _sizes(content, stem, "tcnn" if tcnn else "nerfstudio")
        if tcnn:
            rows = levels_of({**sizes, "indexing": "tcnn"}).rows
            flat = content.need(f"{stem}.encoding.tcnn_encoding.params", None)
            tensors[f"{ours}.grid"] = _grid(content, flat, rows)
            layers = content.need(f"{stem}.mlp_base.1.tcnn_encoding.params", None)
            inner = sizes["levels"] * tensors[f"{ours}.grid"].shape[1]
            hidden = _hidden(len(layers), inner, 1, 2)
            _split(content, layers, f"{ours}.net", [inner, hidden, 1], tensors)
        else:
            tensors[f"{ours}.grid"] = content.need(f"{stem}.encoding.hash_table", None, None)
            _read_layers(content, f"{stem}.mlp_base.1.layers", f"{ours}.net", tensors)
        out.append(sizes)
    return out


def _write_proposal(t: Mapping[str, Array], k: int, stem: str, tcnn: bool, model: dict[str, Any]) -> None:
    """The encoding is registered twice by nerfstudio: by itself and as the first part of mlp_base."""
    grid = t[f"proposal.{k}.grid"]
    for place in ("encoding", "mlp_base.0"):
        if tcnn:
            model[f"{stem}.{place}.tcnn_encoding.params"] = grid.reshape(-1)
        else:
            model[f"{stem}.{place}.hash_table"] = grid
    if tcnn:
        model[f"{stem}.mlp_base.1.tcnn_encoding.params"] = _join(t, f"proposal.{k}.net", None)
    else:
        _write_layers(t, f"proposal.{k}.net", f"{stem}.mlp_base.1.layers", model)


def _read_tcnn(content: Content, tensors: dict[str, Array], geometry: Mapping[str, Any], appearance: int) -> None:
    """Widths follow from the lengths: hidden layers are the only unknown. Raises UnreadableError."""
    flat = content.need(f"{_FIELD}.mlp_base.model.params", None)
    rows = levels_of(geometry).rows
    features = max(n for n in (1, 2, 4, 8) if n * rows < len(flat)) if rows < len(flat) else 0
    layers = len(flat) - rows * features
    inner = features * geometry["levels"]
    hidden = _hidden(layers, inner, 1 + _GEO, _BASE_LAYERS)
    tensors["grid"] = _grid(content, flat[layers:], rows)
    _split(content, flat[:layers], "base", [inner, hidden, 1 + _GEO], tensors)
    head = content.need(f"{_FIELD}.mlp_head.tcnn_encoding.params", None)
    inner = _HARMONICS + _GEO + appearance
    hidden = _hidden(len(head), inner, 3, _HEAD_LAYERS)
    _split(content, head, "head", [inner, hidden, hidden, 3], tensors)


def _padded(n: int) -> int:
    return -(-n // 16) * 16


def _hidden(length: int, inner: int, outer: int, layers: int) -> int:
    """The width h with h (inner + outer) + (layers - 2) h^2 = length, widths padded; 0 when there is none."""
    for width in (16, 32, 64, 128, 256):
        if width * (_padded(inner) + _padded(outer)) + (layers - 2) * width**2 == length:
            return width
    return 0


def _split(content: Content, flat: Array, stem: str, widths: list[int], tensors: dict[str, Array]) -> None:
    """Layers out of a flat vector, without their padding. Raises UnreadableError for widths that were not found."""
    if 0 in widths:
        raise UnreadableError(f"{content.path}: {len(flat)} parameters of '{stem}' fit no network of nerfstudio's")
    at = 0
    for k, (inner, outer) in enumerate(pairwise(widths)):
        shape = (_padded(outer), _padded(inner))
        matrix = flat[at : at + math.prod(shape)].reshape(shape)
        at += matrix.size
        tensors[f"{stem}.{k}.weight"] = np.ascontiguousarray(matrix[:outer, :inner])
        if inner < shape[1]:
            # tiny-cuda-nn feeds ones into padded inputs: their columns add up to a bias.
            tensors[f"{stem}.{k}.bias"] = matrix[:outer, inner:].sum(1)


def _join(t: Mapping[str, Array], stem: str, grid: str | None) -> Array:
    parts: list[Array] = []
    k = 0
    while f"{stem}.{k}.weight" in t:
        weight = t[f"{stem}.{k}.weight"]
        matrix = np.zeros([_padded(n) for n in weight.shape], np.float32)
        matrix[: weight.shape[0], : weight.shape[1]] = weight
        if f"{stem}.{k}.bias" in t:
            matrix[: weight.shape[0], weight.shape[1]] = t[f"{stem}.{k}.bias"]
        parts.append(matrix.reshape(-1))
        k += 1
    if grid is not None:
        parts.append(t[grid].reshape(-1))
    return np.concatenate(parts)


def _grid(content: Content, flat: Array, rows: int) -> Array:
    if not rows or len(flat) % rows:
        raise UnreadableError(f"{content.path}: a hash grid of {len(flat)} values does not have {rows} rows")
    return flat.reshape(rows, -1)


def _scene(content: Content, tensors: Mapping[str, Array], tcnn: bool) -> dict[str, Any]:
    """Box, sampling and the world's axes: config.yml and dataparser_transforms.json beside the checkpoint."""
    text = content.beside(("config.yml",))
    world = np.eye(4)[:3]
    moved = content.beside((_TRANSFORMS,))
    if moved:
        try:
            stored = json.loads(moved)
            world = np.asarray(stored["transform"], float).reshape(3, 4) * float(stored["scale"])
        except (ValueError, KeyError, TypeError, RecursionError):
            content.log.warn(f"{content.path.name}: {_TRANSFORMS} beside it is no transform and is left out")
    contraction = "none" if setting(text, "disable_scene_contraction") is True else "inf"
    proposals = len([n for n in tensors if re.fullmatch(r"proposal\.\d+\.grid", n)])
    fine = setting(text, "num_nerf_samples_per_ray")
    coarse = re.findall(r"num_proposal_samples_per_ray:[^\n]*((?:\n[ \t]*- \d+)+)", text)
    counts = [int(n) for n in re.findall(r"\d+", coarse[-1])] if coarse else [256, 96]
    last = int(fine) if isinstance(fine, int) else 48 if proposals else 256
    samples = [*(counts + [96] * proposals)[:proposals], last]
    scale = setting(text, "average_init_density")
    background = setting(text, "background_color")
    return {
        "world": world.tolist(),
        "box": content.need(f"{_FIELD}.aabb", 2, 3).tolist(),
        "contraction": contraction,
        "near": float(setting(text, "near_plane") or 0.05),
        "far": float(setting(text, "far_plane") or 1000.0),
        "samples": samples,
        "directions": "unit" if tcnn else "halved",
        "density_scale": float(scale) if isinstance(scale, (int, float)) else 1.0,
        "background": "plain" if background in ("black", "white", "random") else "last",
        "white": background == "white",
    }


def _check(content: Content, tensors: Mapping[str, Array], geometry: Mapping[str, Any]) -> None:
    """Rows of grids and widths of networks. Raises UnreadableError."""
    try:
        parts = [("grid", "base", levels_of(geometry))]
        for k, proposal in enumerate(geometry["proposals"]):
            levels = levels_of({**proposal, "indexing": geometry["indexing"]})
            parts.append((f"proposal.{k}.grid", f"proposal.{k}.net", levels))
    except UsageError as error:
        raise UnreadableError(f"{content.path}: {error}") from None
    for grid, net, levels in parts:
        rows, features = tensors[grid].shape
        if rows != levels.rows or tensors[f"{net}.0.weight"].shape[1] != features * len(levels):
            raise UnreadableError(f"{content.path}: {grid} has {rows} x {features} values, which its levels do not fit")
