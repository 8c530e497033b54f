"""PlayCanvas' splat-transform, which defines SOG and compressed.ply in practice. It writes and reads its own files.

Looked for in ``GSCOMPRESS_SPLAT_TRANSFORM``, then on the PATH. Its SOG runs on the CPU here, which takes hours for
scenes with SH: the cell then ends at the time limit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from gscompress.bench.peers.base import Peer, Point
from gscompress.errors import GscompressError
from gscompress.events import EventLog
from gscompress.scene import Scene

VARIABLE = "GSCOMPRESS_SPLAT_TRANSFORM"


def program() -> str | None:
    """Where it is, or None."""
    return shutil.which(os.environ.get(VARIABLE) or "splat-transform")


def call(*arguments: str | Path) -> str:
    """Run it and return what it says. Raises GscompressError with its last words when it fails."""
    command = [program() or "splat-transform", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = f"{done.stdout}\n{done.stderr}".strip()
    if done.returncode:
        raise GscompressError(f"splat-transform failed: {said[-400:]}")
    return said


class Transformed(Peer):
    """A format that splat-transform writes."""

    install = "npm install -g @playcanvas/splat-transform"
    flags: ClassVar[tuple[str, ...]] = ()

    def version(self) -> str | None:
        if program() is None:
            return None
        found = re.search(r"v(\d[\w.]*)", call("--version"))
        return f"splat-transform {found[1] if found else '?'}"

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point("default")]

    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        log.info(call("-w", *self.flags, source, target))

    def decode(self, stored: Path, log: EventLog) -> Scene:
        from gscompress import formats

        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / "decoded.ply"
            call("-w", stored, unpacked)
            return formats.read(unpacked, log)


class TransformSog(Transformed):
    name = "st_sog"
    title = "SOG (splat-transform)"
    suffix = ".sog"
    flags = ("-g", "cpu")
    stand_in = "sog"


class TransformSpz(Transformed):
    name = "st_spz"
    title = "SPZ (splat-transform)"
    suffix = ".spz"


class TransformCompressedPly(Transformed):
    name = "st_compressed_ply"
    title = "compressed.ply (splat-transform)"
    suffix = ".compressed.ply"
