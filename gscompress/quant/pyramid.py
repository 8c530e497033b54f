"""Pyramid vector quantization: directions as integer vectors with a fixed sum of magnitudes (Fischer 1986).

The code of a unit vector is the nearest y in Z^n with sum |y| = K, decoded as y / |y|. Points are numbered exactly,
so a code costs log2 of their count, whatever that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Pyramid:
    """dimensions n >= 1 and pulses K >= 1; the count of points must stay below 2^62."""

    dimensions: int
    pulses: int
    _starts: I64 = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.dimensions < 1 or self.pulses < 1 or points(self.dimensions, self.pulses) >= 1 << 62:
            raise UsageError("a pyramid needs dimensions, pulses >= 1 and fewer than 2^62 points")
        object.__setattr__(self, "_starts", _starts(self.dimensions, self.pulses))

    @property
    def count(self) -> int:
        """Number of points."""
        return points(self.dimensions, self.pulses)

    def nearest(self, x: Array) -> I64:
        """(N, n) integer points along (N, n) directions: scale, floor, then place the missing pulses one by one where
        (x.y)^2 / |y|^2 grows most. A zero vector goes to the first axis."""
        magnitudes = np.abs(np.asarray(x, np.float64))
        total = magnitudes.sum(1, keepdims=True)
        magnitudes = np.where(total > 0, magnitudes, np.eye(self.dimensions)[0])
        y = np.floor(self.pulses * magnitudes / magnitudes.sum(1, keepdims=True))
        rows = np.arange(len(y))
        for _ in range(self.dimensions):
            short = rows[y.sum(1) < self.pulses]
            if not len(short):
                break
            m, part = magnitudes[short], y[short]
            dot, square = (m * part).sum(1, keepdims=True), np.square(part).sum(1, keepdims=True)
            part[np.arange(len(short)), np.argmax((dot + m) ** 2 / (square + 2 * part + 1), axis=1)] += 1
            y[short] = part
        return np.where(np.asarray(x) < 0, -y, y).astype(np.int64)

    def encode(self, x: Array) -> I64:
        """(N,) codes in [0, count) of (N, n) directions."""
        y = self.nearest(x)
        code, left = np.zeros(len(y), np.int64), np.full(len(y), self.pulses)
        for i in range(self.dimensions):
            # Values in the order 0, 1, -1, 2, -2, …; each owns the codes of all that can follow it.
            rank = 2 * np.abs(y[:, i]) - (y[:, i] > 0)
            code += self._starts[self.dimensions - 1 - i, left, rank]
            left -= np.abs(y[:, i])
        return code

    def decode(self, codes: Array) -> F64:
        """(N, n) unit vectors."""
        rest, left = np.array(codes, np.int64), np.full(len(codes), self.pulses)
        y = np.empty((len(rest), self.dimensions))
        for i in range(self.dimensions):
            starts = self._starts[self.dimensions - 1 - i, left]
            rank = (starts <= rest[:, None]).sum(1) - 1
            rest -= np.take_along_axis(starts, rank[:, None], 1)[:, 0]
            value = (rank + 1) // 2
            y[:, i] = np.where(rank % 2 == 1, value, -value)
            left -= value
        return y / np.linalg.norm(y, axis=1, keepdims=True)


def points(dimensions: int, pulses: int) -> int:
    """How many integer vectors have that sum of magnitudes: V(n, K) = V(n-1, K) + V(n, K-1) + V(n-1, K-1)."""
    row = [1] + [0] * pulses
    for _ in range(dimensions):
        after = [1]
        for k in range(1, pulses + 1):
            after.append(row[k] + after[k - 1] + row[k - 1])
        row = after
    return row[pulses]


def _starts(dimensions: int, pulses: int) -> I64:
    """(n, K + 1, 2 K + 1): with m coordinates to follow and k pulses left, the first code of each value in order.

    A value that cannot occur has the start of the next one that can.
    """
    counts = [[points(m, k) for k in range(pulses + 1)] for m in range(dimensions)]
    out = np.full((dimensions, pulses + 1, 2 * pulses + 1), np.iinfo(np.int64).max)
    for m in range(dimensions):
        for k in range(pulses + 1):
            start = 0
            for rank in range(2 * k + 1):
                out[m, k, rank] = start
                start += counts[m][k - (rank + 1) // 2]
    return out
