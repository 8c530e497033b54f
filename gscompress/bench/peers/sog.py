"""SOG by our writer. splat-transform's own (``st_sog``) needs a GPU, or hours, for scenes with SH."""

from __future__ import annotations

from collections.abc import Sequence

from gscompress.bench.peers.base import Point
from gscompress.bench.peers.own_format import OwnFormat
from gscompress.formats.sog import SogFormat

PALETTES = (1024, 8192, 65536)


class Sog(OwnFormat):
    name = "sog"
    title = "SOG (gscompress writer)"
    suffix = ".sog"
    writer = SogFormat

    def points(self, sh_degree: int) -> Sequence[Point]:
        """The size of the SH palette is all that can be chosen; splat-transform always asks for the largest."""
        if sh_degree == 0:
            return [Point("v2")]
        return [Point(f"palette {size}", {"palette": size}) for size in PALETTES]
