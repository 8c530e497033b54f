"""``.splat`` of antimatter15: 32 bytes per Gaussian, no header, no spherical harmonics.

float32 x, y, z · float32 linear scales · RGBA bytes (0.5 + C0 * dc, opacity) · quaternion wxyz,
(byte - 128) / 128. The numbers are those of the .ply that a file was made from (RDF).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.limits import require_finite
from gscompress.formats.packed_values import LOGITS, opacity_bytes
from gscompress.formats.ply_header import row_ranges
from gscompress.frame import RDF
from gscompress.scene import F32, Scene, Splats
from gscompress.sh import C0

ROW = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])
# Scales of 0 have no logarithm; what is read instead is too small to be seen. Also the limits of what is written.
SMALLEST_LOG_SCALE, _LARGEST_LOG_SCALE = -20.0, 88.0
_QUAT_DEGREES = math.degrees(2 * math.asin(2 / 256))  # four components off by half a step of 1/128


class SplatFormat(Format):
    """Small and read everywhere, but flat in colour. Colour and opacity are rounded to bytes."""

    name = "splat"
    suffixes = (".splat",)

    def sniff(self, path: Path, head: bytes) -> bool:
        return path.name.lower().endswith(".splat") and path.is_file()

    @np.errstate(all="ignore")  # damaged rows hold anything
    def read(self, path: Path, log: EventLog) -> Scene:
        size = path.stat().st_size
        if size == 0 or size % ROW.itemsize:
            raise UnreadableError(f"{path}: {size:,} bytes are no whole number of 32-byte rows: cut off, or no .splat")
        rows = np.fromfile(path, ROW)
        sh = ((rows["rgba"][:, :3].astype(np.float32) / 255 - 0.5) / C0)[:, None]
        alpha = rows["rgba"][:, 3]
        extreme = int(((alpha == 0) | (alpha == 255)).sum())
        if extreme:
            log.warn(f"{path.name}: {extreme:,} opacities of exactly 0 or 1 are read as 0.001 and 0.999")
        splats = Splats(
            np.ascontiguousarray(rows["means"], np.float32),
            log_of_scales(rows["scales"], path, log),
            _quats(rows["quats"]),
            LOGITS[alpha],
            sh.astype(np.float32),
        )
        return Scene(splats, RDF)

    def bounds(self, scene: Scene) -> dict[str, float]:
        """The largest error of each attribute for values inside the format's range; the keys are those of SPZ."""
        return {
            "means": 0.0,
            "log_scales": 4e-7 + 2.0**-23 * float(np.abs(np.clip(scene.splats.log_scales, -20, 88)).max(initial=0)),
            "quats": _QUAT_DEGREES,
            "opacities": 0.5 / 255,
            "dc": 0.5 / 255 / C0,
        }

    def losses(self, scene: Scene) -> list[str]:
        splats = scene.splats
        out = [f"rounded to 8 bits: colours ±0.002, opacities ±0.002, rotations ±{_QUAT_DEGREES:.1f}°"]
        clipped = int((np.abs(splats.sh[:, 0] * C0) > 0.5).any(axis=1).sum())
        if clipped:
            out.append(f"the colours of {clipped:,} Gaussians that lie outside 0 to 1 are clamped")
        small = int((splats.log_scales < SMALLEST_LOG_SCALE).sum())
        if small:
            out.append(f"{small:,} log scales below {SMALLEST_LOG_SCALE:.0f} are clamped")
        if splats.sh_degree:
            out.append(f"spherical harmonics of degree 1 to {splats.sh_degree} are dropped")
        if scene.model != "3dgs":
            out.append(f"the model tag '{scene.model}' is dropped")
        if scene.frame != RDF:
            out.append(f"axes are turned from {scene.frame.axes} to RDF, which every program expects")
        if splats.extras:
            out.append(f"extra columns are dropped: {', '.join(splats.extras)}")
        meta = [key for key in scene.meta if key != "normals"]
        if meta:
            out.append(f"metadata is dropped: {', '.join(meta)}")
        return out

    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        if not len(scene):
            raise UsageError("a .splat file cannot hold an empty scene: choose another format")
        require_finite(scene, ".splat")
        splats = scene.in_frame(RDF).splats
        with path.open("wb") as stream:
            for part in row_ranges(len(splats), ROW.itemsize):
                rows = np.empty(part.stop - part.start, ROW)
                rows["means"] = splats.means[part]
                rows["scales"] = np.exp(np.clip(splats.log_scales[part], SMALLEST_LOG_SCALE, _LARGEST_LOG_SCALE))
                rows["rgba"][:, :3] = np.clip(np.rint((splats.sh[part, 0] * C0 + 0.5) * 255), 0, 255)
                rows["rgba"][:, 3] = opacity_bytes(splats.logit_opacities[part])
                rows["quats"] = _quat_bytes(splats.quats[part])
                rows.tofile(stream)


def log_of_scales(scales: F32, path: Path, log: EventLog) -> F32:
    """Natural logarithms of linear scales; what is not above zero becomes invisibly small, and is reported."""
    scales = scales.astype(np.float32)
    bad = ~(scales > math.exp(SMALLEST_LOG_SCALE))
    if bad.any():
        log.warn(f"{path.name}: {int(bad.sum()):,} scales that are zero, negative or no number are read as exp(-20)")
    return np.where(bad, np.float32(SMALLEST_LOG_SCALE), np.log(np.where(bad, np.float32(1), scales)))


def _quats(stored: np.ndarray) -> F32:
    """Unit quaternions; the all-zero one (bytes of 128) becomes the identity."""
    quats = (stored.astype(np.float32) - 128) / 128
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    return np.where(length > 0, quats / np.where(length > 0, length, 1), np.array([1, 0, 0, 0], np.float32)).astype(
        np.float32
    )


def _quat_bytes(quats: F32) -> np.ndarray:
    """Of q and -q, the same rotation, the one with a negative largest component: -1 is a byte, +1 would be clamped."""
    length = np.linalg.norm(quats.astype(np.float64), axis=1, keepdims=True)
    unit = np.where(length > 0, quats / np.where(length > 0, length, 1), [1.0, 0, 0, 0])
    largest = np.take_along_axis(unit, np.abs(unit).argmax(axis=1)[:, None], axis=1)
    return np.clip(np.rint(np.where(largest > 0, -unit, unit) * 128 + 128), 0, 255)
