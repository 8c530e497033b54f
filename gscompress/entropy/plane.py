"""One kernel for every entropy-coded plane of integers, in both directions.

A plane is (N, C) integers: N rows (Gaussians, tree nodes) in a fixed order, C columns. Each symbol is binarised as
zero flag, sign, Elias-gamma exponent in unary, two modelled mantissa bits, raw rest. Every modelled bit is predicted
from three contexts and mixed (see binary.py):

    a   the row's first class and the column (what the decoder knows about the row)
    b   the column's mean and spread at two earlier rows that lie near in space, on this row's step grid
    c   the row's second class, and the magnitude of the columns just coded in this row

Coding a symbol outright under a context that holds its neighbours' mean beats coding its difference from that mean
by 3 to 8 % on trained scenes: the values are multi-modal. All arithmetic is integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.entropy.binary import (
    DECODE,
    INPUTS,
    LIMIT,
    MODE,
    NODES,
    ONE,
    POSITION,
    PROB_BITS,
    STATE,
    begin_decoding,
    begin_encoding,
    finish_decoding,
    finish_encoding,
    learn,
    new_counters,
    new_weights,
    squash,
    stretch,
)
from gscompress.errors import UnreadableError

I32 = npt.NDArray[np.int32]
MAX_EXPONENT = 24
_BUCKETS = 8  # magnitude buckets of neighbours and of earlier columns
_LOWER = np.uint64(1 << 31)
_CEILING = np.int64(1 << 26)  # no valid symbol is larger; corrupt ones are clipped here
_WORST = 48  # log entries that one symbol can take


@dataclass(frozen=True, slots=True)
class Shape:
    """What a stream of planes has in common: columns, row classes of both kinds, whether symbols have signs."""

    columns: int
    first_classes: int
    second_classes: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Side:
    """What both sides know of N rows before their symbols are coded; None stands for "nothing known".

    first, second: (N,) uint16 row classes below the shape's numbers.
    near: (N, 2) int32 indices of earlier rows of the same plane, -1 for none.
    steps: (N,) int32 step of each row in units of the finest grid.
    lengths: (N,) int32 columns that are present in a row (the others are zero).
    """

    first: npt.NDArray[np.uint16] | None = None
    second: npt.NDArray[np.uint16] | None = None
    near: I32 | None = None
    steps: I32 | None = None
    lengths: I32 | None = None

    def arguments(self, rows: int, shape: Shape) -> tuple[Any, ...]:
        zero = np.zeros(rows, np.uint16)
        row = np.arange(rows, dtype=np.int32)
        return (
            zero if self.first is None else self.first,
            zero if self.second is None else self.second,
            shape.first_classes,
            np.stack([row - 1, row - 2], 1).clip(-1) if self.near is None else self.near,
            np.ones(rows, np.int32) if self.steps is None else self.steps,
            np.full(rows, shape.columns, np.int32) if self.lengths is None else self.lengths,
        )


class PlaneEncoder:
    """Codes one plane after another into one stream with one adapting model."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._coder, self._log = begin_encoding(4096)
        self._model = _model(shape)

    def add(self, symbols: I32, side: Side) -> None:
        """Code (N, C) integers below 2^24 in magnitude."""
        done, values = 0, np.zeros_like(symbols)
        arguments = side.arguments(len(symbols), self._shape)
        while True:
            used, width = int(self._coder[POSITION]), self._shape.columns
            room = used + _WORST * width + 4 * (len(symbols) - done) * width
            if room > len(self._log):
                self._log = np.concatenate([self._log[:used], np.empty(room - used + room // 4, np.uint32)])
                self._coder[LIMIT] = len(self._log)
            done = _code(self._coder, self._log, symbols, values, done, self._shape.signed, *arguments, *self._model)
            if done == len(symbols):
                return

    def finish(self) -> bytes:
        return finish_encoding(self._coder, self._log)


class PlaneDecoder:
    """The reverse of PlaneEncoder, given the same shape and side information."""

    def __init__(self, data: bytes, shape: Shape) -> None:
        self._shape = shape
        self._coder, self._words = begin_decoding(data)
        self._model = _model(shape)

    def take(self, rows: int, side: Side) -> I32:
        """The next (rows, C) symbols. Raises UnreadableError when the stream is exhausted."""
        symbols = np.zeros((rows, self._shape.columns), np.int32)
        values = np.zeros_like(symbols)
        arguments = side.arguments(rows, self._shape)
        _code(self._coder, self._words, symbols, values, 0, self._shape.signed, *arguments, *self._model)
        if self._coder[POSITION] > self._coder[LIMIT]:
            raise UnreadableError("an entropy-coded stream ends before its symbols do: the file is corrupt")
        return symbols

    def finish(self) -> None:
        finish_decoding(self._coder)


def _model(shape: Shape) -> tuple[Any, Any]:
    contexts = shape.columns * (shape.first_classes + (2 * _BUCKETS - 1) * _BUCKETS + shape.second_classes * _BUCKETS)
    return new_counters(contexts), new_weights(shape.columns)


@nb.njit(forceinline=True, nogil=True)
def _bucket(total: int) -> int:
    """Magnitude to one of _BUCKETS classes: 0, 1, 2, 3-4, 5-7, 8-12, 13-20, 21 and more."""
    if total < 3:
        return total
    if total < 8:
        return 3 if total < 5 else 4
    if total < 21:
        return 5 if total < 13 else 6
    return 7


@nb.njit(cache=True, nogil=True)
def _code(
    coder: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint32],
    symbols: I32,
    values: I32,
    start: int,
    signed: bool,
    first: npt.NDArray[np.uint16],
    second: npt.NDArray[np.uint16],
    first_classes: int,
    near: I32,
    steps: I32,
    lengths: I32,
    counters: npt.NDArray[np.uint32],
    weights: npt.NDArray[np.int64],
) -> int:
    """Code rows from ``start`` on; returns the first row not done (the log is full) or N.

    Everything sits in one function on purpose: passing arrays to helpers costs reference counting per bit.
    """
    rows, columns = symbols.shape
    decoding = coder[MODE] == DECODE
    x, position, limit = np.uint64(coder[STATE]), coder[POSITION], coder[LIMIT]
    base_b = np.int64(columns * first_classes)
    base_c = base_b + np.int64(columns * (2 * _BUCKETS - 1) * _BUCKETS)
    for i in range(start, rows):
        if not decoding and position + _WORST * columns > limit:
            coder[STATE], coder[POSITION] = np.int64(x), position
            return i
        n0, n1 = near[i, 0], near[i, 1]
        before = np.int64(0)
        for j in range(min(columns, lengths[i])):
            spread, lean = np.int64(0), np.int64(0)
            if n0 >= 0:
                v0 = np.int64(values[n0, j])
                v1 = np.int64(values[n1, j]) if n1 >= 0 else v0
                twice = np.int64(steps[i]) * 2
                lean = (v0 + v1 + steps[i]) // twice
                spread = 2 * abs(v0 - v1) // steps[i]
            a = (np.int64(first[i]) * columns + j) * NODES
            towards = _bucket(abs(lean))
            towards = _BUCKETS - 1 + (towards if lean > 0 else -towards)
            b = (base_b + (towards * _BUCKETS + _bucket(spread)) * columns + j) * NODES
            c = (base_c + (np.int64(second[i]) * _BUCKETS + _bucket(before)) * columns + j) * NODES
            w = np.int64(j) * NODES
            symbol = np.int64(symbols[i, j])
            magnitude = abs(symbol)
            exponent = np.int64(0)
            while (magnitude >> 1) >> exponent:
                exponent += 1
            # Stages: 0 zero flag, 1 sign, 2 exponent, 3 and 4 mantissa, 5 done.
            stage, seen, negative, mantissa = 0, np.int64(0), np.int64(0), np.int64(1)
            while stage < 5:
                if stage == 0:
                    node, bit = np.int64(0), np.int64(magnitude != 0)
                elif stage == 1:
                    node = np.int64(1) if lean == 0 else (np.int64(18) if lean < 0 else np.int64(34))
                    bit = np.int64(symbol < 0)
                elif stage == 2:
                    node, bit = min(seen, 15) + 2, np.int64(exponent > seen)
                elif stage == 3:
                    node, bit = min(seen, 15) + 18, (magnitude >> max(seen - 1, 0)) & 1
                else:
                    node, bit = 34 + 2 * min(seen, 14) + (mantissa & 1), (magnitude >> max(seen - 2, 0)) & 1
                ia, ib, ic = np.uint64(a + node), np.uint64(b + node), np.uint64(c + node)
                w0 = np.uint64((w + node) * INPUTS)
                w1, w2 = w0 + np.uint64(1), w0 + np.uint64(2)
                va, vb, vc = np.int64(counters[ia]), np.int64(counters[ib]), np.int64(counters[ic])
                sa, sb, sc = stretch(va), stretch(vb), stretch(vc)
                p = squash(weights[w0] * sa + weights[w1] * sb + weights[w2] * sc)
                if decoding:
                    low = np.int64(x & np.uint64(ONE - 1))
                    bit = np.int64(low < p)
                    frequency = np.uint64(ONE - p + bit * (2 * p - ONE))
                    x = frequency * (x >> np.uint64(PROB_BITS)) + np.uint64(low - p + bit * p)
                    if x < _LOWER:
                        if position < limit:
                            x = (x << np.uint64(32)) | np.uint64(words[np.uint64(position)])
                            position += 1
                        else:
                            x, position = _LOWER, limit + 1
                else:
                    words[np.uint64(position)] = np.uint32((p << 1) | bit)
                    position += 1
                error = ((bit << PROB_BITS) - p) * 6
                weights[w0] += (sa * error + 0x8000) >> 16
                weights[w1] += (sb * error + 0x8000) >> 16
                weights[w2] += (sc * error + 0x8000) >> 16
                counters[ia] = np.uint32(learn(va, bit))
                counters[ib] = np.uint32(learn(vb, bit))
                counters[ic] = np.uint32(learn(vc, bit))
                if stage == 0:
                    if bit == 0:
                        mantissa, stage = np.int64(0), 5
                    else:
                        stage = 1 if signed else 2
                elif stage == 1:
                    negative, stage = bit, 2
                elif stage == 2:
                    if bit and seen < MAX_EXPONENT:
                        seen += 1
                    else:
                        stage = 5 if seen == 0 else 3
                elif stage == 3:
                    mantissa, stage = 2 | bit, (5 if seen == 1 else 4)
                else:
                    mantissa, stage = (mantissa << 1) | bit, 5
            rest = max(seen - 2, 0)
            while rest > 0:
                bits = min(rest, 16)
                rest -= bits
                chunk = (magnitude >> rest) & ((1 << bits) - 1)
                if decoding:
                    chunk = np.int64(x & np.uint64((1 << bits) - 1))
                    x >>= np.uint64(bits)
                    if x < _LOWER:
                        if position < limit:
                            x = (x << np.uint64(32)) | np.uint64(words[np.uint64(position)])
                            position += 1
                        else:
                            x, position = _LOWER, limit + 1
                else:
                    words[np.uint64(position)] = np.uint32(0x80000000 | (bits << 16) | chunk)
                    position += 1
                mantissa = (mantissa << bits) | chunk
            before = min((before + 1) // 2 + mantissa, 1 << 20)
            if decoding:
                mantissa = min(mantissa, _CEILING)
                symbols[i, j] = np.int32(-mantissa if negative else mantissa)
            values[i, j] = np.int32(min(max(np.int64(symbols[i, j]) * steps[i], -(1 << 30)), 1 << 30))
        if decoding and position > limit:
            break
    coder[STATE], coder[POSITION] = np.int64(x), position
    return rows
