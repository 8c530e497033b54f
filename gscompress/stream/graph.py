"""The motion graph: nodes spread over the Gaussians, each Gaussian moved by the blend of its nearest ones.

Embedded deformation (Sumner, Schmid, Pauly 2007) without edges: a node's motion is a turn, a growth and a shift, and a
smooth weight hands over from node to node. Both sides build the graph from decoded positions: it costs no bits.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.stream.exact_rows import INFLUENCES

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
_GRID = 1 << 20


@dataclass(frozen=True, slots=True)
class Graph:
    """centres: (K, 3) scene units. nearest: (N, INFLUENCES) nodes of a row, weights: the same shape, rows sum to 1.

    reach: the median distance of a row to its nearest node.
    """

    centres: F64
    nearest: I32
    weights: F64
    reach: float

    def __len__(self) -> int:
        return len(self.centres)


def build(means: F64, per_node: int) -> Graph:
    """A graph with a node per ``per_node`` Gaussians; without nodes when there are too few Gaussians to blend."""
    count = len(means) // max(per_node, 1)
    halvings = (count - 1).bit_length() if count > INFLUENCES else 0
    if not halvings:
        return Graph(np.zeros((0, 3)), np.zeros((len(means), 0), np.int32), np.zeros((len(means), 0)), 1.0)
    low = means.min(0)
    cell = max(float((means.max(0) - low).max()), 1e-30) / _GRID
    grid = np.floor((means - low) / cell).astype(np.int64)
    centres = low + _halved(grid, halvings) * cell
    half = len(means) // 2
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(_influences, means[half:], centres)
        first, second = _influences(means[:half], centres), later.result()
    nearest, weights, away = (np.concatenate([a, b]) for a, b in zip(first, second))
    return Graph(centres, nearest, weights, max(float(np.median(away)), 1e-9))


def attach(graph: Graph, means: F64) -> tuple[I32, F64]:
    """Influences of further rows. means: (N, 3)."""
    if not len(graph):
        return np.zeros((len(means), 0), np.int32), np.zeros((len(means), 0))
    return _influences(means, graph.centres)[:2]


def _halved(grid: I64, halvings: int) -> F64:
    """Mean grid coordinates of 2^halvings groups: each is split at the median along its longest side, all in
    integers."""
    rows = len(grid)
    order, starts = np.arange(rows), np.zeros(1, np.int64)
    bits = max(rows - 1, 1).bit_length()
    for _ in range(halvings):
        placed = grid[order]
        sides = np.maximum.reduceat(placed, starts) - np.minimum.reduceat(placed, starts)
        sizes = np.diff(starts, append=rows)
        group = np.repeat(np.arange(len(starts)), sizes)
        along = placed[np.arange(rows), np.argmax(sides, axis=1)[group]]
        # Group, then coordinate, then row in one integer: sorting it needs no stability.
        keys = np.sort(((group << 21 | along) << bits) | order)
        order = keys & ((1 << bits) - 1)
        starts = np.stack([starts, starts + (sizes + 1) // 2], 1).ravel()
    sizes = np.diff(starts, append=rows)
    return np.add.reduceat(grid[order], starts) / sizes[:, None]


@nb.njit(cache=True, nogil=True)
def _influences(means: F64, centres: F64) -> tuple[I32, F64, F64]:
    """The INFLUENCES nearest nodes of every row, weighted (1 - d / d')^2 with d' the distance of the next one; and
    (N,) the distance of the nearest."""
    rows, nodes = len(means), len(centres)
    least = np.empty(rows)
    nearest, weights = np.empty((rows, INFLUENCES), np.int32), np.empty((rows, INFLUENCES))
    best, which = np.empty(INFLUENCES + 1), np.empty(INFLUENCES + 1, np.int64)
    cx, cy, cz = centres[:, 0].copy(), centres[:, 1].copy(), centres[:, 2].copy()
    away = np.empty(nodes)
    for i in range(rows):
        best[:] = np.inf
        x, y, z = means[i, 0], means[i, 1], means[i, 2]
        for k in range(nodes):
            dx, dy, dz = x - cx[k], y - cy[k], z - cz[k]
            away[k] = dx * dx + dy * dy + dz * dz
        for k in range(nodes):
            d = away[k]
            if d < best[INFLUENCES]:
                j = INFLUENCES
                while j > 0 and best[j - 1] > d:
                    best[j], which[j] = best[j - 1], which[j - 1]
                    j -= 1
                best[j], which[j] = d, k
        limit, least[i] = np.sqrt(best[INFLUENCES]), np.sqrt(best[0])
        total = 0.0
        for j in range(INFLUENCES):
            near = 1.0 - np.sqrt(best[j]) / limit if limit > 0.0 else 1.0
            weights[i, j] = near * near + 1e-9
            total += weights[i, j]
            nearest[i, j] = which[j]
        for j in range(INFLUENCES):
            weights[i, j] /= total
    return nearest, weights, least
