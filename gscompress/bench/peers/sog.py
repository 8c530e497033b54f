"""SOG by our writer. splat-transform's own (``st_sog``) needs a GPU, or hours, for scenes with SH."""

from __future__ import annotations

from collections.abc import Sequence

from gscompress.bench.peers.base import Point
from gscompress.bench.peers.own_format import OwnFormat
from gscompress.formats.sog import SogFormat


class Sog(OwnFormat):
    name = "sog"
    title = "SOG (gscompress writer)"
    suffix = ".sog"
    writer = SogFormat

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point("v2")]
