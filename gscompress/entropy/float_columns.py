"""Lossless coding of float32 columns that belong together (the coefficients of one SH band, three scales, …).

Sign, exponent and the three highest mantissa bits are coded with mixed contexts (see binary.py): the value to the left
(in SH the same coefficient of another colour), the value above (the Gaussian before, near in space) and the largest
exponent so far in the row. The mantissa's other bits are noise in trained scenes and go out raw, except for low bits
that are zero in every value (scenes rounded to half precision). Works on bit patterns: NaN payloads and -0 come back.
"""

from __future__ import annotations

import struct
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

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
from gscompress.errors import UnreadableError

U32 = npt.NDArray[np.uint32]
BLOCK = 1 << 20  # values per rANS stream; the model lives on from block to block
_NODES = 32
_LOWEST = 103  # exponents 104 to 133 have a rank of their own (1 to 30); 31 is zero and subnormals, 0 any other
_SUBNORMAL = 31
_DECISIONS = 13  # log entries of one value at most: 5 rank + exponent + sign + 3 mantissa + 2 raw
_LOWER = np.uint64(1 << 31)


def encode_columns(bits: U32) -> bytes:
    """Code (N, C) float32 bit patterns."""
    rows, columns = bits.shape
    union = int(np.bitwise_or.reduce(bits, axis=None)) if bits.size else 0
    silent = min((union & -union).bit_length() - 1, 20) if union else 20
    parts, model = [struct.pack("<B", silent)], _model(columns)
    for start in range(0, rows, _step(columns)):
        block = np.ascontiguousarray(bits[start : start + _step(columns)])
        coder, log = begin_encoding(block.size * _DECISIONS)
        _code(coder, log, block, silent, *model)
        stream = finish_encoding(coder, log)
        parts += [struct.pack("<I", len(stream)), stream]
    return b"".join(parts)


def decode_columns(data: bytes, rows: int, columns: int) -> U32:
    """The reverse of ``encode_columns``. Raises UnreadableError."""
    out = np.zeros((rows, columns), np.uint32)
    model, position = _model(columns), 1
    silent = data[0] if data else 255
    if silent > 20:
        raise UnreadableError("a stream of floats has no valid start: the file is corrupt")
    for start in range(0, rows, _step(columns)):
        block = out[start : start + _step(columns)]
        length = int.from_bytes(data[position : position + 4], "little")
        coder, words = begin_decoding(data[position + 4 : position + 4 + length])
        _code(coder, words, block, silent, *model)
        finish_decoding(coder)
        position += 4 + length
    if position != len(data):
        raise UnreadableError("a stream of floats does not end where its values do: the file is corrupt")
    return out


def _step(columns: int) -> int:
    return max(1, BLOCK // columns)


def _model(columns: int) -> tuple[Any, Any]:
    contexts = 96 * columns + 32
    weights = np.full(3 * 2 * _NODES, int(0.4 * 65536), np.int64)
    return np.full(contexts * _NODES, FRESH, np.uint32), np.repeat(weights[None], columns, 0).ravel()


@nb.njit(cache=True, nogil=True)
def _code(
    coder: npt.NDArray[np.int64],
    words: U32,
    bits: U32,
    silent: int,
    counters: U32,
    weights: npt.NDArray[np.int64],
) -> None:
    """Both directions over one block. Steps of a value: 0-4 exponent's rank, 5 sign, 6-8 mantissa, then raw bits."""
    rows, columns = bits.shape
    decoding = coder[MODE] == DECODE
    x, position, limit = np.uint64(coder[STATE]), coder[POSITION], coder[LIMIT]
    above_rank = np.zeros(columns, np.int64)
    above_top = np.zeros(columns, np.int64)  # sign << 3 | three highest mantissa bits
    for i in range(rows):
        left_rank, left_top, best = np.int64(0), np.int64(0), np.int64(0)
        for j in range(columns):
            value = np.int64(bits[i, j])
            exponent = (value >> 23) & 255
            rank = np.int64(_SUBNORMAL)
            if exponent:
                rank = exponent - _LOWEST if _LOWEST < exponent < _LOWEST + _SUBNORMAL else np.int64(0)
            mantissa = value & 0x7FFFFF
            top = (value >> 31) << 3 | (np.int64(mantissa != 0) if rank == _SUBNORMAL else mantissa >> 20)
            a = j * 16 + (left_rank >> 1)
            b = columns * 16 + j * 16 + (above_rank[j] >> 1)
            c = columns * 32 + j * 16 + (best >> 1)
            w = np.int64(j) * 2 * _NODES
            if decoding:
                rank, top = np.int64(0), np.int64(0)
            node, rest = np.int64(1), 0
            step = 0
            while step < 9:
                if step < 5:
                    bit = (rank >> (4 - step)) & 1
                else:
                    bit = (top >> (8 - step)) & 1
                ia, ib, ic = np.uint64(a * _NODES + node), np.uint64(b * _NODES + node), np.uint64(c * _NODES + node)
                w0 = np.uint64((w + node) * 3)
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
                if step < 4:
                    node = node << 1 | bit
                    if decoding:
                        rank |= bit << (4 - step)
                elif step == 4:
                    if decoding:
                        rank |= bit
                    a = columns * 48 + j * 32 + rank
                    b = columns * 80 + j * 16 + (left_top >> 3 << 1 | above_top[j] >> 3)
                    c = columns * 96 + rank
                    w, node = np.int64(j) * 2 * _NODES + _NODES, np.int64(0)
                else:
                    if decoding:
                        top |= bit << (8 - step)
                    if step == 5:
                        b = columns * 80 + j * 16 + (4 + (above_top[j] & 7) if above_rank[j] == rank else 12)
                        node = np.int64(1)
                        if rank == _SUBNORMAL:
                            step, node = 7, np.int64(16)  # one flag: is there a mantissa at all
                    else:
                        node = node << 1 | bit
                step += 1
            # Raw: an exponent without a rank, then the mantissa below what was modelled.
            for part in range(3):
                if part == 0:
                    count, field = (8 if rank == 0 else 0), exponent
                else:
                    held = 20 - silent
                    if rank == _SUBNORMAL:
                        held = 23 - silent if top & 1 else 0
                    count = min(held, 12) if part == 1 else max(held - 12, 0)
                    field = (mantissa >> silent >> (0 if part == 1 else 12)) & ((1 << count) - 1)
                if count:
                    if decoding:
                        field = np.int64(x & np.uint64((1 << count) - 1))
                        x >>= np.uint64(count)
                        if x < _LOWER:
                            if position < limit:
                                x = (x << np.uint64(32)) | np.uint64(words[np.uint64(position)])
                                position += 1
                            else:
                                x, position = _LOWER, limit + 1
                        if part == 0:
                            exponent = field
                        else:
                            rest |= field << (silent + (0 if part == 1 else 12))
                    else:
                        words[np.uint64(position)] = np.uint32(0x80000000 | (count << 16) | field)
                        position += 1
            if decoding:
                if rank == _SUBNORMAL:
                    exponent = np.int64(0)
                else:
                    rest |= (top & 7) << 20
                    if rank:
                        exponent = rank + _LOWEST
                bits[i, j] = np.uint32((top >> 3) << 31 | exponent << 23 | rest)
            above_rank[j], above_top[j] = rank, top
            left_rank, left_top = rank, top
            if rank != _SUBNORMAL and rank > best:
                best = rank
        if decoding and position > limit:
            break
    coder[STATE], coder[POSITION] = np.int64(x), position
