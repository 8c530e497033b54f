"""The integers of an SPZ file: what a Gaussian is rounded to, and back. Formulas of the SPZ specification (Niantic).

Arrays are in the file's own order: positions (N, 9) bytes, three signed 24-bit integers, little-endian · alphas (N,) ·
colors (N, 3) · scales (N, 3) · rotations (N, 4), or (N, 3) before version 3 · sh (N, K - 1, 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscompress.formats.packed_values import LOGITS, drop_largest, opacity_bytes, restore_largest
from gscompress.scene import Splats

U8 = npt.NDArray[np.uint8]
COLOR_SCALE = 0.15  # of one DC coefficient, so that colours somewhat outside 0..1 can be stored
_QUAT_LEVELS = 511  # magnitudes 0..511 stand for 0..1/sqrt(2)
_SQRT_HALF = np.sqrt(0.5)


@dataclass(frozen=True, slots=True)
class Packed:
    """The attribute streams in file order; ``sh`` has no rows of coefficients for degree 0."""

    positions: U8
    alphas: U8
    colors: U8
    scales: U8
    rotations: U8
    sh: U8

    def streams(self) -> tuple[U8, ...]:
        return (self.positions, self.alphas, self.colors, self.scales, self.rotations, self.sh)


def row_bytes(version: int, degree: int) -> tuple[int, ...]:
    """Bytes per Gaussian of each stream for a file version and SH degree (0 to 4)."""
    return (6 if version == 1 else 9, 1, 3, 3, 3 if version < 3 else 4, 3 * ((degree + 1) ** 2 - 1))


def pack(splats: Splats, fractional_bits: int, sh_bits: tuple[int, int]) -> Packed:
    """Round every attribute to the nearest value the format has; what lies outside its range is clamped."""
    return Packed(
        _pack_positions(splats, fractional_bits),
        opacity_bytes(splats.logit_opacities),
        _byte(splats.sh[:, 0] * (COLOR_SCALE * 255) + 127.5),
        _byte((splats.log_scales + 10) * 16),
        _pack_quats(splats),
        _pack_sh(splats, sh_bits),
    )


def unpack(packed: Packed, version: int, fractional_bits: int) -> Splats:
    """Packed streams to Splats of degree 0 to 3; coefficients of degree 4 are left out."""
    count = len(packed.alphas)
    bands = min(packed.sh.shape[1] + 1, 16)
    sh = np.empty((count, bands, 3), np.float32)
    sh[:, 0] = (packed.colors.astype(np.float32) / 255 - 0.5) / COLOR_SCALE
    sh[:, 1:] = (packed.sh[:, : bands - 1].astype(np.float32) - 128) / 128
    return Splats(
        _unpack_positions(packed.positions, version, fractional_bits),
        (packed.scales / 16 - 10).astype(np.float32),
        _unpack_first_three(packed.rotations) if version < 3 else _unpack_smallest_three(packed.rotations),
        LOGITS[packed.alphas],
        sh,
    )


def _byte(values: npt.NDArray[np.float32]) -> U8:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _pack_positions(splats: Splats, fractional_bits: int) -> U8:
    fixed = np.rint(splats.means.astype(np.float64) * 2.0**fractional_bits)
    fixed = np.clip(fixed, -(2**23), 2**23 - 1).astype("<i4")
    return np.ascontiguousarray(fixed.view(np.uint8).reshape(-1, 3, 4)[:, :, :3]).reshape(-1, 9)


def _unpack_positions(positions: U8, version: int, fractional_bits: int) -> npt.NDArray[np.float32]:
    if version == 1:
        halves = positions.reshape(-1, 6).view("<f2").astype(np.float32)
        return np.where(np.isfinite(halves), halves, np.float32(0))
    parts = positions.reshape(-1, 3, 3)
    fixed = parts[..., 0] | parts[..., 1].astype(np.int32) << 8 | parts[..., 2].view(np.int8).astype(np.int32) << 16
    return fixed.astype(np.float32) * np.float32(2.0**-fractional_bits)


def _pack_quats(splats: Splats) -> U8:
    """Two bits say which of x, y, z, w is missing; the others are a sign and 9 bits of magnitude each."""
    largest, three = drop_largest(splats.quats[:, [1, 2, 3, 0]])
    magnitude = np.minimum(np.rint(np.abs(three) * (_QUAT_LEVELS / _SQRT_HALF)), _QUAT_LEVELS).astype(np.uint32)
    word = largest.astype(np.uint32)
    for column in range(3):
        negative = (three[:, column] < 0) & (magnitude[:, column] > 0)
        word = word << 10 | negative.astype(np.uint32) << 9 | magnitude[:, column]
    return word.astype("<u4").view(np.uint8).reshape(-1, 4)


def _unpack_smallest_three(rotations: U8) -> npt.NDArray[np.float32]:
    word = np.ascontiguousarray(rotations).view("<u4")[:, 0]
    three = np.empty((len(word), 3), np.float32)
    for column, shift in enumerate((20, 10, 0)):
        field = word >> shift & 1023
        magnitude = (field & _QUAT_LEVELS).astype(np.float32) * np.float32(_SQRT_HALF / _QUAT_LEVELS)
        three[:, column] = np.where(field & 512, -magnitude, magnitude)
    return restore_largest((word >> 30).astype(np.intp), three)[:, [3, 0, 1, 2]]


def _unpack_first_three(rotations: U8) -> npt.NDArray[np.float32]:
    """Versions 1 and 2: x, y, z in a byte each, w derived."""
    xyz = rotations.reshape(-1, 3).astype(np.float32) / np.float32(127.5) - 1
    return restore_largest(np.zeros(len(xyz), np.intp), xyz)


def _pack_sh(splats: Splats, sh_bits: tuple[int, int]) -> U8:
    """Multiples of 1/128 in -1..127/128; of b bits only the upper b vary, so that zstd has less to store."""
    rest = splats.sh[:, 1:]
    step = np.full((rest.shape[1], 1), 2 ** (8 - sh_bits[1]), np.float32)
    step[:3] = 2 ** (8 - sh_bits[0])
    return np.clip(np.rint(rest * 128 / step) * step + 128, 0, 255).astype(np.uint8)
