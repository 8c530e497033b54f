"""A codebook of at most 256 numbers for a SOG file: one-dimensional k-means, solved rather than approximated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
SIZE = 256
_BINS = 1 << 16
_GROUPS = 4096
_ROUNDS = 20


def fit(values: npt.NDArray[Any]) -> F32:
    """(256,) ascending numbers that minimise the squared error of ``values`` rounded to the nearest of them.

    The optimum over 4096 groups of neighbouring values by dynamic programming (Wu 1991), then Lloyd's algorithm over
    65,536 bins. Values that take no more than 256 different numbers are kept exactly; the book is then padded with
    the last of them.
    """
    values = np.asarray(values, np.float32).ravel()
    if not len(values):
        return np.zeros(SIZE, np.float32)
    distinct = _few_distinct(values)
    if distinct is not None:
        return np.pad(distinct, (0, SIZE - len(distinct)), mode="edge")
    mass, points = _histogram(values)
    # The cube root puts groups where the optimum puts centres (Panter and Dite 1951), and leaves outliers their own.
    share = np.cumsum(np.cbrt(mass))
    group = np.minimum(share * (_GROUPS / share[-1]), _GROUPS - 1).astype(np.intp)
    starts = np.unique(group, return_index=True)[1]
    grouped = np.add.reduceat(mass, starts)
    middle = np.add.reduceat(mass * points, starts) / grouped
    total, first, second = _running(grouped, middle)
    from gscompress.formats.sog_kernels import optimal_cuts  # compiled: not for readers

    cuts = optimal_cuts(total, first, second, SIZE)
    return _lloyd(mass, points, np.diff(first[cuts]) / np.diff(total[cuts])).astype(np.float32)


def nearest(values: npt.NDArray[Any], book: F32) -> npt.NDArray[np.uint8]:
    """Index of the closest entry of an ascending book, for each value."""
    return np.searchsorted((book[1:] + book[:-1]) / 2, values).astype(np.uint8)


def _few_distinct(values: F32) -> F32 | None:
    """The distinct values in order if there are no more than fit in a book. A sample rules most inputs out."""
    sample = np.unique(values[:: max(1, len(values) // 4096)])
    if len(sample) > SIZE:
        return None
    distinct = np.unique(values)
    return distinct if len(distinct) <= SIZE else None


def _histogram(values: F32) -> tuple[F64, F64]:
    """Number and mean of the values in every bin that has any, in ascending order; no bins where few values are."""
    if len(values) <= _BINS:
        points, counts = np.unique(values, return_counts=True)
        return counts.astype(np.float64), points.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    position = np.minimum((values.astype(np.float64) - low) * (_BINS / (high - low)), _BINS - 1).astype(np.intp)
    mass = np.bincount(position, minlength=_BINS).astype(np.float64)
    moment = np.bincount(position, values, _BINS)
    return mass[mass > 0], moment[mass > 0] / mass[mass > 0]


def _running(mass: F64, points: F64) -> tuple[F64, F64, F64]:
    """Running sums, from 0, of mass, mass * x and mass * x^2."""
    columns = (mass, mass * points, mass * points * points)
    total, first, second = (np.append(0, np.cumsum(column)) for column in columns)
    return total, first, second


def _lloyd(mass: F64, points: F64, book: F64) -> F64:
    total, first, _ = _running(mass, points)
    for _ in range(_ROUNDS):
        cuts = np.concatenate([[0], np.searchsorted(points, (book[1:] + book[:-1]) / 2), [len(points)]])
        weight = np.diff(total[cuts])
        filled = weight > 0
        moved = np.where(filled, np.diff(first[cuts]) / np.where(filled, weight, 1), book)
        if np.array_equal(moved, book):
            break
        book = moved
    return book
