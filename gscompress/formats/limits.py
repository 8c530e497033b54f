"""Guards shared by readers of compressed files: how much a file may unpack to, and by writers: finite numbers only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gscompress.errors import UnreadableError, UsageError
from gscompress.scene import Scene

# A file may always unpack to this much; beyond it, to at most this many times its own size. Real scenes stay under
# 20 times; what is refused is a few kilobytes that claim gigabytes (a decompression bomb, or a lying count).
FREE_BYTES = 384 << 20
MAX_RATIO = 256


def check_expansion(path: Path, count: int, bands: int, stored: int) -> None:
    """Refuse ``count`` Gaussians of ``bands`` SH coefficients from ``stored`` bytes. Raises UnreadableError."""
    unpacked = count * 4 * (11 + 3 * bands)
    if unpacked > max(FREE_BYTES, MAX_RATIO * stored):
        raise UnreadableError(
            f"{path}: claims {count:,} Gaussians in {stored:,} bytes: refused as corrupt or a decompression bomb"
        )


def require_finite(scene: Scene, what: str) -> None:
    """Raise UsageError when an attribute has a NaN, or an infinity that the format cannot clamp."""
    splats = scene.splats
    bounded = {"means": splats.means, "quats": splats.quats, "sh": splats.sh}
    bad = {name: int((~np.isfinite(array)).sum()) for name, array in bounded.items()}
    for name, array in (("log_scales", splats.log_scales), ("logit_opacities", splats.logit_opacities)):
        bad[name] = int(np.isnan(array).sum())
    for name, number in bad.items():
        if number:
            raise UsageError(f"{what} cannot hold the {number} values of {name} that are no numbers: add --do clean")
