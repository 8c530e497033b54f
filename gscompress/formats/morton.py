"""Row order along a Morton (Z) curve: neighbours in space become neighbours in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_BITS = 21  # per axis: three of them fill a 64-bit code


def morton_order(means: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """(N, 3) finite positions to the (N,) row order of their Morton codes, ties in input order.

    All axes share one scale, so that a run of rows fills something close to a cube.
    """
    if not len(means):
        return np.arange(0)
    low = means.min(axis=0).astype(np.float64)
    extent = float((means.max(axis=0) - low).max())
    scale = (2**_BITS - 1) / extent if extent > 0 else 0.0
    code = np.zeros(len(means), np.uint64)
    for axis in range(3):
        cell = ((means[:, axis] - low[axis]) * scale).astype(np.uint64)
        code |= _spread(cell) << np.uint64(axis)
    return np.argsort(code, kind="stable")


def _spread(cell: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Insert two zero bits before every bit of a 21-bit number."""
    for shift, mask in (
        (32, 0x001F00000000FFFF),
        (16, 0x001F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        cell = (cell | (cell << np.uint64(shift))) & np.uint64(mask)
    return cell
