"""Lossless coding of float32 columns that belong together (the coefficients of one SH band, three scales, …).

Sign, exponent and the seven highest mantissa bits are coded with mixed contexts (see binary.py): the value to the left
(in SH the same coefficient of another colour), the value above (the Gaussian before, near in space) and a partner:
``stride`` columns back (in SH the same colour's coefficient before), or the value above when the stride is 1.
Mantissa bits follow the left value and the partner for as long as all bits so far agree: Adam moves rarely seen
coefficients in lockstep, so that many are alike. The other bits are noise and go out raw, except low bits that are zero
in every value (scenes rounded to half precision). Works on bit patterns: NaN payloads and -0 come back.
"""

from __future__ import annotations

import struct

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.entropy.binary import (
    DECODE,
    FRESH,
    INPUTS,
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

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
BLOCK = 1 << 18  # values per rANS stream; the model lives on from block to block
_NODES = 32
_BEFORE_FIRST = 103  # exponents 104 to 133 (2^-23 to 2^6) have ranks 1 to 30; rank 0 is any other
_TINY = 31  # rank of zero and subnormals
_RANK_STEPS, _STEPS = 5, 13  # decisions of a value: 5 for the rank, the sign, 7 mantissa bits
_LOG = _STEPS + 3  # log entries that one value can take
_CONTEXTS = 96  # per column
_LOWER = np.uint64(1 << 31)


def encode_columns(bits: U32, stride: int = 1) -> bytes:
    """Code (N, C) float32 bit patterns. ``stride``: how many columns back a value's partner lies, 1 for none."""
    rows, columns = bits.shape
    union = int(np.bitwise_or.reduce(bits, axis=None)) if bits.size else 0
    silent = min((union & -union).bit_length() - 1, 16) if union else 16
    parts, model = [struct.pack("<B", silent)], _model(columns)
    for start in range(0, rows, _step(columns)):
        block = np.ascontiguousarray(bits[start : start + _step(columns)])
        coder, log = begin_encoding(block.size * _LOG)
        _code(coder, log, block, silent, stride, *model)
        stream = finish_encoding(coder, log)
        parts += [struct.pack("<I", len(stream)), stream]
    return b"".join(parts)


def decode_columns(data: bytes, rows: int, columns: int, stride: int = 1) -> U32:
    """The reverse of ``encode_columns``: (rows, columns) bit patterns. Raises UnreadableError."""
    out = np.zeros((rows, columns), np.uint32)
    model, position = _model(columns), 1
    silent = data[0] if data else 255
    if silent > 16:
        raise UnreadableError("a stream of floats has no valid start: the file is corrupt")
    for start in range(0, rows, _step(columns)):
        length = int.from_bytes(data[position : position + 4], "little")
        coder, words = begin_decoding(data[position + 4 : position + 4 + length])
        _code(coder, words, out[start : start + _step(columns)], silent, stride, *model)
        finish_decoding(coder)
        position += 4 + length
    if position != len(data):
        raise UnreadableError("a stream of floats does not end where its values do: the file is corrupt")
    return out


def _step(columns: int) -> int:
    return max(1, BLOCK // columns)


def _model(columns: int) -> tuple[U32, I64]:
    """Fresh counters and mixer weights: per column and node, one set for ranks and one for signs and mantissas."""
    weights = np.full(columns * 2 * _NODES * INPUTS, int(0.4 * 65536), np.int64)
    return np.full(columns * _CONTEXTS * _NODES, FRESH, np.uint32), weights


@nb.njit(forceinline=True, nogil=True)
def _split(value: int) -> tuple[int, int]:
    """Rank of the exponent; sign and seven mantissa bits (of tiny values: sign, and whether there is a mantissa)."""
    exponent, mantissa = (value >> 23) & 255, value & 0x7FFFFF
    sign = value >> 31 << 7
    if exponent == 0:
        return np.int64(_TINY), sign | np.int64(mantissa != 0)
    rank = exponent - _BEFORE_FIRST
    return (rank if 0 < rank < _TINY else np.int64(0)), sign | mantissa >> 16


@nb.njit(cache=True, nogil=True)
def _code(coder: I64, words: U32, bits: U32, silent: int, stride: int, counters: U32, weights: I64) -> None:
    """Both directions over one block; everything in one function, as in plane.py and for the same reason."""
    rows, columns = bits.shape
    decoding = coder[MODE] == DECODE
    x, position, limit = np.uint64(coder[STATE]), coder[POSITION], coder[LIMIT]
    ranks, tops = np.zeros(columns, np.int64), np.zeros(columns, np.int64)  # the row above, overwritten by this one
    for i in range(rows):
        left_rank, left_top, largest = np.int64(0), np.int64(0), np.int64(0)
        for j in range(columns):
            above_rank, above_top = ranks[j], tops[j]
            back_rank, back_top = above_rank, above_top
            if stride > 1:
                back_rank, back_top = np.int64(0), np.int64(0)
                if j >= stride:
                    back_rank, back_top = ranks[j - stride], tops[j - stride]
            value = np.int64(bits[i, j])
            rank, top = _split(value)
            if decoding:
                rank, top = np.int64(0), np.int64(0)
            a = j * 16 + (left_rank >> 1)
            b = columns * 16 + j * 16 + (above_rank >> 1)
            c = columns * 32 + j * 16 + ((back_rank if stride > 1 else largest) >> 1)
            w = np.int64(j) * 2 * _NODES
            node, step, left_agrees, back_agrees = np.int64(1), 0, False, False
            while step < _STEPS:
                bit = (rank >> (4 - step)) & 1 if step < _RANK_STEPS else (top >> (12 - step)) & 1
                ia, ib, ic = np.uint64(a * _NODES + node), np.uint64(b * _NODES + node), np.uint64(c * _NODES + node)
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
                step += 1
                if step < _RANK_STEPS:
                    node = node << 1 | bit
                    rank |= bit << (5 - step)
                elif step == _RANK_STEPS:
                    rank |= bit
                    a, w, node = columns * 48 + j * 32 + rank, w + _NODES, np.int64(0)
                    b = columns * 80 + j * 8 + 4 + (left_top >> 7 << 1 | above_top >> 7)
                    c = columns * 88 + j * 8 + 4 + (back_top >> 7)
                    left_agrees, back_agrees = left_rank == rank, back_rank == rank
                else:
                    shift = 13 - step
                    top |= bit << shift
                    if step == 6 and rank == _TINY:
                        step, node = _STEPS - 1, np.int64(_NODES - 1)  # a single flag is left
                    elif step < _STEPS:
                        if step > 6:
                            left_agrees = left_agrees and (left_top >> shift) & 1 == bit
                            back_agrees = back_agrees and (back_top >> shift) & 1 == bit
                        done = step - 6  # mantissa bits: a tree of the first three, then one node per bit
                        node = (1 << done) | ((top & 127) >> (7 - done)) if done < 3 else np.int64(5 + done)
                        b = columns * 80 + j * 8 + ((left_top >> (shift - 1)) & 1 if left_agrees else 2)
                        c = columns * 88 + j * 8 + ((back_top >> (shift - 1)) & 1 if back_agrees else 2)
            # Raw: an exponent without rank (8 bits), then the mantissa below what was modelled, up to 12 + 11 bits.
            held = np.int64(16 - silent)
            if rank == _TINY:
                held = 23 - silent if top & 1 else np.int64(0)
            exponent, mantissa = (value >> 23) & 255, (value & 0x7FFFFF) >> silent
            known = np.int64(0)
            for part in range(3):
                count = (8 if rank == 0 else 0) if part == 0 else (min(held, 12) if part == 1 else max(held - 12, 0))
                if count == 0:
                    continue
                field = exponent if part == 0 else (mantissa >> (12 * (part - 1))) & ((1 << count) - 1)
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
                        known |= field << (silent + 12 * (part - 1))
                else:
                    words[np.uint64(position)] = np.uint32(0x80000000 | (count << 16) | field)
                    position += 1
            if decoding:
                if rank == _TINY:
                    exponent = np.int64(0)
                else:
                    known |= (top & 127) << 16
                    exponent = rank + _BEFORE_FIRST if rank else exponent
                bits[i, j] = np.uint32(top >> 7 << 31 | exponent << 23 | known)
            ranks[j], tops[j] = rank, top
            left_rank, left_top = rank, top
            if rank != _TINY:
                largest = max(largest, rank)
        if decoding and position > limit:
            break
    coder[STATE], coder[POSITION] = np.int64(x), position
