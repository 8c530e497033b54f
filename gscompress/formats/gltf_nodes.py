"""The node tree of a glTF file: which meshes are drawn, and where; and Gaussians under an affine map."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError
from gscompress.formats.gltf_container import Document
from gscompress.frame import matrix_to_quat, quat_to_matrix, rotate_quats
from gscompress.scene import Splats
from gscompress.sh import rotate_sh

F64 = npt.NDArray[np.float64]
_IDENTITY = np.eye(4)
_MIN_SCALE = math.exp(-20)


def placed_meshes(document: Document) -> Iterator[tuple[object, F64]]:
    """(mesh index, 4x4 global matrix) of every node of the default scene that has a mesh.

    A file without nodes is taken as its meshes where they are. Raises UnreadableError for a node met twice.
    """
    nodes = document.json.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        meshes = document.json.get("meshes")
        yield from ((index, _IDENTITY) for index in range(len(meshes) if isinstance(meshes, list) else 0))
        return
    seen: set[int] = set()
    open_ = [(index, _IDENTITY) for index in reversed(_roots(document, nodes))]
    while open_:
        index, parent = open_.pop()
        node = document.item("nodes", index)
        if index in seen:
            raise UnreadableError(f"{document.path}: node {index} has two parents or is its own ancestor")
        seen.add(index)
        matrix = parent @ _local(document, node)
        if not np.isfinite(matrix).all():
            raise UnreadableError(f"{document.path}: the matrices above node {index} multiply to infinity")
        if "mesh" in node:
            yield node["mesh"], matrix
        open_ += [(child, matrix) for child in reversed(_indices(document, node.get("children", [])))]


def transformed(splats: Splats, matrix: F64) -> Splats:
    """Splats under an affine 4x4: covariances by A C C^T A^T, SH turned by the rotation in A."""
    if np.array_equal(matrix, _IDENTITY):
        return splats
    linear = matrix[:3, :3]
    means = (splats.means @ linear.T + matrix[:3, 3]).astype(np.float32)
    left, sizes, right = np.linalg.svd(linear)
    turn = left @ right
    if sizes[0] - sizes[2] <= 1e-6 * sizes[0] and sizes[2] > 0:
        log_scales = splats.log_scales + np.float32(math.log(sizes.mean()))
        quats = rotate_quats(splats.quats, turn)
    else:
        log_scales, quats = _stretched(splats, linear)
    return replace(splats, means=means, log_scales=log_scales, quats=quats, sh=rotate_sh(splats.sh, turn))


def _stretched(splats: Splats, linear: F64) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Log scales and quaternions of ellipsoids under a map that is no similarity."""
    scales = np.exp(np.clip(splats.log_scales.astype(np.float64), -80, 80))
    shapes = linear @ (quat_to_matrix(splats.quats) * scales[:, None, :])
    axes, sizes, _ = np.linalg.svd(np.nan_to_num(shapes))
    axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
    return np.log(np.maximum(sizes, _MIN_SCALE)).astype(np.float32), matrix_to_quat(axes).astype(np.float32)


def _roots(document: Document, nodes: list[Any]) -> list[int]:
    scenes = document.json.get("scenes")
    if isinstance(scenes, list) and scenes:
        return _indices(document, document.item("scenes", document.json.get("scene", 0)).get("nodes", []))
    children = {c for node in nodes if isinstance(node, dict) for c in _indices(document, node.get("children", []))}
    return [index for index in range(len(nodes)) if index not in children]


def _indices(document: Document, value: object) -> list[int]:
    if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
        raise UnreadableError(f"{document.path}: a list of nodes is not a list of integers")
    return value


def _local(document: Document, node: Mapping[str, Any]) -> F64:
    """The matrix of one node: ``matrix`` (column by column), or translation, rotation (xyzw) and scale."""
    if "matrix" in node:
        return _numbers(document, node, "matrix", _IDENTITY.ravel()).reshape(4, 4).T
    out = np.eye(4)
    x, y, z, w = _numbers(document, node, "rotation", np.array([0.0, 0, 0, 1]))
    out[:3, :3] = quat_to_matrix(np.array([[w, x, y, z]]))[0] * _numbers(document, node, "scale", np.ones(3))
    out[:3, 3] = _numbers(document, node, "translation", np.zeros(3))
    return out


def _numbers(document: Document, node: Mapping[str, Any], key: str, default: F64) -> F64:
    value = node.get(key)
    if value is None:
        return default
    valid = isinstance(value, list) and len(value) == len(default)
    if not valid or not all(isinstance(x, (int, float)) and abs(x) < 1e30 for x in value):
        raise UnreadableError(f"{document.path}: the {key} of a node is not {len(default)} finite numbers")
    return np.array(value, np.float64)
