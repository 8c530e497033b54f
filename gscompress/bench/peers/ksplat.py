"""GaussianSplats3D's .ksplat by its own code, run in Node: what its ``create-ksplat.js`` does.

Looked for in the folder that ``GSCOMPRESS_KSPLAT`` names, below ``node_modules``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gscompress.bench.peers.base import Peer, Point
from gscompress.errors import GscompressError
from gscompress.events import EventLog

VARIABLE = "GSCOMPRESS_KSPLAT"
_PACKAGE = Path("node_modules", "@mkkellogg", "gaussian-splats-3d", "package.json")
_SCRIPT = """
import { readFileSync, writeFileSync } from 'node:fs';
globalThis.window = globalThis;
const { PlyLoader } = await import('@mkkellogg/gaussian-splats-3d');
const [source, target, level] = process.argv.slice(1);
const bytes = readFileSync(source);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const made = await PlyLoader.loadFromFileData(buffer, 1, Number(level), true, 2);
writeFileSync(target, new Uint8Array(made.bufferData));
"""


def folder() -> Path | None:
    """Where the package is installed, or None."""
    home = os.environ.get(VARIABLE)
    there = home and (Path(home) / _PACKAGE).is_file() and shutil.which("node")
    return Path(home) if home and there else None


class Ksplat(Peer):
    """Levels 1 (16 bits) and 2 (8-bit SH); SH above degree 2 is dropped by the format, as are Gaussians of alpha 0."""

    name = "ksplat"
    title = ".ksplat (GaussianSplats3D)"
    suffix = ".ksplat"
    install = (
        "npm install --prefix ~/.ksplat @mkkellogg/gaussian-splats-3d three@0.160 && export GSCOMPRESS_KSPLAT=~/.ksplat"
    )

    def version(self) -> str | None:
        home = folder()
        if home is None:
            return None
        return f"gaussian-splats-3d {json.loads((home / _PACKAGE).read_text('utf-8'))['version']}"

    def points(self, sh_degree: int) -> Sequence[Point]:
        levels = (1, 2) if sh_degree else (1,)
        return [Point(f"level {level}", {"level": level}) for level in sorted(levels, reverse=True)]

    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        arguments = [str(source.resolve()), str(target.resolve()), str(options["level"])]
        command = ["node", "--input-type=module", "-e", _SCRIPT, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder())
        if done.returncode:
            raise GscompressError(f"gaussian-splats-3d failed: {done.stderr.strip()[-400:]}")
