"""SPZ by Niantic's own C++ library, which the Python package gaussforge carries."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gscompress.bench.peers.base import Peer, Point
from gscompress.errors import GscompressError
from gscompress.events import EventLog
from gscompress.scene import Scene


class NianticSpz(Peer):
    name = "niantic_spz"
    title = "SPZ (Niantic)"
    suffix = ".spz"
    install = "pip install gaussforge"

    def version(self) -> str | None:
        try:
            return f"gaussforge {version('gaussforge')}"
        except PackageNotFoundError:
            return None

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point("default")]

    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        target.write_bytes(_converted(source.read_bytes(), "ply", "spz"))

    def decode(self, stored: Path, log: EventLog) -> Scene:
        """With the library too, which undoes the axes that it chose."""
        from gscompress import formats

        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / "decoded.ply"
            unpacked.write_bytes(_converted(stored.read_bytes(), "spz", "ply"))
            return formats.read(unpacked, log)


def _converted(data: bytes, source: str, target: str) -> bytes:
    import gaussforge

    result = gaussforge.GaussForge().convert(data, source, target)
    if "error" in result:
        raise GscompressError(f"gaussforge: {result['error']}")
    return bytes(result["data"])
