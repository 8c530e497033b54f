"""One kernel for every entropy-coded plane of integers, in both directions.

A plane is (N, C) integers: N rows (Gaussians, tree nodes) in a fixed order, C columns. Each symbol is binarised as
zero flag, sign, Elias-gamma exponent in unary, two modelled mantissa bits, raw rest. Every modelled bit is predicted
from three contexts and mixed (see binary.py):

    a   the row's first class and the column       (what the decoder knows about the row)
    b   magnitudes of the column at two earlier rows (near in space), and of the columns just coded in this row
    c   the row's second class and the column

Optionally a symbol is coded as the difference from a prediction: the mean of the two earlier rows' values, shrunk
towards zero, on the row's own step grid. All arithmetic is integer.
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
_BUCKETS = 6  # magnitude buckets of neighbours and of earlier columns
_LOWER = np.uint64(1 << 31)
_WORST = 48  # log entries that one symbol can take


@dataclass(frozen=True, slots=True)
class Side:
    """What both sides know before a plane is coded.

    first, second: (N,) uint16 row classes below ``first_classes`` / ``second_classes``.
    near: (N, 2) int32 indices of earlier rows, -1 for none.
    steps: (N,) int32 step of each row in units of the finest grid; shrink: (C,) int32 in 1/64, 0 turns prediction off.
    lengths: (N,) int32 columns that are present in a row (the others are zero).
    """

    first: npt.NDArray[np.uint16]
    second: npt.NDArray[np.uint16]
    first_classes: int
    second_classes: int
    near: I32
    steps: I32
    shrink: I32
    lengths: I32


def encode_plane(symbols: I32, side: Side, signed: bool) -> bytes:
    """Code (N, C) integers below 2^24 in magnitude."""
    rows, columns = symbols.shape
    coder, log = begin_encoding(max(4096, symbols.size * 6) + _WORST * columns)
    state = _model(columns, side)
    done = 0
    values = np.zeros_like(symbols)
    while True:
        done = _code(coder, log, symbols, values, done, signed, *_arguments(side), *state)
        if done == rows:
            return finish_encoding(coder, log)
        log = np.concatenate([log, np.empty_like(log)])
        coder[LIMIT] = len(log)


def decode_plane(data: bytes, rows: int, columns: int, side: Side, signed: bool) -> I32:
    """The reverse of ``encode_plane`` given the same side information. Raises UnreadableError."""
    coder, words = begin_decoding(data)
    symbols = np.zeros((rows, columns), np.int32)
    values = np.zeros_like(symbols)
    _code(coder, words, symbols, values, 0, signed, *_arguments(side), *_model(columns, side))
    finish_decoding(coder)
    if len(symbols) and max(int(symbols.max()), -int(symbols.min())) >= 1 << MAX_EXPONENT:
        raise UnreadableError("an entropy-coded stream holds a value out of range: the file is corrupt")
    return symbols


def _model(columns: int, side: Side) -> tuple[Any, Any]:
    contexts = columns * (side.first_classes + _BUCKETS * _BUCKETS + side.second_classes)
    return new_counters(contexts), new_weights(columns)


def _arguments(side: Side) -> tuple[Any, ...]:
    return (side.first, side.second, side.first_classes, side.near, side.steps, side.shrink, side.lengths)


@nb.njit(forceinline=True, nogil=True)
def _bucket(total: int) -> int:
    """Magnitude to one of _BUCKETS classes: 0, 1, 2, 3-4, 5-9, 10 and more."""
    if total < 3:
        return total
    if total < 5:
        return 3
    return 4 if total < 10 else 5


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
    shrink: I32,
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
    base_c = base_b + np.int64(columns * _BUCKETS * _BUCKETS)
    for i in range(start, rows):
        if not decoding and position + _WORST * columns > limit:
            coder[STATE], coder[POSITION] = np.int64(x), position
            return i
        n0, n1 = near[i, 0], near[i, 1]
        before = np.int64(0)
        for j in range(min(columns, lengths[i])):
            predicted = np.int64(0)
            around = np.int64(0)
            lean = np.int64(0)
            if n0 >= 0:
                lean = np.int64(symbols[n0, j])
                around = abs(lean)
                if n1 >= 0:
                    around += abs(np.int64(symbols[n1, j]))
                else:
                    around *= 2
            if shrink[j] != 0 and n0 >= 0:
                total = np.int64(values[n0, j]) + np.int64(values[n1 if n1 >= 0 else n0, j])
                predicted = total * shrink[j]
                half = np.int64(steps[i]) * 64
                predicted = (predicted + half) // (2 * half)
                around, lean = np.int64(0), np.int64(0)
            a = (np.int64(first[i]) * columns + j) * NODES
            b = (base_b + (_bucket(around) * _BUCKETS + _bucket(before)) * columns + j) * NODES
            c = (base_c + np.int64(second[i]) * columns + j) * NODES
            w = np.int64(j) * NODES
            symbol = np.int64(symbols[i, j]) - predicted
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
                symbols[i, j] = np.int32((-mantissa if negative else mantissa) + predicted)
            values[i, j] = np.int32(min(max(np.int64(symbols[i, j]) * steps[i], -(1 << 30)), 1 << 30))
        if decoding and position > limit:
            break
    coder[STATE], coder[POSITION] = np.int64(x), position
    return rows
