"""SPZ by the Python package gsply, which packs it in code of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gscompress.bench.peers.base import Peer, Point
from gscompress.events import EventLog
from gscompress.scene import Scene


class GsplySpz(Peer):
    name = "gsply_spz"
    title = "SPZ (gsply)"
    suffix = ".spz"
    install = "pip install gsply"

    def version(self) -> str | None:
        try:
            return f"gsply {version('gsply')}"
        except PackageNotFoundError:
            return None

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point("v4")]

    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        import gsply

        gsply.write_spz(target, gsply.plyread(source), version=4)

    def decode(self, stored: Path, log: EventLog) -> Scene:
        """With gsply too: it takes the axes of every file to be those of a .ply."""
        import gsply

        from gscompress import formats

        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / "decoded.ply"
            gsply.plywrite(unpacked, gsply.read_spz(stored))
            return formats.read(unpacked, log)
