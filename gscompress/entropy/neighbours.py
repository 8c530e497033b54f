"""For every point in Morton order, the nearest among the points just before it: what its values are predicted from."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

WINDOW = 32
NEAR = 4


@nb.njit(cache=True, nogil=True)
def nearest_earlier(coordinates: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """(N, 3) integer coordinates below 2^30 → (N, NEAR) indices of earlier rows, nearest first, -1 for none.

    Ties go to the later row. Only the last WINDOW rows are looked at: in Morton order that finds close ones.
    """
    rows = len(coordinates)
    out = np.full((rows, NEAR), -1, np.int32)
    distances = np.empty(NEAR, np.int64)
    for i in range(rows):
        distances[:] = np.int64(1) << 62
        x, y, z = coordinates[i, 0], coordinates[i, 1], coordinates[i, 2]
        for j in range(i - 1, max(i - 1 - WINDOW, -1), -1):
            dx, dy, dz = coordinates[j, 0] - x, coordinates[j, 1] - y, coordinates[j, 2] - z
            distance = dx * dx + dy * dy + dz * dz
            if distance < distances[NEAR - 1]:
                k = NEAR - 1
                while k > 0 and distance < distances[k - 1]:
                    distances[k], out[i, k] = distances[k - 1], out[i, k - 1]
                    k -= 1
                distances[k], out[i, k] = distance, j
    return out
