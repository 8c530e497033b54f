"""rANS whose tables learn: for short alphabets whose statistics nobody wants to send, or that drift.

A context's table is a cumulative distribution that moves towards each symbol seen by 2^-rate of the way (the mixing
rule of Giesen's and AV1's adaptive coders), faster in a context's first symbols. Integers only. Encoder and decoder run
one kernel; the encoder logs intervals forwards and rans.push codes them backwards.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.entropy.rans import close_stream, open_stream, push
from gscompress.errors import UnreadableError

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
PRECISION = 15
MOST_SYMBOLS = 256
_LOWER = 1 << 31
_FASTEST, _SLOWEST = 3, 10  # rates: a context starts with the fastest


def encode_adaptive(
    symbols: npt.NDArray[Any], alphabet: int, contexts: npt.NDArray[Any] | None = None, *, rate: int = 7
) -> bytes:
    """Code (N,) symbols below ``alphabet`` (at most 256), each under context ``contexts[i]`` of (N,) uint16, or one."""
    values = np.ascontiguousarray(symbols, np.uint16)
    if len(values) and (np.min(symbols) < 0 or np.max(symbols) >= alphabet):
        raise ValueError(f"symbols must be 0 to {alphabet - 1}")
    places, tables = _contexts(len(values), contexts)
    starts, frequencies = np.empty(len(values), np.uint32), np.empty(len(values), np.uint32)
    states, words = np.zeros(0, np.uint64), np.zeros(0, np.uint32)
    _learn(states, words, values, places, _fresh(tables, alphabet, rate), rate, starts, frequencies)
    return push(starts, frequencies, PRECISION)


def decode_adaptive(
    data: bytes, count: int, alphabet: int, contexts: npt.NDArray[Any] | None = None, *, rate: int = 7
) -> npt.NDArray[np.uint16]:
    """The reverse: (count,) symbols. Raises UnreadableError. Check a count that comes from a file first."""
    states, words = open_stream(data, count)
    places, tables = _contexts(count, contexts)
    out = np.zeros(count, np.uint16)
    nothing = np.zeros(0, np.uint32)
    position = _learn(states, words, out, places, _fresh(tables, alphabet, rate), rate, nothing, nothing)
    close_stream(states, words, position)
    return out


def _contexts(count: int, contexts: npt.NDArray[Any] | None) -> tuple[npt.NDArray[np.uint16], int]:
    if contexts is None:
        return np.zeros(count, np.uint16), 1
    if len(contexts) != count:
        raise UnreadableError("there are not as many contexts as symbols: the file is corrupt")
    places = np.ascontiguousarray(contexts, np.uint16)
    return places, int(places.max()) + 1 if count else 1


def _fresh(tables: int, alphabet: int, rate: int) -> U32:
    """(tables, alphabet + 1): cumulative frequencies, without the one slot that every symbol keeps; then an age."""
    if not _SLOWEST >= rate >= _FASTEST:
        raise ValueError(f"the rate is {_FASTEST} to {_SLOWEST}, not {rate}")
    if not 0 < alphabet <= MOST_SYMBOLS:
        raise ValueError(f"an adaptive alphabet has 1 to {MOST_SYMBOLS} symbols, not {alphabet}")
    whole = (1 << PRECISION) - alphabet
    row = np.append(np.arange(alphabet) * whole // alphabet, 0)
    return np.tile(row.astype(np.uint32), (tables, 1))


@nb.njit(cache=True, nogil=True)
def _learn(
    states: U64,
    words: U32,
    symbols: npt.NDArray[np.uint16],
    contexts: npt.NDArray[np.uint16],
    model: U32,
    rate: int,
    starts: U32,
    frequencies: U32,
) -> int:
    """Both directions. Without states the intervals are logged; with them symbols are decoded. Returns words read."""
    decoding = len(states) > 0
    alphabet = model.shape[1] - 1
    whole = np.int64(1 << PRECISION) - alphabet
    position = 0
    for i in range(len(symbols)):
        row = np.uint64(contexts[i])
        x, slot, symbol = np.uint64(0), np.int64(0), np.int64(symbols[i])
        if decoding:
            x = states[i & (len(states) - 1)]
            slot = np.int64(x & np.uint64((1 << PRECISION) - 1))
            symbol = np.int64(-1)
            for s in range(alphabet):
                symbol += np.int64(np.int64(model[row, np.uint64(s)]) + s <= slot)
        start = np.int64(model[row, np.uint64(symbol)]) + symbol
        end = np.int64(1 << PRECISION)
        if symbol + 1 < alphabet:
            end = np.int64(model[row, np.uint64(symbol + 1)]) + symbol + 1
        if decoding:
            x = np.uint64(end - start) * (x >> np.uint64(PRECISION)) + np.uint64(slot - start)
            if x < np.uint64(_LOWER):
                if position == len(words):
                    return position + 1
                x = x << np.uint64(32) | np.uint64(words[position])
                position += 1
            states[i & (len(states) - 1)] = x
            symbols[i] = symbol
        else:
            starts[i], frequencies[i] = start, end - start
        age = np.int64(model[row, np.uint64(alphabet)])
        speed = min(rate, _FASTEST + (age >> 2))
        for s in range(1, alphabet):
            cumulative = np.int64(model[row, np.uint64(s)])
            model[row, np.uint64(s)] = cumulative + (((whole if s > symbol else 0) - cumulative) >> speed)
        model[row, np.uint64(alphabet)] = age + np.int64(age < 255)
    return position
