"""SPZ version 4 by our writer, at the bits per SH coefficient that its users choose from."""

from __future__ import annotations

from collections.abc import Sequence

from gscompress.bench.peers.base import Point
from gscompress.bench.peers.own_format import OwnFormat
from gscompress.formats.spz import SpzFormat

SH_BITS = ((3, 2), (4, 3), (5, 4), (6, 5), (7, 6), (8, 8))


class Spz(OwnFormat):
    name = "spz"
    title = "SPZ v4"
    suffix = ".spz"
    writer = SpzFormat

    def points(self, sh_degree: int) -> Sequence[Point]:
        if sh_degree == 0:
            return [Point("v4")]
        return [Point(f"{first}/{rest}", {"sh_bits": [first, rest]}) for first, rest in SH_BITS]
