"""How preset compact-3dgs stores a scene: halves, levels, residual codes and the field's integers, each as streams.

The paper codes with Huffman and DEFLATE; here an adaptive or table-driven range coder (rANS) does both jobs, and the
set of positions is a tree, whose order costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.entropy import rans
from gscompress.entropy.octree import decode_tree, encode_tree, morton_order
from gscompress.entropy.rans_tables import Tables
from gscompress.entropy.raw_bits import pack_refinement, unpack_refinement
from gscompress.errors import UnreadableError
from gscompress.quant.composite import fit_residual

F32 = npt.NDArray[np.float32]
F16 = npt.NDArray[np.float16]
I64 = npt.NDArray[np.int64]
_SHIFT = 14  # halves fill the upper 16 of the tree's 30 bits
_DEPTH = 48  # binary levels of three times 16 bits
_LARGEST = 65504.0  # of a half
_CODES = struct.Struct("<BBB")  # stages, codes per stage, components


def to_halves(means: F32, centre: Sequence[float]) -> F16:
    return np.clip(means.astype(np.float64) - centre, -_LARGEST, _LARGEST).astype(np.float16)


def from_halves(halves: F16, centre: Sequence[float]) -> F32:
    return (halves.astype(np.float64) + centre).astype(np.float32)


def _grid(halves: F16) -> I64:
    """Halves as integers in the order of their values, on the tree's grid."""
    bits = np.ascontiguousarray(halves).view(np.uint16).astype(np.int64)
    return np.where(bits >> 15, 0xFFFF - bits, bits | 0x8000) << _SHIFT


def position_order(halves: F16) -> I64:
    """The row order in which everything is stored."""
    return morton_order(_grid(halves))


def encode_positions(halves: F16) -> dict[str, bytes]:
    """Halves (N, 3) in ``position_order``: a tree down to lone points, and the bits below."""
    grid = _grid(halves)
    tree, known = encode_tree(grid)
    return {"position.tree": tree, "position.fine": pack_refinement(grid, known, np.full(len(grid), _DEPTH))}


def decode_positions(streams: Mapping[str, bytes], rows: int) -> F16:
    """The reverse. Raises UnreadableError."""
    coarse, known = decode_tree(streams["position.tree"], rows)
    grid = unpack_refinement(streams["position.fine"], coarse, known, np.full(rows, _DEPTH)) >> _SHIFT
    bits = np.where(grid & 0x8000, grid & 0x7FFF, 0xFFFF - grid)
    halves = bits.astype(np.uint16).view(np.float16)
    if not np.isfinite(halves).all():
        raise UnreadableError("a position is not finite: the file is corrupt")
    return halves


@dataclass(frozen=True, slots=True)
class Levels:
    """256 even levels of a value from ``low`` in steps of ``step``."""

    low: float
    step: float

    @staticmethod
    def spanning(values: F32, least: float, most: float) -> Levels:
        """From the smallest to the largest value, cut off at ``least`` and ``most``."""
        low, high = (float(np.clip(f(values), least, most)) if len(values) else least for f in (np.min, np.max))
        return Levels(*np.array([low, max(high - low, 1e-3) / 255], np.float32).tolist())

    def of(self, values: F32) -> npt.NDArray[np.uint8]:
        return np.clip(np.rint((values - np.float32(self.low)) / np.float32(self.step)), 0, 255).astype(np.uint8)

    def decode(self, levels: npt.NDArray[np.uint8]) -> F32:
        return (self.low + levels.astype(np.float64) * self.step).astype(np.float32)

    def encode(self, levels: npt.NDArray[np.uint8]) -> bytes:
        return struct.pack("<2f", self.low, self.step) + _pack(levels[:, None], 256)

    @staticmethod
    def unpack(data: bytes, rows: int) -> tuple[Levels, npt.NDArray[np.uint8]]:
        """Raises UnreadableError, struct.error."""
        low, step = struct.unpack_from("<2f", data)
        if not np.isfinite([low, step]).all() or abs(low) > 1e3 or not 0 < step < 1e3:
            raise UnreadableError("the levels of opacity are out of range: the file is corrupt")
        return Levels(low, step), _unpack(data[8:], rows, 1, 256)[:, 0].astype(np.uint8)


@dataclass(frozen=True, slots=True)
class ResidualCodes:
    """Values as sums of one code per stage: codes (M, K, D) float16, indices (N, M)."""

    codes: F16
    indices: I64

    @staticmethod
    def fit(values: F32, stages: int, codes: int, seed: int) -> ResidualCodes:
        """k-means stage after stage on what is left (D dimensions); stages with fewer codes are filled with zeros."""
        if not len(values):
            return ResidualCodes(np.zeros((stages, 1, values.shape[1]), np.float16), np.zeros((0, stages), np.int64))
        book = fit_residual(values, codes, stages, seed=seed)
        table = np.zeros((stages, max(len(stage.codes) for stage in book.stages), values.shape[1]), np.float32)
        for stage, own in zip(table, book.stages):
            stage[: len(own.codes)] = own.codes
        return ResidualCodes(table.astype(np.float16), book.encode(values, beam=4))

    def decode(self) -> F32:
        """(N, D), added up in the order of the stages."""
        out = np.zeros((len(self.indices), self.codes.shape[2]), np.float32)
        for stage, indices in zip(self.codes.astype(np.float32), self.indices.T):
            out += stage[indices]
        return out

    def encode(self) -> tuple[bytes, bytes]:
        """The codes and the indices."""
        stages, count, width = self.codes.shape
        head = _CODES.pack(stages, count, width)
        return head + self.codes.astype("<f2").tobytes(), _pack(self.indices, count)

    @staticmethod
    def unpack(book: bytes, data: bytes, rows: int, width: int) -> ResidualCodes:
        """Raises UnreadableError, struct.error."""
        stages, count, stored = _CODES.unpack_from(book)
        if stored != width or not stages or not count or len(book) != _CODES.size + 2 * stages * count * width:
            raise UnreadableError("a codebook has a wrong size: the file is corrupt")
        codes = np.frombuffer(book, "<f2", offset=_CODES.size).astype(np.float16).reshape(stages, count, width)
        if not np.isfinite(codes).all():
            raise UnreadableError("a codebook is not finite: the file is corrupt")
        return ResidualCodes(codes, _unpack(data, rows, stages, count).astype(np.int64))


def unit(quats: F32) -> F32:
    """(N, 4) quaternions of length 1; the identity where there is no direction. Exactly rounded operations only."""
    w, x, y, z = quats.astype(np.float64).T
    length = np.sqrt(w * w + x * x + y * y + z * z)
    whole = length > 1e-12
    out = np.stack([w, x, y, z], axis=1) / np.where(whole, length, 1.0)[:, None]
    return np.where(whole[:, None], out, [1.0, 0.0, 0.0, 0.0]).astype(np.float32)


def _pack(symbols: npt.NDArray[Any], alphabet: int) -> bytes:
    """(N, C) symbols below ``alphabet``, one frequency table per column: length of the tables, tables, rANS."""
    if not len(symbols):
        return b""
    columns = symbols.shape[1]
    counts = np.stack([np.bincount(column, minlength=alphabet) for column in symbols.T])
    tables = Tables.from_counts(counts, 12)
    head = tables.pack()
    which = np.tile(np.arange(columns), len(symbols))
    return struct.pack("<I", len(head)) + head + rans.encode(symbols.reshape(-1), tables, which)


def _unpack(data: bytes, rows: int, columns: int, alphabet: int) -> npt.NDArray[np.uint16]:
    """The reverse. Raises UnreadableError, struct.error."""
    if not rows:
        return np.zeros((0, columns), np.uint16)
    (length,) = struct.unpack_from("<I", data)
    tables = Tables.unpack(data[4 : 4 + length])
    if tables.frequencies.shape != (columns, alphabet):
        raise UnreadableError("a frequency table has a wrong size: the file is corrupt")
    which = np.tile(np.arange(columns), rows)
    return rans.decode(data[4 + length :], rows * columns, tables, which).reshape(rows, columns)
