"""One kernel for every entropy-coded plane of integers, in both directions.

A plane is (N, C) integers: N rows (Gaussians, tree nodes) in a fixed order, C columns. A symbol is asked for bit by bit
(see binarisation.py); every modelled bit is predicted by four counters, mixed with a constant (see binary.py):

    a       the row's first class, the column, and the symbol of the column before (sign and size)
    b       the column's mean and spread at four earlier rows that lie near in space, on this row's step grid
    c       the row's second class, the column, and the magnitudes of the columns just coded in this row
    recent  the column alone, over its last eight or so symbols: how busy this part of space is

Coding a symbol outright under a context that holds its neighbours' mean beats coding its difference from that mean
by 3 to 8 % on trained scenes: the values are multi-modal. All arithmetic is integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.entropy.binarisation import BASE, DECISIONS, EXPONENT, NEXT, NODES, RAW, SIGN, TOP, ZERO, answers
from gscompress.entropy.binary import (
    DECODE,
    FRESH,
    LIMIT,
    MODE,
    ONE,
    POSITION,
    PROB_BITS,
    STATE,
    begin_decoding,
    begin_encoding,
    finish_decoding,
    finish_encoding,
    learn,
    squash,
    stretch,
)
from gscompress.entropy.lanes import adapt
from gscompress.errors import UnreadableError

I32 = npt.NDArray[np.int32]
NEAR = 4  # neighbours per row
_BUCKETS = 8  # magnitude classes: 0, 1, 2, 3-4, 5-7, 8-12, 13-20, 21 and more
_BUCKET = np.searchsorted([1, 2, 3, 5, 8, 13, 21], np.arange(22), side="right").astype(np.uint8)
_MEANS = 2 * _BUCKETS - 1
_LEFT = 5  # magnitude classes of the column before are cut off here
_LEFTS = 2 * _LEFT + 1
_SLOTS = 8  # of the mixer per column and node: weights of a, b, c, recent, constant; the recent counter; two unused
_WEIGHT = int(0.3 * 65536)
_RATE = 3
_LOWER = np.uint64(1 << 31)
_FURTHEST = 1 << 30  # neighbours' values are cut off here


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
    near: (N, NEAR) int32 indices of earlier rows of the same plane, nearest first, -1 for none.
    steps: (N,) int32 step of each row in units of the finest grid, at least 1.
    lengths: (N,) int32 columns that are present in a row (the others are zero).

    What is out of range is cut off, on both sides alike: corrupt side information decodes to wrong symbols, no more.
    """

    first: npt.NDArray[np.uint16] | None = None
    second: npt.NDArray[np.uint16] | None = None
    near: I32 | None = None
    steps: I32 | None = None
    lengths: I32 | None = None

    def arguments(self, rows: int, shape: Shape) -> tuple[Any, ...]:
        """What the kernel takes; an empty array says "nothing known". Raises ValueError for arrays that do not fit."""
        arrays = (
            _array(self.first, rows, np.uint16),
            _array(self.second, rows, np.uint16),
            _array(self.near, rows, np.int32, NEAR),
            _array(self.steps, rows, np.int32),
            _array(self.lengths, rows, np.int32),
        )
        return (shape.signed, shape.first_classes, shape.second_classes, *arrays)


def _array(given: npt.NDArray[Any] | None, rows: int, kind: Any, *columns: int) -> npt.NDArray[Any]:
    if given is None:
        return np.empty((0, *columns), kind)
    if np.shape(given) != (rows, *columns):
        raise ValueError(f"side information of {np.shape(given)} does not fit {(rows, *columns)}")
    return np.require(given, kind, ["C", "W"])


class PlaneEncoder:
    """Codes one plane after another into one stream with one adapting model."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._coder, self._log = begin_encoding(4096)
        self._model = _model(shape)

    def add(self, symbols: I32, side: Side) -> None:
        """Code (N, C) integers below 2^24 in magnitude. Raises ValueError for others."""
        symbols = np.require(symbols, np.int32, ["C", "W"])  # read-only arrays would compile the kernel anew
        if symbols.ndim != 2 or symbols.shape[1] != self._shape.columns:
            raise ValueError(f"symbols of {symbols.shape} do not fit {self._shape.columns} columns")
        lowest = 1 - (2 << TOP) if self._shape.signed else 0
        if symbols.size and not lowest <= symbols.min() <= symbols.max() < 2 << TOP:
            raise ValueError(f"symbols from {symbols.min()} to {symbols.max()} are out of range")
        done = 0
        arguments = side.arguments(len(symbols), self._shape)
        while True:
            used, width = int(self._coder[POSITION]), self._shape.columns
            room = used + DECISIONS * width + 4 * (len(symbols) - done) * width
            if room > len(self._log):
                self._log = np.concatenate([self._log[:used], np.empty(room - used + room // 4, np.uint32)])
                self._coder[LIMIT] = len(self._log)
            done = _code(self._coder, self._log, symbols, done, *arguments, *self._model)
            if done < 0:
                raise ValueError("a row has symbols beyond its length")
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
        """The next (rows, C) symbols. Raises UnreadableError when the stream is exhausted.

        ``rows`` is allocated as it is: check a count that comes from a file first.
        """
        symbols = np.zeros((rows, self._shape.columns), np.int32)
        _code(self._coder, self._words, symbols, 0, *side.arguments(rows, self._shape), *self._model)
        if self._coder[POSITION] > self._coder[LIMIT]:
            raise UnreadableError("an entropy-coded stream ends before its symbols do: the file is corrupt")
        return symbols

    def finish(self) -> None:
        finish_decoding(self._coder)


def _model(shape: Shape) -> tuple[npt.NDArray[np.uint32], I32]:
    """Fresh counters (contexts a, then b, then c, NODES each) and mixer (columns, NODES, _SLOTS)."""
    contexts = shape.first_classes * _LEFTS + _MEANS * _BUCKETS + shape.second_classes * _BUCKETS
    counters = _lines(shape.columns * contexts * NODES, np.uint32)
    counters[:] = FRESH
    mixer = _lines(shape.columns * NODES * _SLOTS, np.int32)
    mixer.reshape(-1, _SLOTS)[:] = [_WEIGHT] * 4 + [0, 1 << 21, 0, 0]
    return counters, mixer


def _lines(size: int, kind: Any) -> Any:
    """An uninitialised array of 32-bit numbers that starts on a cache line."""
    raw = np.empty(size + 16, kind)
    start = -raw.ctypes.data // 4 % 16
    return raw[start : start + size]


@nb.njit(forceinline=True, nogil=True)
def _bucket(total: int) -> int:
    return np.int64(_BUCKET[np.uint64(min(total, 21))])


@nb.njit(forceinline=True, nogil=True)
def _steps_in(total: int, step: int) -> int:
    """_bucket(total // step), without dividing."""
    return (
        np.int64(total >= step)
        + np.int64(total >= 2 * step)
        + np.int64(total >= 3 * step)
        + np.int64(total >= 5 * step)
        + np.int64(total >= 8 * step)
        + np.int64(total >= 13 * step)
        + np.int64(total >= 21 * step)
    )


@nb.njit(forceinline=True, nogil=True)
def _surroundings(v0: int, v1: int, v2: int, v3: int, step: int) -> int:
    """Context b: class of the neighbours' rounded mean (the nearer two weigh double), and of their spread."""
    total = 2 * (v0 + v1) + v2 + v3
    mean = _steps_in(abs(total) + 3 * step, 6 * step)
    spread = _steps_in(max(v0, v1, v2, v3) - min(v0, v1, v2, v3), step)
    return (_BUCKETS - 1 + (mean if total > 0 else -mean)) * _BUCKETS + spread


@nb.njit(forceinline=True, nogil=True)
def _value(symbol: int, step: int) -> int:
    """What a symbol stands for, in units of the finest grid."""
    return min(max(np.int64(symbol) * step, -_FURTHEST), _FURTHEST)


@nb.njit(forceinline=True, nogil=True)
def _earlier(index: int, row: int, otherwise: int) -> int:
    return np.uint64(index) if 0 <= index < row else np.uint64(otherwise)


@nb.njit(cache=True, nogil=True)
def _code(
    coder: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint32],
    symbols: I32,
    start: int,
    signed: bool,
    first_classes: int,
    second_classes: int,
    first: npt.NDArray[np.uint16],
    second: npt.NDArray[np.uint16],
    near: I32,
    steps: I32,
    lengths: I32,
    counters: npt.NDArray[np.uint32],
    mixer: I32,
) -> int:
    """Code rows from ``start`` on; returns the first row not done (the log is full) or N, or -1: a row is too long.

    Everything sits in one function on purpose: passing arrays to helpers costs reference counting per bit.
    """
    rows, columns = symbols.shape
    decoding = coder[MODE] == DECODE
    x, position, limit = np.uint64(coder[STATE]), coder[POSITION], coder[LIMIT]
    base_b = np.int64(first_classes) * _LEFTS
    base_c = base_b + _MEANS * _BUCKETS
    around = np.empty(columns, np.int32)
    for i in range(start, rows):
        if not decoding and position + DECISIONS * columns > limit:
            coder[STATE], coder[POSITION] = np.int64(x), position
            return i
        present = max(min(columns, np.int64(lengths[i])), 0) if len(lengths) else columns
        if not decoding:
            for j in range(present, columns):
                if symbols[i, j]:
                    return -1
        step = np.int64(max(steps[i], 1)) if len(steps) else np.int64(1)
        nearest = np.int64(near[i, 0]) if len(near) else i - 1
        if 0 <= nearest < i:
            n0 = np.uint64(nearest)
            if len(near):
                n1, n2, n3 = _earlier(near[i, 1], i, n0), _earlier(near[i, 2], i, n0), _earlier(near[i, 3], i, n0)
            else:
                n1, n2, n3 = _earlier(i - 2, i, n0), _earlier(i - 3, i, n0), _earlier(i - 4, i, n0)
            s0 = s1 = s2 = s3 = np.int64(1)
            if len(steps):
                s0, s1 = np.int64(max(steps[n0], 1)), np.int64(max(steps[n1], 1))
                s2, s3 = np.int64(max(steps[n2], 1)), np.int64(max(steps[n3], 1))
            for j in range(present):
                k = np.uint64(j)
                v0, v1 = _value(symbols[n0, k], s0), _value(symbols[n1, k], s1)
                v2, v3 = _value(symbols[n2, k], s2), _value(symbols[n3, k], s3)
                around[k] = _surroundings(v0, v1, v2, v3, step)
        else:
            around[:] = (_BUCKETS - 1) * _BUCKETS
        row_a, row_c = np.int64(_LEFT), base_c
        if len(first):
            row_a += min(np.int64(first[i]), first_classes - 1) * _LEFTS
        if len(second):
            row_c += min(np.int64(second[i]), second_classes - 1) * _BUCKETS
        left, magnitudes = np.int64(0), np.int64(0)
        for j in range(present):
            b = np.int64(around[np.uint64(j)])
            mean = b >> 3
            entry = SIGN + np.int64(mean >= _BUCKETS - 1) + np.int64(mean >= _BUCKETS) if signed else EXPONENT
            a = ((row_a + left) * columns + j) * NODES
            b = ((base_b + b) * columns + j) * NODES
            c = ((row_c + _bucket(magnitudes)) * columns + j) * NODES
            symbol = np.int64(symbols[i, j])
            path, todo = answers(symbol, signed)
            node, negative = np.int64(ZERO), np.int64(0)
            while node < NODES:
                ia, ib, ic = np.uint64(a + node), np.uint64(b + node), np.uint64(c + node)
                m0 = np.uint64((j * NODES + node) * _SLOTS)
                m1, m2, m3 = m0 + np.uint64(1), m0 + np.uint64(2), m0 + np.uint64(3)
                m4, m5 = m0 + np.uint64(4), m0 + np.uint64(5)
                va, vb, vc, vr = np.int64(counters[ia]), np.int64(counters[ib]), np.int64(counters[ic]), mixer[m5]
                sa, sb, sc, sr = stretch(va), stretch(vb), stretch(vc), stretch(vr << 10)
                dot = mixer[m0] * sa + mixer[m1] * sb + mixer[m2] * sc + mixer[m3] * sr + (mixer[m4] << 8)
                p = squash(np.int32(dot))
                if decoding:
                    low = np.int64(x & np.uint64(ONE - 1))
                    ones = (
                        low - p
                    ) >> 63  # all ones for a one: a comparison would become a branch that nobody predicts
                    bit = ones & 1
                    frequency = np.uint64(ONE - p + (ones & (2 * p - ONE)))
                    x = frequency * (x >> np.uint64(PROB_BITS)) + np.uint64(low - p + (ones & p))
                    if x < _LOWER:
                        if position < limit:
                            x = (x << np.uint64(32)) | np.uint64(words[np.uint64(position)])
                            position += 1
                        else:
                            x, position = _LOWER, limit + 1
                else:
                    todo -= 1
                    bit = (path >> todo) & 1
                    words[np.uint64(position)] = np.uint32((p << 1) | bit)
                    position += 1
                error = ((bit << PROB_BITS) - p) * _RATE
                adapt(mixer, m0, sa, sb, sc, sr, error)
                mixer[m4] += (error + 0x80) >> 8
                mixer[m5] = vr + (((bit << 22) - bit - vr) >> 3)
                counters[ia] = np.uint32(learn(va, bit))
                counters[ib] = np.uint32(learn(vb, bit))
                counters[ic] = np.uint32(learn(vc, bit))
                if node == ZERO:
                    node = entry if bit else np.int64(NODES)
                else:
                    if node < EXPONENT:
                        negative = bit
                    node = np.int64(NEXT[np.uint64(2 * node + bit)])
            end = np.uint64(node - NODES)
            magnitude, rest = np.int64(BASE[end]), np.int64(RAW[end])
            while rest > 0:
                bits = min(rest, 16)
                rest -= bits
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
                    chunk = (abs(symbol) >> rest) & ((1 << bits) - 1)
                    words[np.uint64(position)] = np.uint32(0x80000000 | (bits << 16) | chunk)
                    position += 1
                magnitude |= chunk << rest
            if magnitude:
                symbol = -magnitude if negative else magnitude
                if decoding:
                    symbols[i, j] = np.int32(symbol)
            left = min(_bucket(magnitude), _LEFT)
            left = -left if negative else left
            magnitudes = min(((3 * magnitudes + 2) >> 2) + magnitude, 1 << 20)
        if decoding and position > limit:
            break
    coder[STATE], coder[POSITION] = np.int64(x), position
    return rows
