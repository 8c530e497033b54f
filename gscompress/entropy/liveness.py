"""Which entries of a hash level matter, told from the coarser levels that are decoded already: integers only.

A cell is alive when its parent is (the coarser cell that holds its middle) and enough of its eight corners have symbols
other than zero. An entry of the next level is the more alive, the more vertices of live cells share it: an idea of CNC
(Chen et al., CVPR 2024), without its occupancy grid and without a network.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.hash_levels import Levels

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
CORNERS = 5
"""Of eight that must have a symbol for a cell to be alive."""
_LARGEST = 1 << 27
"""Cells of a level; finer ones are judged by nothing."""


class Liveness:
    """Walks the levels of one table from coarse to fine: ask for a level's classes, then say what its symbols were."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self._cells = _cells(levels)
        self._alive: U8 = np.ones((1, 1, 1), np.uint8)
        self._level = 0

    def classes(self, count: int) -> npt.NDArray[np.uint16]:
        """(entries,) classes of the next level's entries, below ``count``: 0 for no live vertex, then powers of two."""
        counts = np.zeros(int(self._levels.sizes[self._level]), np.int64)
        if self._level and self._within():
            _count(self._alive, self._cells[self._level], counts, int(self._levels.strides[self._level]))
        return np.minimum(np.frexp(counts.astype(np.float64))[1], count - 1).astype(np.uint16)

    def learn(self, symbols: I64) -> None:
        """Go on to the next level; symbols: (entries, F) of this one."""
        if self._within():
            known = (symbols != 0).any(1).astype(np.uint8)
            self._alive = _grow(self._alive, self._cells[self._level], known, int(self._levels.strides[self._level]))
        self._level += 1

    def _within(self) -> bool:
        return self._cells[self._level] ** 3 <= _LARGEST


def _cells(levels: Levels) -> list[int]:
    """Cells per axis of every level."""
    return [max(1, int(scale + levels.shift) + (levels.shift > 0)) for scale in levels.scales]


@nb.njit(cache=True, nogil=True)
def _entry(x: int, y: int, z: int, stride: int, size: int) -> int:
    if stride:
        return (x + stride * (y + stride * z)) % size
    a, b, c = np.uint64(x), np.uint64(y) * np.uint64(2654435761), np.uint64(z) * np.uint64(805459861)
    return np.int64((a ^ b ^ c) % np.uint64(size))


@nb.njit(cache=True, nogil=True)
def _grow(parents: U8, cells: int, known: U8, stride: int) -> U8:
    """(cells, cells, cells) which cells are alive. known: (entries,) which have a symbol."""
    out = np.zeros((cells, cells, cells), np.uint8)
    before = parents.shape[0]
    for x in range(cells):
        px = (2 * x + 1) * before // (2 * cells)
        for y in range(cells):
            py = (2 * y + 1) * before // (2 * cells)
            for z in range(cells):
                if parents[px, py, (2 * z + 1) * before // (2 * cells)]:
                    total = 0
                    for corner in range(8):
                        vx, vy, vz = x + (corner & 1), y + ((corner >> 1) & 1), z + (corner >> 2)
                        total += known[_entry(vx, vy, vz, stride, len(known))]
                    out[x, y, z] = total >= CORNERS
    return out


@nb.njit(cache=True, nogil=True)
def _count(parents: U8, cells: int, counts: I64, stride: int) -> None:
    """Add up, for every entry, how many corners of cells with a live parent share it."""
    before = parents.shape[0]
    for x in range(cells):
        px = (2 * x + 1) * before // (2 * cells)
        for y in range(cells):
            py = (2 * y + 1) * before // (2 * cells)
            for z in range(cells):
                if parents[px, py, (2 * z + 1) * before // (2 * cells)]:
                    for corner in range(8):
                        vx, vy, vz = x + (corner & 1), y + ((corner >> 1) & 1), z + (corner >> 2)
                        counts[_entry(vx, vy, vz, stride, len(counts))] += 1
