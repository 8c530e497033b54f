"""Two pictures of the same view in one: side by side at a movable edge, or what differs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
GAIN = 4
"""How many times brighter a difference is shown."""
WIDE = 600
"""Pictures of this many columns get a line two pixels wide, others one."""


def split(left: U8, right: U8, share: float) -> U8:
    """``left`` up to ``share`` (0 to 1) of the width, ``right`` beyond, a white line between them. (H, W, 3) each."""
    edge = round(share * left.shape[1])
    out = right.copy()
    out[:, :edge] = left[:, :edge]
    if 0 < edge < left.shape[1]:
        out[:, edge - (left.shape[1] >= WIDE) : edge + 1] = 255
    return out


def difference(first: U8, second: U8, gain: int = GAIN) -> U8:
    """Absolute difference per channel, ``gain`` times brighter. (H, W, 3) each."""
    apart = np.abs(first.astype(np.int16) - second)
    return np.minimum(apart * gain, 255).astype(np.uint8)
