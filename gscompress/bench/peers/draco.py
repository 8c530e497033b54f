"""Google's Draco on the positions, zstd on the rest: what people do who know point clouds."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from gscompress.bench.peers.base import Peer, Point
from gscompress.errors import GscompressError
from gscompress.events import EventLog
from gscompress.scene import Scene, Splats

_HEAD = struct.Struct("<III")  # length of the Draco part, Gaussians, SH coefficients


class Draco(Peer):
    """Positions by Draco at so many bits per axis in the order that it is given; the other attributes as half floats,
    the bytes of a column side by side, by zstd -19."""

    name = "draco"
    title = "Draco + half floats, zstd"
    suffix = ".drc"
    install = "pip install DracoPy"

    def version(self) -> str | None:
        try:
            return f"DracoPy {version('DracoPy')}"
        except PackageNotFoundError:
            return None

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point(f"{bits} bits", {"bits": bits}) for bits in (12, 14, 16)]

    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        import DracoPy
        import zstandard

        from gscompress import formats

        scene = formats.read(source, log)
        splats = scene.splats
        cloud = DracoPy.encode(
            splats.means, quantization_bits=options["bits"], compression_level=10, preserve_order=True
        )
        rest = np.concatenate([columns.reshape(len(splats), -1) for columns in _others(splats)], axis=1)
        halves = np.ascontiguousarray(rest.astype("<f2").T).view(np.uint8).reshape(rest.shape[1], -1, 2)
        packed = zstandard.compress(halves.transpose(0, 2, 1).tobytes(), 19)
        target.write_bytes(_HEAD.pack(len(cloud), len(splats), splats.sh.shape[1]) + cloud + packed)

    def decode(self, stored: Path, log: EventLog) -> Scene:
        import DracoPy
        import zstandard

        data = stored.read_bytes()
        length, rows, bands = _HEAD.unpack_from(data)
        means = DracoPy.decode(data[_HEAD.size : _HEAD.size + length]).points.astype(np.float32)
        halves = np.frombuffer(zstandard.decompress(data[_HEAD.size + length :]), np.uint8).reshape(-1, 2, rows)
        rest = np.ascontiguousarray(halves.transpose(0, 2, 1)).view("<f2")[..., 0].T.astype(np.float32)
        if len(means) != rows:
            raise GscompressError(f"Draco gave {len(means)} of {rows} points back")
        log_scales, quats, logits, sh = np.split(rest, [3, 7, 8], axis=1)
        return Scene(Splats(means, log_scales, quats, logits[:, 0], sh.reshape(rows, bands, 3)))


def _others(splats: Splats) -> tuple[Any, ...]:
    return splats.log_scales, splats.quats, splats.logit_opacities, splats.sh
