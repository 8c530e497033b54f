"""Embedded codes: bit-planes of sign and magnitude, of which any prefix decodes with a known error.

A coarse symbol is the fine one with its lowest magnitude bits dropped, so the coarse quantizer is a uniform one with
a dead zone of two steps; unknown bits are filled with the middle of what they can mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


def coarse(symbols: Array, drop: int) -> I64:
    """Symbols without their ``drop`` lowest magnitude bits: those of a 2^drop times larger step."""
    q = np.asarray(symbols, np.int64)
    return np.sign(q) * (np.abs(q) >> drop)


def values(coarse_symbols: Array, drop: int) -> F64:
    """What symbols with ``drop`` bits missing stand for, in fine steps: the middle of their interval, zero for
    zero."""
    q = np.asarray(coarse_symbols, np.float64)
    middle = ((1 << drop) - 1) / 2
    return np.sign(q) * (np.abs(q) * (1 << drop) + middle)


def bound(drop: int) -> float:
    """Greatest |values(coarse(q, drop), drop) - q|, in fine steps: that of symbols that became zero."""
    return float((1 << drop) - 1)


def refinement(symbols: Array, drop: int) -> I64:
    """What the coarse symbols lack, non-negative: the dropped bits; where the coarse symbol is zero, twice that plus
    sign."""
    q = np.asarray(symbols, np.int64)
    low = np.abs(q) & ((1 << drop) - 1)
    return np.where(coarse(q, drop) != 0, low, np.where(low > 0, 2 * low - (q < 0), 0))


def refine(coarse_symbols: Array, details: Array, drop: int) -> I64:
    """The symbols that ``coarse`` and ``refinement`` came from."""
    q, details = np.asarray(coarse_symbols, np.int64), np.asarray(details, np.int64)
    fresh = (details + 1) // 2 * np.where(details % 2 == 1, -1, 1)
    return np.where(q != 0, np.sign(q) * ((np.abs(q) << drop) + details), fresh)


def planes(symbols: Array, depth: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Magnitude bits (depth, …), the highest plane first, and signs (1 for negative)."""
    q = np.asarray(symbols, np.int64)
    if q.size and int(np.abs(q).max()) >> depth:
        raise UsageError(f"symbols need more than {depth} bit-planes")
    shifts = np.arange(depth - 1, -1, -1).reshape(-1, *[1] * q.ndim)
    return (np.abs(q) >> shifts & 1).astype(np.uint8), (q < 0).astype(np.uint8)


def from_planes(prefix: Array, signs: Array, depth: int) -> F64:
    """Values in fine steps from the first planes (p, …), p <= depth, and the signs. All planes give the symbols
    exactly."""
    known = len(prefix)
    weights = (1 << np.arange(known - 1, -1, -1, dtype=np.int64)).reshape(-1, *[1] * np.ndim(signs))
    magnitude = (np.asarray(prefix, np.int64) * weights).sum(0)
    return values(np.where(np.asarray(signs) > 0, -magnitude, magnitude), depth - known)
