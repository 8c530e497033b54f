"""Boolean grids in few bytes: eight to a byte, then a general compressor that sees the runs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from gscompress.entropy.general import pack as squeeze
from gscompress.entropy.general import unpack as unsqueeze
from gscompress.errors import UnreadableError


def pack(bits: npt.NDArray[np.bool_]) -> bytes:
    """Any shape; eight values to a byte, then xz."""
    return squeeze(np.packbits(bits.ravel()).tobytes(), "xz", 9)


def unpack(data: bytes, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The reverse. Raises UnreadableError for other lengths."""
    count = math.prod(shape)
    flat = np.frombuffer(unsqueeze(data, (count + 7) // 8), np.uint8)
    if len(flat) != (count + 7) // 8:
        raise UnreadableError("a bit array has the wrong length: the file is corrupt")
    return np.unpackbits(flat, count=count).astype(bool).reshape(shape)
