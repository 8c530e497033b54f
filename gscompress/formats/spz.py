"""``.spz``, the compressed format of Niantic: reads versions 1 to 4, writes 3 and 4.

Specification: the README of https://github.com/nianticlabs/spz. Positions are stored in right-up-back axes unless an
extension of the file says otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.limits import require_finite
from gscompress.formats.spz_container import AXES, Header, build, is_spz, parse
from gscompress.formats.spz_pack import COLOR_SCALE, pack, unpack
from gscompress.frame import Frame
from gscompress.scene import Scene

_USUAL_BITS = 12  # what every writer that we know uses, whatever the scene
_LARGEST = 2**23 - 1
_MOST_BITS = 20
# Worst case of three components off by half a step of 1/(511 sqrt 2) and the fourth derived from them.
_QUAT_DEGREES = math.degrees(2 * math.sqrt(12) * 0.5 * math.sqrt(0.5) / 511)


@dataclass(frozen=True)
class SpzFormat(Format):
    """Options of the writer, with the reference library's defaults; readers need none of them.

    version: 3 (gzip, read everywhere) or 4 (zstd).
    sh_bits: bits of an SH coefficient of degree 1, and of degrees 2 and 3; 1 to 8.
    fractional_bits: positions are multiples of 2^-bits. None chooses: 12, or fewer when the scene reaches beyond
        ±2048 units (other writers wrap around there), or more when that is coarse against the Gaussians.
    axes: right-up-back as the specification has it. Other axes are recorded in an extension that few readers know;
        "RDF" keeps the numbers of a .ply, which is what splat-transform and gsply take every SPZ file to hold.
    level: of zstd, or of gzip up to 9.
    """

    name = "spz"
    suffixes = (".spz",)
    version: Literal[3, 4] = 4
    sh_bits: tuple[int, ...] = (5, 4)
    fractional_bits: int | None = None
    axes: str = "RUB"
    level: int = 12

    def __post_init__(self) -> None:
        if self.version not in (3, 4):
            raise UsageError(f"spz:version={self.version}: choose 3 or 4")
        if len(self.sh_bits) != 2 or not all(1 <= bits <= 8 for bits in self.sh_bits):
            raise UsageError(f"spz:sh_bits={self.sh_bits}: give two numbers from 1 to 8")
        if self.fractional_bits is not None and not 0 <= self.fractional_bits <= _MOST_BITS:
            raise UsageError(f"spz:fractional_bits={self.fractional_bits}: choose 0 to {_MOST_BITS}")
        if self.axes not in AXES:
            raise UsageError(f"spz:axes={self.axes}: choose from {', '.join(AXES)}")
        if not 1 <= self.level <= 22:
            raise UsageError(f"spz:level={self.level}: choose 1 to 22")

    def sniff(self, path: Path, head: bytes) -> bool:
        return is_spz(head)

    def read(self, path: Path, log: EventLog) -> Scene:
        content = parse(path, path.read_bytes(), log)
        header = content.header
        if header.degree > 3:
            log.warn(f"{path.name}: SH degree 4 is cut to degree 3")
        opaque = int(np.isin(content.packed.alphas, (0, 255)).sum())
        if opaque:
            log.warn(f"{path.name}: {opaque:,} opacities of exactly 0 or 1 are read as 0.001 and 0.999")
        splats = unpack(content.packed, header.version, header.fractional_bits)
        return Scene(splats, content.frame, "mip" if header.antialiased else "3dgs", {"spz_version": header.version})

    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        require_finite(scene, "SPZ")
        bits = self._bits(scene)
        frame = Frame(self.axes)
        splats = scene.in_frame(frame).splats
        packed = pack(splats, bits, (self.sh_bits[0], self.sh_bits[1]))
        header = Header(self.version, len(splats), splats.sh_degree, bits, int(scene.model == "mip"))
        path.write_bytes(build(packed, header, frame, self.level))

    def bounds(self, scene: Scene) -> dict[str, float]:
        """The largest error of each attribute for values inside the format's range.

        means: scene units per axis · log_scales: natural log · quats: degrees of rotation · opacities: 0..1 ·
        dc, sh1, sh2: SH coefficients of degree 0, 1 and above.
        """
        return {
            "means": 0.5 * 2.0 ** -self._bits(scene),
            "log_scales": 1 / 32,
            "quats": _QUAT_DEGREES,
            "opacities": 0.5 / 255,
            "dc": 0.5 / 255 / COLOR_SCALE,
            "sh1": 2.0 ** -self.sh_bits[0],
            "sh2": 2.0 ** -self.sh_bits[1],
        }

    def losses(self, scene: Scene) -> list[str]:
        bound = self.bounds(scene)
        sh = f", SH ±{bound['sh1']:.3g} and ±{bound['sh2']:.3g}" if scene.splats.sh_degree else ""
        out = [
            f"rounded: positions ±{bound['means']:.2g} units, scales ±3.2 %, rotations ±{bound['quats']:.2f}°, "
            f"opacities ±0.002, DC ±{bound['dc']:.2g}{sh}"
        ]
        out += [f"{text} are clamped" for text in self._clamped(scene)]
        if scene.splats.extras:
            out.append(f"extra columns are dropped: {', '.join(scene.splats.extras)}")
        if scene.model == "2dgs":
            out.append("the 2DGS tag is dropped: SPZ has none")
        return out

    def _bits(self, scene: Scene) -> int:
        if self.fractional_bits is not None:
            return self.fractional_bits
        if not len(scene):
            return _USUAL_BITS
        reach = float(np.abs(scene.splats.means).max())
        size = float(np.exp(np.median(scene.splats.log_scales.mean(axis=1, dtype=np.float64))))
        finest = math.floor(math.log2(_LARGEST / reach)) if 0 < reach < math.inf else _MOST_BITS
        wanted = math.ceil(math.log2(4 / size)) if 0 < size < math.inf else _USUAL_BITS
        return max(0, min(max(_USUAL_BITS, wanted), finest, _MOST_BITS))

    def _clamped(self, scene: Scene) -> list[str]:
        """What lies outside the ranges of the format, with counts."""
        splats, step = scene.splats, 2.0 ** -self._bits(scene)
        outside = {
            f"positions beyond ±{_LARGEST * step:.4g} units": np.abs(splats.means) > (_LARGEST + 0.5) * step,
            "log scales outside -10 to 5.94": (splats.log_scales < -10 - 1 / 32)
            | (splats.log_scales > 5.9375 + 1 / 32),
            "DC coefficients beyond ±3.33": np.abs(splats.sh[:, 0]) > (0.5 + 0.5 / 255) / COLOR_SCALE,
            "SH coefficients outside -1 to 0.99": np.abs(splats.sh[:, 1:]) > 1 + 2.0 ** -max(self.sh_bits),
        }
        return [f"{int(mask.sum()):,} {text}" for text, mask in outside.items() if mask.any()]
