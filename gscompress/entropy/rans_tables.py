"""Integer frequency tables for rans.py: from counts, to bytes and back.

A set of tables is (T, A) integers: T tables over an alphabet of A symbols, every row adding up to 2^precision. A symbol
of frequency f costs precision - log2 f bits; one of frequency 0 has no code.
"""

from __future__ import annotations

import heapq
import struct
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
LEAST_PRECISION, MOST_PRECISION = 8, 15
_HEAD = struct.Struct("<BII")  # precision, tables, alphabet
_SHAPE = Shape(columns=1, first_classes=1, second_classes=1, signed=False)
_MOST_ENTRIES = 1 << 22


@dataclass(frozen=True, slots=True)
class Tables:
    """frequencies: (T, A) uint32, every row adding up to 2^precision."""

    frequencies: U32
    precision: int

    @staticmethod
    def from_counts(counts: npt.ArrayLike, precision: int = 14) -> Tables:
        """The tables that code symbols seen ``counts`` (A,) or (T, A) times in the fewest bits.

        Every counted symbol gets a code; a table that counted nothing codes symbol 0 only. Raises ValueError for
        more symbols than a table can hold.
        """
        table = np.atleast_2d(np.asarray(counts)).astype(np.int64)
        if not LEAST_PRECISION <= precision <= MOST_PRECISION:
            raise ValueError(f"precision {precision} is not between {LEAST_PRECISION} and {MOST_PRECISION}")
        if table.ndim != 2 or not table.size or table.min() < 0 or table.sum(axis=1).max() >= 1 << 40:
            raise ValueError("counts must be (tables, alphabet) integers that add up to less than 2^40")
        used = int(np.count_nonzero(table, axis=1).max())
        if used > 1 << precision:
            raise ValueError(
                f"{used} symbols do not fit a table of precision {precision}: split them into tokens first"
            )
        return Tables(_normalise(table, 1 << precision), precision)

    def starts(self) -> U32:
        """(T, A) sums of the frequencies before each symbol."""
        ends = np.cumsum(self.frequencies, axis=1, dtype=np.uint32)
        return ends - self.frequencies

    def slots(self) -> npt.NDArray[np.uint16]:
        """(T, 2^precision) the symbol of every slot: what a decoder looks up."""
        symbols = np.tile(np.arange(self.frequencies.shape[1], dtype=np.uint16), len(self.frequencies))
        return np.repeat(symbols, self.frequencies.ravel()).reshape(len(self.frequencies), -1)

    def ideal_bits(self, counts: npt.ArrayLike) -> float:
        """What symbols seen ``counts`` (T, A) times cost under these tables, in bits."""
        table = np.atleast_2d(np.asarray(counts, np.float64))
        logs = np.log2(np.maximum(self.frequencies, 1))
        return float((table * (self.precision - logs)).sum())

    def pack(self) -> bytes:
        """The tables as bytes: zeros and neighbours of similar frequency cost little."""
        coder = PlaneEncoder(_SHAPE)
        coder.add(self.frequencies.reshape(-1, 1).astype(np.int32), Side())
        return _HEAD.pack(self.precision, *self.frequencies.shape) + coder.finish()

    @staticmethod
    def unpack(data: bytes) -> Tables:
        """The reverse of ``pack``. Raises UnreadableError."""
        if len(data) < _HEAD.size:
            raise UnreadableError("a frequency table is cut short: the file is corrupt")
        precision, tables, alphabet = _HEAD.unpack_from(data)
        if not LEAST_PRECISION <= precision <= MOST_PRECISION or not 0 < tables * alphabet <= _MOST_ENTRIES:
            raise UnreadableError("a frequency table has an impossible size: the file is corrupt")
        coder = PlaneDecoder(data[_HEAD.size :], _SHAPE)
        flat: npt.NDArray[Any] = coder.take(tables * alphabet, Side())
        coder.finish()
        frequencies = flat.reshape(tables, alphabet).astype(np.uint32)
        if (frequencies.sum(axis=1, dtype=np.int64) != 1 << precision).any() or alphabet > 1 << 16:
            raise UnreadableError("a frequency table does not add up: the file is corrupt")
        return Tables(frequencies, precision)


@nb.njit(cache=True, nogil=True)
def _normalise(counts: I64, total: int) -> U32:
    """Rows scaled to add up to ``total``, at least 1 where counted: rounded down, then one by one where it pays most.

    Raising f to f + 1 saves count * log(1 + 1/f) bits, about count / (f + 1/2); lowering costs count / (f - 1/2).
    """
    tables, alphabet = counts.shape
    out = np.zeros((tables, alphabet), np.uint32)
    for t in range(tables):
        seen = counts[t].sum()
        if seen == 0:
            out[t, 0] = total
            continue
        missing = np.int64(total)
        for s in range(alphabet):
            if counts[t, s]:
                out[t, s] = max(np.int64(1), counts[t, s] * total // seen)
                missing -= np.int64(out[t, s])
        step = np.int64(1) if missing > 0 else np.int64(-1)
        heap = [(0.0, 0) for _ in range(0)]
        for s in range(alphabet):
            if counts[t, s] and np.int64(out[t, s]) + step > 0:
                heap.append((-step * np.float64(counts[t, s]) / (2 * np.int64(out[t, s]) + step), s))
        heapq.heapify(heap)
        while missing:
            _, s = heapq.heappop(heap)
            out[t, s] = np.int64(out[t, s]) + step
            missing -= step
            if np.int64(out[t, s]) + step > 0:
                heapq.heappush(heap, (-step * np.float64(counts[t, s]) / (2 * np.int64(out[t, s]) + step), s))
    return out
