"""Which ellipses touch which tile: count, prefix sum, emit in depth order (so every tile's list is sorted).

Slow twin: the tests look at every pixel's alpha (``gscompress.renderers.reference.alpha_of``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.kernels.cpu_blend import TILE_H, TILE_W
from gscompress.kernels.cpu_jit import splat_kernel, splat_part
from gscompress.kernels.cpu_project import CHORD2, INV_REACH2, REACH_X, REACH_Y, SLOPE, X, Y
from gscompress.kernels.cpu_threads import parts, run

F32 = npt.NDArray[np.float32]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]


@splat_part
def column_span(row: Any, top: int, columns: int) -> Any:
    """First and one past the last tile column that the ellipse touches within the band of tile rows at pixel ``top``.

    The ellipse's left (right) end in a band is its leftmost (rightmost) point if the band holds it, else an end of
    a chord on the border of the band that is nearest to that point.
    """
    x, y = row[X], row[Y]
    low = max(top + 0.5 - y, -row[REACH_Y])
    high = min(top + TILE_H - 0.5 - y, row[REACH_Y])
    if low > high:
        return 0, 0
    tip = row[SLOPE] * row[REACH_Y] * row[REACH_Y] / row[REACH_X]  # height of the rightmost point
    right = min(max(tip, low), high)
    left = min(max(-tip, low), high)
    x1 = row[SLOPE] * right + math.sqrt(max(row[CHORD2] * (1 - right * right * row[INV_REACH2]), 0.0))
    x0 = row[SLOPE] * left - math.sqrt(max(row[CHORD2] * (1 - left * left * row[INV_REACH2]), 0.0))
    first = math.floor((x + x0 - 0.5) / TILE_W - 1e-4)
    last = math.floor((x + x1 - 0.5) / TILE_W + 1e-4) + 1
    return max(0, min(first, columns)), max(0, min(last, columns))


@splat_part
def band_span(row: Any, bands: int) -> Any:
    """First and one past the last row of tiles that the ellipse can touch."""
    first = math.floor((row[Y] - row[REACH_Y] - 0.5) / TILE_H)
    last = math.floor((row[Y] + row[REACH_Y] - 0.5) / TILE_H) + 1
    return max(0, min(first, bands)), max(0, min(last, bands))


@splat_kernel
def walk(
    start: int,
    stop: int,
    order: Any,
    sorted_rows: Any,
    columns: int,
    bands: int,
    cursor: Any,
    total: Any,
    ids: Any,
    slots: Any,
) -> None:
    """Visit the tiles of Gaussians ``start`` to ``stop`` in depth order; count (``ids`` empty) or emit.

    cursor: (tiles,) int64, counts up from where this part's entries begin in each tile's list.
    total: (N + 1,) int64, pairs before each Gaussian by index; the count pass writes its own number one further.
    ids, slots: (pairs,) uint32 out, the tile lists.
    """
    emit = len(ids) > 0
    for k in range(start, stop):
        row, i = sorted_rows[k], order[k]
        at = total[i]
        first, last = band_span(row, bands)
        found = 0
        for band in range(first, last):
            left, right = column_span(row, band * TILE_H, columns)
            for tile in range(band * columns + left, band * columns + right):
                if emit:
                    ids[cursor[tile]] = k
                    slots[cursor[tile]] = at + found
                cursor[tile] += 1
                found += 1
        if not emit:
            total[i + 1] = found


def bin_tiles(
    order: U32, sorted_rows: F32, number: int, columns: int, bands: int, threads: int
) -> tuple[I64, U32, U32, I64]:
    """Tile lists of depth-ordered Gaussians.

    order: (V,) uint32, index by depth rank. sorted_rows: packed rows by rank. number: N. columns, bands: tiles per
    picture row and column. Returns offsets (tiles + 1,), ids (pairs,) ranks, slots (pairs,) and total (N + 1,): the
    slots of Gaussian i are total[i] to total[i + 1], so what is stored by slot can be added up per Gaussian in order.
    """
    spans = parts(len(order), threads)
    counts = np.zeros((len(spans), columns * bands), np.int64)
    total = np.zeros(number + 1, np.int64)
    ids = slots = np.empty(0, np.uint32)
    fixed = (order, sorted_rows, columns, bands)
    run(walk, [(*span, *fixed, counts[k], total, ids, slots) for k, span in enumerate(spans)], threads)
    np.cumsum(total, out=total)
    offsets = np.zeros(columns * bands + 1, np.int64)
    np.cumsum(counts.sum(axis=0), out=offsets[1:])
    begins = offsets[:-1] + np.cumsum(counts, axis=0) - counts
    if total[-1]:
        ids, slots = np.empty(total[-1], np.uint32), np.empty(total[-1], np.uint32)
        run(walk, [(*span, *fixed, begins[k], total, ids, slots) for k, span in enumerate(spans)], threads)
    return offsets, ids, slots, total
