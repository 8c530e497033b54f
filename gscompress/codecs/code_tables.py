"""Codebooks and their indices as streams: what the codecs with vector quantization share.

Codes lie on fixed grids, about 256 levels of the range that each attribute usually has, and the range is free: the
entropy coder pays for what occurs. Codes are numbered by how often they are used, so that an adaptive coder of small
integers gets close to the entropy of the indices without a table of frequencies in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import decode_one, encode_one
from gscompress.codecs.positions import Box
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError
from gscompress.quant.exact import log
from gscompress.scene import Splats

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
STEPS = {"dc": 2.0**-7, "sh": 2.0**-7, "scale": 2.0**-6, "rotation": 2.0**-8, "size": 2.0**-5}
"""Grid of each attribute: SH coefficients, natural logarithms, components of a unit quaternion."""
_OPACITY_LEVELS = 256
_POSITION_BITS, _MOST_BITS = 16, 30  # per axis
_INDICES = Shape(columns=1, first_classes=1, second_classes=1, signed=False)
_FREE_ROWS, _ROWS_PER_BYTE = 1024, 8
_INFO = struct.Struct("<IBB")


def pack_info(rows: int, degree: int, levels: int) -> bytes:
    """Gaussians, SH degree, levels of the position grid."""
    return _INFO.pack(rows, degree, levels)


def unpack_info(streams: Mapping[str, bytes]) -> tuple[int, int, int]:
    """The reverse, from all streams of a chunk. Raises UnreadableError."""
    if len(streams["info"]) != _INFO.size:
        raise UnreadableError("the count of Gaussians is malformed: the file is corrupt")
    rows, degree, levels = _INFO.unpack(streams["info"])
    if degree > 3:
        raise UnreadableError(f"SH of degree {degree} is not possible: the file is corrupt")
    _check(rows, "Gaussians", sum(map(len, streams.values())))
    return rows, degree, levels


def columns(degree: int) -> dict[str, int]:
    """Width of each attribute that comes from codebooks."""
    return {"dc": 3, "scale": 3, "rotation": 4} | ({"sh": 3 * ((degree + 1) ** 2 - 1)} if degree else {})


def _check(count: int, what: str, size: int) -> None:
    """Memory stays a small multiple of the file."""
    if count > _FREE_ROWS + _ROWS_PER_BYTE * size:
        raise UnreadableError(f"the file claims {count:,} {what} in too few bytes: it is corrupt")


def padding(rows: int, streams: dict[str, bytes]) -> dict[str, bytes]:
    """Identical Gaussians cost next to nothing; readers refuse what looks like a decompression bomb."""
    missing = (rows - _FREE_ROWS) // _ROWS_PER_BYTE - sum(map(len, streams.values()))
    return {"padding": bytes(missing + 1)} if missing > 0 else {}


def position_levels(box: Box, splats: Splats) -> int:
    """Binary levels of the position grid, three per bit and axis: 16 bits, or more where a few Gaussians far away
    stretch the box so much that a cell would be wider than an eighth of the typical thinnest axis."""
    if not len(splats):
        return 3 * _POSITION_BITS
    thin = float(np.median(splats.log_scales.min(axis=1))) / np.log(2) - 3
    return 3 * int(np.clip(np.ceil(np.log2(box.extent) - thin), _POSITION_BITS, _MOST_BITS))


def on_grid(values: npt.NDArray[Any], attribute: str) -> F32:
    """What a decoder will have instead of ``values``."""
    step = np.float32(STEPS[attribute])
    return np.rint(np.asarray(values, np.float32) / step) * step + np.float32(0)  # no negative zeros


def by_popularity(values: F32) -> tuple[F32, I64]:
    """The distinct rows of (N, D) values, most used first (ties in ascending order), and which one each row is (N,)."""
    codes, indices, counts = np.unique(values, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(order))
    return codes[order], place[indices.reshape(-1)]


def encode_codes(codes: F32, attribute: str) -> bytes:
    """(K, D) codes, their number first."""
    symbols = np.rint(codes.astype(np.float64) / STEPS[attribute])
    return struct.pack("<I", len(codes)) + encode_one(_table(codes.shape[1]), symbols, Side())


def decode_codes(data: bytes, columns: int, attribute: str) -> F32:
    """The reverse: (K, columns) float32. Raises UnreadableError."""
    if len(data) < 4:
        raise UnreadableError("a codebook is cut short: the file is corrupt")
    rows = struct.unpack_from("<I", data)[0]
    _check(rows, "codes", len(data))
    symbols = decode_one(_table(columns), data[4:], rows, Side())
    return (symbols * STEPS[attribute]).astype(np.float32)


def _table(columns: int) -> Shape:
    return Shape(columns=columns, first_classes=1, second_classes=1, signed=True)


def encode_indices(indices: I64, near: I32 | None = None) -> bytes:
    """(N,) numbers that are the smaller the more frequent. near: earlier rows that lie close in space, if known."""
    return encode_one(_INDICES, indices[:, None], Side(near=near))


def decode_indices(data: bytes, rows: int, codes: int, near: I32 | None = None) -> I64:
    """The reverse. Raises UnreadableError for a number that is not below ``codes``."""
    indices = decode_one(_INDICES, data, rows, Side(near=near))[:, 0]
    if rows and indices.max() >= codes:
        raise UnreadableError("a Gaussian asks for a code that does not exist: the file is corrupt")
    return indices


def encode_runs(indices: I64, codes: int) -> bytes:
    """(N,) indices in ascending order, as the number of Gaussians of each code."""
    return encode_one(_INDICES, np.bincount(indices, minlength=codes)[:, None], Side())


def decode_runs(data: bytes, rows: int, codes: int) -> I64:
    """The reverse. Raises UnreadableError when the runs do not add up to ``rows``."""
    counts = decode_one(_INDICES, data, codes, Side())[:, 0]
    if counts.sum() != rows:
        raise UnreadableError("the runs of a sorted index do not add up: the file is corrupt")
    return np.repeat(np.arange(codes), counts)


def opacity_levels(logits: F32) -> I64:
    """(N,) opacity on 256 even levels from 0 to 1, by the middle of each."""
    opacity = 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))
    return np.clip(np.floor(opacity * _OPACITY_LEVELS), 0, _OPACITY_LEVELS - 1).astype(np.int64)


def logits_of_levels(levels: I64) -> F32:
    """The reverse, from exact arithmetic."""
    middles = (np.arange(_OPACITY_LEVELS) + 0.5) / _OPACITY_LEVELS
    table = np.array([log(p) - log(1.0 - p) for p in middles], np.float32)
    return table[np.minimum(levels, _OPACITY_LEVELS - 1)]
