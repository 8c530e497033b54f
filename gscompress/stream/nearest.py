"""Nearest points by a grid of cells: exact within the reach, in time that does not depend on how many points there
are."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_RINGS = 5  # cells that are looked at on each side of a query's own
_MOST_CELLS = 160  # per axis


def nearest(points: F64, queries: F64, points_looks: F64, queries_looks: F64) -> tuple[I64, F64]:
    """For each query the point with the least |position difference|^2 + |looks difference|^2, and that cost.

    points (M, 3), queries (N, 3); looks: (M, F) and (N, F) further features in units that weigh like positions.
    Returns (N,) indices, -1 where nothing lies within some five typical distances between points, and (N,) costs.
    """
    if not len(points) or not len(queries):
        return np.full(len(queries), -1), np.full(len(queries), np.inf)
    low = np.quantile(points, 0.01, axis=0)
    span = np.maximum(np.quantile(points, 0.99, axis=0) - low, 1e-30)
    cell = float(max(np.prod(span) * 2 / len(points), 1e-90) ** (1 / 3))
    cell = max(cell, float(span.max()) / _MOST_CELLS)
    cells = np.minimum(np.ceil(span / cell).astype(np.int64) + 1, _MOST_CELLS + 1)
    where = np.clip(np.floor((points - low) / cell).astype(np.int64), 0, cells - 1)
    number = (where[:, 0] * cells[1] + where[:, 1]) * cells[2] + where[:, 2]
    order = np.argsort(number, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=int(np.prod(cells))))])
    index, cost = _search(points[order], points_looks[order], starts, cells, low, cell, queries, queries_looks)
    return np.where(index >= 0, order[index], -1), cost


@nb.njit(cache=True, nogil=True)
def _search(
    points: F64, looks: F64, starts: I64, cells: I64, low: F64, cell: float, queries: F64, query_looks: F64
) -> tuple[I64, F64]:
    rows, features = query_looks.shape
    index, cost = np.full(rows, -1, np.int64), np.full(rows, np.inf)
    for i in range(rows):
        home = np.empty(3, np.int64)
        for k in range(3):
            home[k] = min(max(int(np.floor((queries[i, k] - low[k]) / cell)), 0), cells[k] - 1)
        for ring in range(_RINGS + 1):
            # All points in cells beyond the last ring are at least (ring - 1) cells away.
            if index[i] >= 0 and cost[i] <= ((ring - 1) * cell) ** 2:
                break
            for a in range(max(home[0] - ring, 0), min(home[0] + ring, cells[0] - 1) + 1):
                for b in range(max(home[1] - ring, 0), min(home[1] + ring, cells[1] - 1) + 1):
                    edge = abs(a - home[0]) == ring or abs(b - home[1]) == ring
                    for side in range(-ring, ring + 1):
                        c = home[2] + side
                        if c < 0 or c >= cells[2] or not (edge or abs(side) == ring):
                            continue
                        place = (a * cells[1] + b) * cells[2] + c
                        for p in range(starts[place], starts[place + 1]):
                            d = 0.0
                            for k in range(3):
                                d += (points[p, k] - queries[i, k]) ** 2
                            for f in range(features):
                                d += (looks[p, f] - query_looks[i, f]) ** 2
                            if d < cost[i]:
                                cost[i], index[i] = d, p
    return index, cost
