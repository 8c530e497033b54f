"""Range-ANS over alphabets of many symbols: static, conditional (a table per symbol) and adaptive tables.

rANS (Duda 2013, "Asymmetric numeral systems"; the streaming form of Giesen, "Interleaved entropy coders", 2014) with
64-bit states and 32-bit words. Long sequences are dealt to four states in turn, which a processor works on at once; the
words of all four share one stream in the order in which the decoder asks for them. An interval of a symbol, (start,
frequency) of 2^precision, may come from a table, from a table chosen per symbol, or from a model that learns.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.entropy.rans_tables import Tables
from gscompress.errors import UnreadableError

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
_LOWER = 1 << 31
_FEW = 1 << 18  # up to so many symbols one state does, and saves the twenty-odd bytes of the others


def encode(symbols: npt.NDArray[Any], tables: Tables, which: npt.NDArray[Any] | None = None) -> bytes:
    """Code (N,) symbols below the alphabet with table 0, or with table ``which[i]`` of (N,) each.

    Raises ValueError for a symbol that its table has no code for.
    """
    values = np.asarray(symbols)
    count, alphabet = tables.frequencies.shape
    if len(values) and (values.min() < 0 or values.max() >= alphabet):
        raise ValueError(f"symbols must be 0 to {alphabet - 1}")
    places = values.astype(np.intp)
    if which is not None:
        rows = np.asarray(which)
        if len(rows) != len(values) or (len(rows) and (rows.min() < 0 or rows.max() >= count)):
            raise ValueError(f"table numbers must be 0 to {count - 1}, and as many as there are symbols")
        places += rows.astype(np.intp) * alphabet
    frequencies = tables.frequencies.ravel().take(places)
    if not frequencies.all():
        place = int(np.argmin(frequencies))
        raise ValueError(f"symbol {values[place]} at place {place} has no code in its table")
    return push(tables.starts().ravel().take(places), frequencies, tables.precision)


def decode(data: bytes, count: int, tables: Tables, which: npt.NDArray[Any] | None = None) -> npt.NDArray[np.uint16]:
    """The reverse: (count,) symbols. Raises UnreadableError.

    ``count`` is allocated as it is: check one that comes from a file first.
    """
    states, words = open_stream(data, count)
    rows = np.zeros(0, np.uint16)
    if which is not None:
        rows = np.ascontiguousarray(which, np.uint16)
        if len(rows) != count or (count and rows.max() >= len(tables.frequencies)):
            raise UnreadableError("a symbol asks for a frequency table that does not exist: the file is corrupt")
    intervals = tables.starts().astype(np.uint64) << np.uint64(32) | tables.frequencies
    out = np.zeros(count, np.uint16)
    position = _pull(states, words, out, rows, tables.slots(), intervals, tables.precision)
    close_stream(states, words, position)
    return out


def push(starts: U32, frequencies: U32, precision: int) -> bytes:
    """Code (N,) intervals of 2^precision, given in the decoder's order."""
    states = np.full(_lanes(len(starts)), _LOWER, np.uint64)
    out = np.empty(len(starts), np.uint32)
    place = _push(states, out, starts, frequencies, precision)
    head = np.stack([states >> np.uint64(32), states & np.uint64(0xFFFFFFFF)], 1).astype("<u4")
    return head.tobytes() + out[place:].astype("<u4").tobytes()


def open_stream(data: bytes, count: int) -> tuple[U64, U32]:
    """States and words of a stream of ``count`` symbols. Raises UnreadableError for one that cannot be one."""
    head = 8 * _lanes(count)
    if len(data) < head or len(data) % 4:
        raise UnreadableError("an entropy-coded stream has a wrong length: the file is corrupt")
    halves = np.frombuffer(data, "<u4", head // 4).astype(np.uint64).reshape(-1, 2)
    states = halves[:, 0] << np.uint64(32) | halves[:, 1]
    if (states >> np.uint64(63)).any():
        raise UnreadableError("an entropy-coded stream starts with an impossible state: the file is corrupt")
    return states, np.frombuffer(data, "<u4", offset=head).astype(np.uint32)


def close_stream(states: U64, words: U32, position: int) -> None:
    """Check that a stream ended exactly where it should. Raises UnreadableError."""
    if position != len(words) or (states != _LOWER).any():
        raise UnreadableError("an entropy-coded stream does not end where its symbols do: the file is corrupt")


def _lanes(count: int) -> int:
    return 1 if count <= _FEW else 4


@nb.njit(cache=True, nogil=True)
def _push(states: U64, out: U32, starts: U32, frequencies: U32, precision: int) -> int:
    """Backwards over the intervals; words are stored from the end of ``out``. Returns the first place."""
    lanes, place = np.uint64(len(states) - 1), np.uint64(len(out))
    bits, low = np.uint64(precision), np.uint64(0xFFFFFFFF)
    for i in range(np.uint64(len(starts)), np.uint64(0), -1):
        k = np.uint64(i) - np.uint64(1)
        x, frequency = states[k & lanes], np.uint64(frequencies[k])
        if x >= frequency << (np.uint64(63) - bits):
            place -= np.uint64(1)
            out[place] = np.uint32(x & low)
            x >>= np.uint64(32)
        quotient = x // frequency
        states[k & lanes] = (quotient << bits) + (x - quotient * frequency) + np.uint64(starts[k])
    return place


@nb.njit(cache=True, nogil=True)
def _pull(
    states: U64,
    words: U32,
    out: npt.NDArray[np.uint16],
    which: npt.NDArray[np.uint16],
    slots: npt.NDArray[np.uint16],
    intervals: U64,
    precision: int,
) -> int:
    """Returns how many words were read, or one more than there are."""
    lanes, bits, mask = np.uint64(len(states) - 1), np.uint64(precision), np.uint64((1 << precision) - 1)
    position, limit = np.uint64(0), np.uint64(len(words))
    conditional = len(which) > 0
    for i in range(len(out)):
        k = np.uint64(i)
        row = np.uint64(which[k]) if conditional else np.uint64(0)
        x = states[k & lanes]
        slot = x & mask
        symbol = slots[row, slot]
        interval = intervals[row, np.uint64(symbol)]
        x = (interval & np.uint64(0xFFFFFFFF)) * (x >> bits) + slot - (interval >> np.uint64(32))
        if x < np.uint64(_LOWER):
            if position == limit:
                return len(words) + 1
            x = x << np.uint64(32) | np.uint64(words[position])
            position += np.uint64(1)
        states[k & lanes] = x
        out[k] = symbol
    return np.int64(position)
