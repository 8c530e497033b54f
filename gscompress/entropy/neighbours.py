"""For every point in Morton order, the two nearest among the points just before it: what its values are predicted from."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

WINDOW = 24


@nb.njit(cache=True, nogil=True)
def nearest_earlier(coordinates: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """(N, 3) integer coordinates below 2^30 → (N, 2) indices of earlier rows, nearest first, -1 for none.

    Ties go to the later row. Only the last WINDOW rows are looked at: in Morton order that finds a close one.
    """
    rows = len(coordinates)
    out = np.full((rows, 2), -1, np.int32)
    for i in range(rows):
        best = np.int64(1) << 62
        second = best
        x, y, z = coordinates[i, 0], coordinates[i, 1], coordinates[i, 2]
        for j in range(i - 1, max(i - 1 - WINDOW, -1), -1):
            dx, dy, dz = coordinates[j, 0] - x, coordinates[j, 1] - y, coordinates[j, 2] - z
            distance = dx * dx + dy * dy + dz * dz
            if distance < best:
                out[i, 1], second = out[i, 0], best
                out[i, 0], best = j, distance
            elif distance < second:
                out[i, 1], second = j, distance
    return out
