"""A codebook of at most 256 numbers for a SOG file: one-dimensional k-means."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
SIZE = 256
_BINS = 1 << 16
_ROUNDS = 40


def fit(values: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None) -> F32:
    """(256,) ascending numbers, the centres of Lloyd's algorithm on a fine histogram of ``values``.

    It starts where the cube root of the density puts the centres (Panter and Dite 1951), so that few rounds remain.
    Values that take no more than 256 different numbers are kept exactly; the book is then padded with the last.
    """
    values = np.asarray(values, np.float32).ravel()
    if not len(values):
        return np.zeros(SIZE, np.float32)
    distinct = _few_distinct(values)
    if distinct is not None:
        return np.pad(distinct, (0, SIZE - len(distinct)), mode="edge")
    low, high = float(values.min()), float(values.max())
    position = np.minimum((values.astype(np.float64) - low) * (_BINS / (high - low)), _BINS - 1).astype(np.intp)
    mass = np.bincount(position, weights, _BINS).astype(np.float64)
    moment = np.bincount(position, values if weights is None else values * weights, _BINS)
    used = mass > 0
    mass, moment = mass[used], moment[used]
    points = moment / mass
    total, first = np.append(0, np.cumsum(mass)), np.append(0, np.cumsum(moment))
    book = _spread_out(points, mass)
    for _ in range(_ROUNDS):
        edges = np.searchsorted(points, (book[1:] + book[:-1]) / 2)
        cuts = np.concatenate([[0], edges, [len(points)]])
        weight = np.diff(total[cuts])
        filled = weight > 0
        moved = np.where(filled, np.diff(first[cuts]) / np.where(filled, weight, 1), book)
        if np.array_equal(moved, book):
            break
        book = np.sort(moved)
    return book.astype(np.float32)


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


def _spread_out(points: npt.NDArray[np.float64], mass: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """256 starting centres with a density proportional to the cube root of that of the points."""
    coarse = 1024
    edges = np.linspace(points[0], points[-1], coarse + 1)
    density = np.histogram(points, edges, weights=mass)[0]
    cumulative = np.append(0, np.cumsum(np.cbrt(density)))
    return np.interp((np.arange(SIZE) + 0.5) / SIZE * cumulative[-1], cumulative, edges)
