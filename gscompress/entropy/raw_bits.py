"""Coordinate bits below the leaves of the position tree: incompressible, so they are packed as they are."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError

I64 = npt.NDArray[np.int64]
_LEVELS = 90


def pack_refinement(coordinates: I64, known: I64, wanted: I64) -> bytes:
    """Bits of (N, 3) 30-bit coordinates from binary level ``known`` up to ``wanted`` (N,) of each row, both 0 to 90."""
    bits = _bits(coordinates, known, wanted)
    out = np.zeros((bits + 7) // 8, np.uint8)
    _walk(coordinates.copy(), known, wanted, out, True)
    return out.tobytes()


def unpack_refinement(data: bytes, coordinates: I64, known: I64, wanted: I64) -> I64:
    """The coordinates with the packed bits filled in. Raises UnreadableError when the length does not fit."""
    bits = _bits(coordinates, known, wanted)
    if len(data) != (bits + 7) // 8:
        raise UnreadableError("the position refinement has a wrong length: the file is corrupt")
    filled = coordinates.copy()
    _walk(filled, known, wanted, np.frombuffer(data, np.uint8).copy(), False)
    return filled


def _bits(coordinates: I64, known: I64, wanted: I64) -> int:
    """How many bits there are. Raises UnreadableError for levels that do not exist: the kernel checks no bounds."""
    if not len(coordinates) == len(known) == len(wanted):
        raise ValueError(f"{len(coordinates)} points, {len(known)} known and {len(wanted)} wanted levels do not fit")
    if len(known) and (known.min() < 0 or wanted.max() > _LEVELS):
        raise UnreadableError("a position is refined beyond the grid: the file is corrupt")
    return int(np.maximum(wanted - known, 0).sum())


@nb.njit(cache=True, nogil=True)
def _walk(coordinates: I64, known: I64, wanted: I64, data: npt.NDArray[np.uint8], packing: bool) -> None:
    place, held = 0, np.int64(0)  # held: the byte at place, shifted so that the next bit is its lowest (unpacking)
    for i in range(len(coordinates)):
        axis, bit = known[i] % 3, np.int64(1) << (29 - known[i] // 3)
        for _ in range(known[i], wanted[i]):
            if packing:
                data[place >> 3] |= np.uint8((coordinates[i, axis] & bit != 0) << (place & 7))
            else:
                held = held >> 1 if place & 7 else np.int64(data[place >> 3])
                coordinates[i, axis] |= bit * (held & 1)
            place += 1
            axis += 1
            if axis == 3:
                axis, bit = 0, bit >> 1
