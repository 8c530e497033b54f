"""Colour of the default codec: DC in luma and chroma, higher SH in a basis fitted to the scene.

Both are (N, columns) coefficients with one step per Gaussian; most higher coefficients are zero, so a Gaussian says
first how many of a band's columns it uses. Bands are groups of basis vectors in order of energy: they are the file's
levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import Classes, decode_one, decode_symbols, encode_one
from gscompress.codecs.steps import CLASSES, Steps
from gscompress.codecs.synthesis import dc_to_rgb
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
# Orthonormal luma, red-blue and green-magenta axes, to 16 digits as literals (a decoder's constants).
LUMA_CHROMA = np.array(
    [
        [0.5773502691896258, 0.5773502691896258, 0.5773502691896258],
        [0.7071067811865476, 0.0, -0.7071067811865476],
        [-0.4082482904638631, 0.8164965809277261, -0.4082482904638631],
    ]
)
_OPACITY_CLASSES = 13
_DC = Shape(columns=3, first_classes=CLASSES, second_classes=_OPACITY_CLASSES, signed=True)
_LENGTHS = Shape(columns=1, first_classes=CLASSES, second_classes=8, signed=False)
_BASIS_SCALE = 127
_BLOCK = 65536  # rows at a time: memory
_ENOUGH = 8192  # Gaussians from which a fitted basis is worth its bytes
_SAMPLE = 8192  # of them decide which basis it is


def _opacity_class(t: F64) -> npt.NDArray[np.uint16]:
    return np.clip(np.floor(t * 2.5), 0, _OPACITY_CLASSES - 1).astype(np.uint16)


def _dc_side(steps: Steps, classes: Classes, t: F64, near: I32) -> Side:
    return Side(classes.colour.astype(np.uint16), _opacity_class(t), near, steps.units("dc", classes.colour))


def encode_dc(dc: npt.NDArray[Any], steps: Steps, classes: Classes, t: F64, near: I32) -> bytes:
    """dc: (N, 3) RGB coefficients; t: decoded -ln(opacity) (N,)."""
    values = np.asarray(dc, np.float64) @ LUMA_CHROMA.T - steps.dc_offset
    symbols = np.floor(values / steps.of("dc", classes.colour)[:, None] + 0.5)
    return encode_one(_DC, symbols, _dc_side(steps, classes, t, near))


def decode_dc(data: bytes, steps: Steps, classes: Classes, t: F64, near: I32, sh: F32) -> None:
    """Write the DC of ``sh`` (N, K, 3)."""
    symbols = decode_symbols(_DC, data, len(sh), _dc_side(steps, classes, t, near))
    dc_to_rgb(symbols, np.asarray(steps.dc_offset), steps.of("dc", classes.colour), LUMA_CHROMA, sh)


def bands(columns: int) -> list[slice]:
    """The column groups of ``columns`` basis vectors that make up the levels: 9 + 15 + 21 of 45."""
    edges = [e for e in (0, 9, 24, 45) if e <= columns]
    return [slice(a, b) for a, b in pairwise(edges)]


@dataclass(frozen=True, slots=True)
class Basis:
    """Columns in order of energy: (n, n) float64 ``matrix`` with rows = basis vectors over flattened (band, RGB) SH."""

    matrix: F64

    @staticmethod
    def fit(sh: F32, weights: F64) -> Basis:
        """For higher SH (N, K, 3) and a weight per Gaussian (1 / step^2): eigenvectors, luma and chroma, or RGB as it
        is, whichever needs the fewest bits on a sample. Scenes that were quantized before have their grid in RGB.
        """
        n = sh.shape[1] * 3
        if len(sh) < _ENOUGH or not n:
            return Basis.plain(n)
        moments = np.zeros((n, n))
        for start in range(0, len(sh), _BLOCK):
            block = sh[start : start + _BLOCK]
            flat = block.reshape(len(block), n).astype(np.float64)
            moments += (flat * weights[start : start + _BLOCK, None]).T @ flat
        rows = [np.linalg.eigh(moments)[1][:, ::-1].T]
        for fixed in (Basis.plain(n).matrix, np.eye(n)):
            energy = np.einsum("ij,jk,ik->i", fixed, moments, fixed)
            rows.append(fixed[np.argsort(-energy, kind="stable")])
        bases = [Basis(np.round(vectors * _BASIS_SCALE) / _BASIS_SCALE) for vectors in rows]
        some = np.linspace(0, len(sh) - 1, min(_SAMPLE, len(sh))).astype(np.int64)
        usable = [basis for basis in bases if np.linalg.matrix_rank(basis.matrix) == n]
        return min(usable, key=lambda basis: basis.bits(sh[some], weights[some]), default=Basis.plain(n))

    def bits(self, sh: F32, weights: F64) -> float:
        """What (N, K, 3) coefficients cost about: the entropies of all columns of symbols, each on its own."""
        symbols = np.round(self.analyse(sh) * np.sqrt(weights)[:, None]).astype(np.int64)
        total = 0.0
        for column in symbols.T:
            counts = np.unique(column, return_counts=True)[1]
            total += float(counts @ np.log2(len(column) / counts))
        return total

    @staticmethod
    def plain(n: int) -> Basis:
        """Luma and chroma per SH coefficient: what small scenes use."""
        return Basis(np.kron(np.eye(n // 3), LUMA_CHROMA))

    def pack(self) -> bytes:
        if np.array_equal(self.matrix, Basis.plain(len(self.matrix)).matrix):
            return b""
        return np.round(self.matrix * _BASIS_SCALE).astype(np.int8).tobytes()

    @staticmethod
    def unpack(data: bytes, n: int) -> Basis:
        if not data:
            return Basis.plain(n)
        if len(data) != n * n:
            raise UnreadableError("the colour basis has a wrong size: the file is corrupt")
        return Basis(np.frombuffer(data, np.int8).reshape(n, n).astype(np.float64) / _BASIS_SCALE)

    def analyse(self, sh: F32) -> F64:
        """Higher SH (N, K, 3) to coefficients (N, n)."""
        flat = sh.reshape(len(sh), len(self.matrix)).astype(np.float64)
        return np.asarray(flat @ np.linalg.inv(self.matrix), np.float64)


def _length_side(classes: Classes, before: I64, near: I32) -> Side:
    return Side(classes.colour.astype(np.uint16), np.minimum(before, 7).astype(np.uint16), near)


def _band_shape(columns: int) -> Shape:
    return Shape(columns=columns, first_classes=8, second_classes=CLASSES, signed=True)


def _band_side(steps: Steps, classes: Classes, lengths: I64, near: I32) -> Side:
    # Bit length of the count of columns in use: a row with one tends to hold one small value.
    used = np.frexp(lengths.astype(np.float64))[1]
    return Side(
        np.minimum(used, 7).astype(np.uint16),
        classes.colour.astype(np.uint16),
        near,
        steps.units("sh", classes.colour),
        lengths.astype(np.int32),
    )


def encode_band(symbols: I64, before: I64, steps: Steps, classes: Classes, near: I32) -> tuple[bytes, bytes, I64]:
    """One level's symbols (N, columns) → lengths stream, symbols stream, and lengths for the next level's
    ``before``."""
    used = symbols != 0
    columns = symbols.shape[1]
    lengths = np.where(used.any(1), columns - np.argmax(used[:, ::-1], axis=1), 0).astype(np.int64)
    return (
        encode_one(_LENGTHS, lengths[:, None], _length_side(classes, before, near)),
        encode_one(_band_shape(columns), symbols, _band_side(steps, classes, lengths, near)),
        lengths,
    )


def decode_band(
    lengths_data: bytes, data: bytes, columns: int, before: I64, steps: Steps, classes: Classes, near: I32
) -> tuple[I32, I64]:
    """The reverse: symbols (N, columns) and lengths (N,)."""
    rows = len(classes.colour)
    lengths = decode_one(_LENGTHS, lengths_data, rows, _length_side(classes, before, near))[:, 0]
    if rows and lengths.max() > columns:
        raise UnreadableError("a Gaussian uses more colour columns than there are: the file is corrupt")
    symbols = decode_symbols(_band_shape(columns), data, rows, _band_side(steps, classes, lengths, near))
    return symbols, lengths
