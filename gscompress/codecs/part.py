"""A part: up to some 200,000 neighbouring Gaussians that are coded on their own. The unit of memory and streaming.

``skeleton`` has the reverse.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscompress.codecs import colour, geometry
from gscompress.codecs.colour import Basis
from gscompress.codecs.geometry import Classes
from gscompress.codecs.positions import Box, encode_coarse, encode_fine, wanted_levels
from gscompress.codecs.steps import Steps
from gscompress.entropy.neighbours import nearest_earlier
from gscompress.errors import UnreadableError
from gscompress.quant.exact import LOG2E, log
from gscompress.quant.rotation import sort_axes
from gscompress.scene import Splats

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
# A reader refuses a part with more Gaussians than these: memory stays a small multiple of the file.
FREE_ROWS, ROWS_PER_BYTE = 1024, 8


@dataclass(frozen=True, slots=True)
class Shared:
    """What all parts of a file have in common. sh_columns: 0, 9, 24 or 45."""

    box: Box
    steps: Steps
    basis: Basis
    sh_columns: int

    def pack(self) -> dict[str, bytes]:
        return {
            "steps": self.steps.pack(),
            "box": self.box.pack(),
            "sh.columns": bytes([self.sh_columns]),
            "sh.basis": self.basis.pack(),
        }

    @staticmethod
    def unpack(streams: Mapping[str, bytes]) -> Shared:
        """Raises UnreadableError, KeyError for a missing stream."""
        columns = int.from_bytes(streams["sh.columns"], "little")
        if columns not in (0, 9, 24, 45):
            raise UnreadableError(f"{columns} columns of higher SH are not possible: the file is corrupt")
        basis = Basis.unpack(streams["sh.basis"], columns)
        return Shared(Box.unpack(streams["box"]), Steps.unpack(streams["steps"]), basis, columns)


def encode_base(splats: Splats, classes: Classes, shared: Shared) -> tuple[dict[str, bytes], I32]:
    """All of a part but its higher SH: streams by attribute, and the neighbours that later levels use.

    ``splats`` and ``classes`` are in the order of ``positions.order``.
    """
    steps = shared.steps
    tree, coarse, known = encode_coarse(shared.box, splats.means)
    near = nearest_earlier(coarse)
    log_scales, axes = sort_axes(splats.log_scales, splats.quats)
    widened = geometry.widen(log_scales, steps.blur)
    scales_data, scales = geometry.encode_scales(widened, steps, classes, near)
    t = np.logaddexp(0.0, -splats.logit_opacities.astype(np.float64))
    opacity_data, opacity = geometry.encode_opacities(t, steps, classes, scales, near)
    wanted = wanted_levels(shared.box, log2_cells(steps, classes, scales))
    streams = {
        "info": struct.pack("<I", len(splats)),
        "position.tree": tree,
        "position.fine": encode_fine(shared.box, splats.means, known, wanted),
        "classes": classes.encode(near),
        "scale": scales_data,
        "opacity": opacity_data,
        **geometry.encode_rotations(axes, steps, classes, scales, near),
        "dc": colour.encode_dc(splats.sh[:, 0], steps, classes, opacity, near),
    }
    missing = (len(splats) - FREE_ROWS) // ROWS_PER_BYTE - sum(map(len, streams.values()))
    if missing > 0:
        # Identical Gaussians cost next to nothing; readers refuse what looks like a decompression bomb.
        streams["padding"] = bytes(missing + 1)
    return streams, near


def log2_cells(steps: Steps, classes: Classes, scales: F64) -> F64:
    """log2 of the position step in scene units: so many sigmas of the thinnest axis."""
    return log2_of(steps.of("position", classes.shape)) + scales[:, 2] * LOG2E


def log2_of(steps: F64) -> F64:
    """log2 of steps, which take few distinct values: exact arithmetic on each of those."""
    values, inverse = np.unique(steps, return_inverse=True)
    return np.array([log(v) * LOG2E for v in values])[inverse]


def encode_bands(symbols: I64, classes: Classes, near: I32, shared: Shared) -> list[dict[str, bytes]]:
    """The higher SH of a part, one dict of streams per level. symbols: (N, n)."""
    before, out = np.full(len(symbols), 7, np.int64), []
    for band in colour.bands(shared.sh_columns):
        lengths_data, data, before = colour.encode_band(symbols[:, band], before, shared.steps, classes, near)
        out.append({"sh.lengths": lengths_data, "sh": data})
    return out
