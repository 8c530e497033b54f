"""Sparse sequences of integers as runs of zeros and the values between them, both entropy-coded.

For a sequence with one value in twenty or fewer this is as small as coding every symbol (plane.py), and its time
goes with the values instead of with the length.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError

I32 = npt.NDArray[np.int32]
_LONGEST = 1 << 23  # a longer run of zeros is broken by a value of 0
_HEAD = struct.Struct("<QI")  # values, bytes of the stream of runs
_RUNS = Shape(columns=1, first_classes=1, second_classes=1, signed=False)
_VALUES = Shape(columns=1, first_classes=1, second_classes=1, signed=True)


def encode_sparse(symbols: I32) -> bytes:
    """Code (N,) integers below 2^24 in magnitude."""
    places = np.flatnonzero(symbols)
    broken = [np.arange(a + _LONGEST, b, _LONGEST) for a, b in _long_gaps(places, len(symbols))]
    places = np.sort(np.concatenate([places, *broken])) if broken else places
    runs, values = PlaneEncoder(_RUNS), PlaneEncoder(_VALUES)
    runs.add(np.diff(places, prepend=-1)[:, None].astype(np.int32) - 1, Side())
    values.add(symbols[places, None].astype(np.int32), Side())
    first = runs.finish()
    return _HEAD.pack(len(places), len(first)) + first + values.finish()


def decode_sparse(data: bytes, count: int) -> I32:
    """The reverse: (count,) integers. Raises UnreadableError. Check a count that comes from a file first."""
    if len(data) < _HEAD.size:
        raise UnreadableError("a run-length stream is cut short: the file is corrupt")
    number, split = _HEAD.unpack_from(data)
    if number > count:
        raise UnreadableError(f"a run-length stream holds {number:,} values of {count:,}: the file is corrupt")
    runs = PlaneDecoder(data[_HEAD.size : _HEAD.size + split], _RUNS)
    values = PlaneDecoder(data[_HEAD.size + split :], _VALUES)
    places = np.cumsum(runs.take(number, Side())[:, 0].astype(np.int64) + 1) - 1
    found = values.take(number, Side())[:, 0]
    runs.finish()
    values.finish()
    if number and places[-1] >= count:
        raise UnreadableError("a run of zeros goes beyond the end: the file is corrupt")
    symbols = np.zeros(count, np.int32)
    symbols[places] = found
    return symbols


def _long_gaps(places: npt.NDArray[np.intp], count: int) -> list[tuple[int, int]]:
    """Where more than _LONGEST zeros lie between two values (or before the first): last place before, next place."""
    gaps = np.diff(places, prepend=-1) > _LONGEST
    before = np.concatenate([[-1], places])
    return [(int(before[i]), int(places[i])) for i in np.flatnonzero(gaps)] if count > _LONGEST else []
