"""antimatter15's .splat by our writer: 32 bytes per Gaussian, no SH."""

from __future__ import annotations

from collections.abc import Sequence

from gscompress.bench.peers.base import Point
from gscompress.bench.peers.own_format import OwnFormat
from gscompress.formats.splat import SplatFormat


class Splat(OwnFormat):
    name = "splat"
    title = ".splat"
    suffix = ".splat"
    writer = SplatFormat

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point("raw")]
