"""PlayCanvas' compressed.ply by our writer."""

from __future__ import annotations

from collections.abc import Sequence

from gscompress.bench.peers.base import Point
from gscompress.bench.peers.own_format import OwnFormat
from gscompress.formats.compressed_ply import CompressedPlyFormat


class CompressedPly(OwnFormat):
    name = "compressed_ply"
    title = "compressed.ply"
    suffix = ".compressed.ply"
    writer = CompressedPlyFormat

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point("chunked")]
