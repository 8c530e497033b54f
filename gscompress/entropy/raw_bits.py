"""Coordinate bits below the leaves of the position tree: incompressible, so they are packed as they are."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError

I64 = npt.NDArray[np.int64]


def pack_refinement(coordinates: I64, known: I64, wanted: I64) -> bytes:
    """Bits of (N, 3) 30-bit coordinates from binary level ``known`` up to ``wanted`` (N,) of each row."""
    bits = int(np.maximum(wanted - known, 0).sum())
    out = np.zeros((bits + 7) // 8, np.uint8)
    _walk(coordinates.copy(), known, wanted, out, True)
    return out.tobytes()


def unpack_refinement(data: bytes, coordinates: I64, known: I64, wanted: I64) -> I64:
    """The coordinates with the packed bits filled in. Raises UnreadableError when the length does not fit."""
    bits = int(np.maximum(wanted - known, 0).sum())
    if len(data) != (bits + 7) // 8:
        raise UnreadableError("the position refinement has a wrong length: the file is corrupt")
    filled = coordinates.copy()
    _walk(filled, known, wanted, np.frombuffer(data, np.uint8).copy(), False)
    return filled


@nb.njit(cache=True, nogil=True)
def _walk(coordinates: I64, known: I64, wanted: I64, data: npt.NDArray[np.uint8], packing: bool) -> None:
    place = 0
    for i in range(len(coordinates)):
        for level in range(known[i], wanted[i]):
            axis, shift = level % 3, 29 - level // 3
            if packing:
                data[place >> 3] |= np.uint8((coordinates[i, axis] >> shift & 1) << (place & 7))
            else:
                coordinates[i, axis] |= np.int64(data[place >> 3] >> (place & 7) & 1) << shift
            place += 1
