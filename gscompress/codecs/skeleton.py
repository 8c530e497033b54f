"""Decoding of a part. Its *skeleton* (coarse positions, neighbours, classes) comes first; geometry and colour are coded
in view of nothing else but it, so two threads decode them side by side.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscompress.codecs import colour, geometry
from gscompress.codecs.geometry import Classes
from gscompress.codecs.part import FREE_ROWS, ROWS_PER_BYTE, Shared, log2_cells
from gscompress.codecs.positions import decode_fine, wanted_levels
from gscompress.codecs.synthesis import add_band, quats_from_parameters
from gscompress.entropy.neighbours import nearest_earlier
from gscompress.entropy.octree import decode_tree
from gscompress.errors import UnreadableError
from gscompress.quant.exact_blocks import log_opacities_to_logits, sharpen
from gscompress.scene import Splats

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
Streams = Mapping[str, bytes]
NOTHING_BEFORE = 7  # stands for the lengths of the band before the first


@dataclass(frozen=True, slots=True)
class Skeleton:
    """coarse: (N, 3) grid coordinates, the first ``known`` (N,) binary levels of them. near: (N, NEAR) earlier rows."""

    shared: Shared
    coarse: I64
    known: I64
    near: I32
    classes: Classes

    def __len__(self) -> int:
        return len(self.coarse)

    @staticmethod
    def decode(base: Streams, shared: Shared) -> Skeleton:
        """Raises UnreadableError, KeyError for a missing stream."""
        if len(base["info"]) != 4:
            raise UnreadableError("a part's count is malformed: the file is corrupt")
        rows = struct.unpack("<I", base["info"])[0]
        if rows > FREE_ROWS + ROWS_PER_BYTE * sum(map(len, base.values())):
            raise UnreadableError(f"a part claims {rows} Gaussians in too few bytes: the file is corrupt")
        coarse, known = decode_tree(base["position.tree"], rows)
        near = nearest_earlier(coarse)
        return Skeleton(shared, coarse, known, near, Classes.decode(base["classes"], rows, near))

    def geometry(self, base: Streams, into: Splats) -> None:
        """Write all but higher SH into ``into``, the part's rows. Raises UnreadableError, KeyError."""
        rows, steps, classes, near = len(self), self.shared.steps, self.classes, self.near
        scales = geometry.decode_scales(base["scale"], rows, steps, classes, near)
        opacity = geometry.decode_opacities(base["opacity"], rows, steps, classes, scales, near)
        wanted = wanted_levels(self.shared.box, log2_cells(steps, classes, scales))
        turned = geometry.decode_rotations(dict(base), rows, steps, classes, scales, near)
        into.means[:] = decode_fine(self.shared.box, base["position.fine"], self.coarse, self.known, wanted)
        sharpen(scales, steps.blur, into.log_scales)
        quats_from_parameters(*turned, into.quats)
        log_opacities_to_logits(np.maximum(opacity, geometry.LEAST), into.logit_opacities)
        colour.decode_dc(base["dc"], steps, classes, opacity, near, into.sh)

    def colour(self, bands: Sequence[Streams], into: Splats, first: int = 0, before: I64 | None = None) -> I64:
        """Add consecutive bands of higher SH to ``into``, the part's rows; the first of them is number ``first``.

        ``before`` and the result: (N,) lengths of the last band. Raises UnreadableError, KeyError.
        """
        steps, levels = self.shared.steps, colour.bands(self.shared.sh_columns)
        if before is None:
            before = np.full(len(self), NOTHING_BEFORE, np.int64)
        flat = into.sh.reshape(len(self), self.shared.sh_columns + 3)
        for band, streams in zip(levels[first:], bands, strict=False):
            symbols, before = colour.decode_band(
                streams["sh.lengths"], streams["sh"], band.stop - band.start, before, steps, self.classes, self.near
            )
            add_band(flat, symbols, before, steps.of("sh", self.classes.colour), self.shared.basis.matrix[band])
        return before


def blank(rows: int, sh_columns: int) -> Splats:
    """Room for decoded Gaussians; higher SH are zero."""
    return Splats(
        means=np.empty((rows, 3), np.float32),
        log_scales=np.empty((rows, 3), np.float32),
        quats=np.empty((rows, 4), np.float32),
        logit_opacities=np.empty(rows, np.float32),
        sh=np.zeros((rows, sh_columns // 3 + 1, 3), np.float32),
    )


def window(splats: Splats, rows: slice) -> Splats:
    """The same memory, some rows of it."""
    return Splats(
        splats.means[rows],
        splats.log_scales[rows],
        splats.quats[rows],
        splats.logit_opacities[rows],
        splats.sh[rows],
    )


@dataclass
class Part:
    """A part while it is decoded level by level: the base, then one band of SH after the other."""

    skeleton: Skeleton
    splats: Splats
    before: I64 | None = None
    bands: int = 0

    @staticmethod
    def decode(base: Streams, shared: Shared) -> Part:
        """Raises UnreadableError, KeyError for a missing stream."""
        skeleton = Skeleton.decode(base, shared)
        splats = blank(len(skeleton), shared.sh_columns)
        skeleton.geometry(base, splats)
        return Part(skeleton, splats)

    def refine(self, streams: Streams) -> None:
        """Add the next band of SH. What was yielded before stays as it was."""
        old = self.splats
        self.splats = Splats(old.means, old.log_scales, old.quats, old.logit_opacities, old.sh.copy())
        self.before = self.skeleton.colour([streams], self.splats, self.bands, self.before)
        self.bands += 1
