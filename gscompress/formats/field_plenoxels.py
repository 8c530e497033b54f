"""Sparse voxel grids of Plenoxels (Fridovich-Keil, Yu et al. 2022): the ``.npz`` of the svox2 library.

Canonical names: mask (X, Y, Z) bool, and for its cells in C order density (N,) and sh (N, 3 * bands), channel by
channel, in the 3DGS basis and sign, colour = 0.5 + SH. A background model (layers around the grid) is not read.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gscompress.errors import UnreadableError
from gscompress.field import Field, Spec
from gscompress.formats.field_base import Content, FieldLayout

_BANDS = (1, 4, 9)
_STEP = 0.5  # cells between samples, as the library renders
_SH = 1  # its number for spherical harmonics


class PlenoxelsLayout(FieldLayout):
    """Voxel centres are where values sit: cell i of n covers [2 i / n - 1, 2 (i + 1) / n - 1] times the radius."""

    name: ClassVar[str] = "plenoxels"
    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def matches(self, content: Content) -> bool:
        return {"links", "density_data", "sh_data"} <= set(content.arrays)

    def read(self, content: Content) -> Field:
        links = content.need("links", None, None, None)
        density = content.need("density_data", None, 1)
        sh = content.need("sh_data", len(density), None)
        bands = sh.shape[1] // 3
        kind = content.arrays.get("basis_type")
        if bands not in _BANDS or sh.shape[1] % 3 or (kind is not None and int(kind.reshape(-1)[0]) != _SH):
            raise UnreadableError(f"{content.path}: only spherical harmonics of degree 0 to 2 are read")
        mask = links >= 0
        rows = links[mask].astype(np.int64)
        if rows.size and rows.max() >= len(density):
            raise UnreadableError(f"{content.path}: a link points at voxel {rows.max()} of {len(density)}")
        if "background_links" in content.arrays:
            content.log.warn(f"{content.path.name}: its background model is left out")
        centre, radius = (np.resize(content.need(name).reshape(-1), 3).astype(float) for name in ("center", "radius"))
        tensors = {"mask": mask, "density": density[rows, 0], "sh": sh[rows]}
        geometry = {
            "box": [(centre - radius).tolist(), (centre + radius).tolist()],
            "bands": bands,
            "step": _STEP,
            "white": True,
        }
        return Field(tensors, Spec("voxels", self.name, geometry))

    def build(self, field: Field) -> dict[str, Any]:
        mask = field.tensors["mask"]
        links = np.full(mask.shape, -1, np.int32)
        links[mask] = np.arange(np.count_nonzero(mask), dtype=np.int32)
        low, high = (np.asarray(corner, np.float32) for corner in field.spec.geometry["box"])
        return {
            "links": links,
            "density_data": field.tensors["density"][:, None],
            "sh_data": field.tensors["sh"].astype(np.float16),
            "center": (low + high) / 2,
            "radius": (high - low) / 2,
            "basis_type": np.array(_SH),
        }
