"""For every point in Morton order, the nearest among the points just before it: what its values are predicted from."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

WINDOW = 32
NEAR = 4
_FAR = (1 << 57) - 1  # squared distance from which points count as equally far: a third of the whole grid
_BLOCK = 1024  # rows whose candidates stay in the first-level cache


@nb.njit(cache=True, nogil=True)
def nearest_earlier(coordinates: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """(N, 3) integer coordinates below 2^30 → (N, NEAR) indices of earlier rows, nearest first, -1 for none.

    Ties go to the later row. Only the last WINDOW rows are looked at: in Morton order that finds close ones.
    A candidate is one integer, distance above and how far back below, so that four running minima in a loop over rows
    find all: no branches, several rows per instruction.
    """
    rows = len(coordinates)
    axes = np.empty((3, rows), np.int32)
    for i in range(rows):
        axes[0, i], axes[1, i], axes[2, i] = coordinates[i, 0], coordinates[i, 1], coordinates[i, 2]
    out = np.full((rows, NEAR), -1, np.int32)
    best = np.empty((NEAR, _BLOCK), np.int64)
    for start in range(0, rows, _BLOCK):
        best[:] = (_FAR + 1) * WINDOW
        stop = min(start + _BLOCK, rows)
        for back in range(1, min(WINDOW, stop - 1) + 1):
            low = max(start, back)
            here, there, kept = axes[:, low:stop], axes[:, low - back :], best[:, low - start :]
            for k in range(np.uint64(stop - low)):
                dx = np.int64(np.int32(here[0, k] - there[0, k]))
                dy = np.int64(np.int32(here[1, k] - there[1, k]))
                dz = np.int64(np.int32(here[2, k] - there[2, k]))
                key = min(dx * dx + dy * dy + dz * dz, _FAR) * WINDOW + (back - 1)
                a, b, c = kept[0, k], kept[1, k], kept[2, k]
                kept[0, k], kept[1, k] = min(a, key), min(b, max(a, key))
                kept[2, k], kept[3, k] = min(c, max(b, key)), min(kept[3, k], max(c, key))
        for i in range(start, stop):
            for place in range(NEAR):
                key = best[place, i - start]
                if key < (_FAR + 1) * WINDOW:
                    out[i, place] = i - 1 - key % WINDOW
    return out
