"""Scenes that stay quantised in video memory: 20 to 67 bytes per Gaussian instead of 236.

Gaussians are laid out in Morton order and cut into blocks of 256; every channel of a block has its own range
(low, step), value = low + step * code. Neighbours are alike, so 8 bits go a long way; positions and base colours get
16. One block is one program of the kernels in ``dequant``, which read these arrays directly.
Quaternions are "smallest three": the largest component is dropped and the others take ten bits each.
SH above degree 0 is a palette (16-bit label per Gaussian) where the scene has at most 65,536 distinct rows, as files
with vector-quantised SH have, and 8 bits per coefficient otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError
from gscompress.scene import Splats

BLOCK = 256
WIDE = 6
"""Channels with 16-bit codes: means x, y, z and base colour (DC) r, g, b."""
NARROW = 4
"""Channels with 8-bit codes before SH: log scales and opacity."""
MAX_PALETTE = 65536
QUAT_RANGE = float(np.sqrt(0.5))

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PackedSplats:
    """N quantised Gaussians in B = ceil(N / 256) blocks; arrays are numpy's or, on a device, torch's.

    wide: (6, N) uint16 codes of means and DC. narrow: (4 + R, N) uint8 codes of log scales, opacity (linear, not logit)
    and, without a palette, the R = 3 (K - 1) further SH coefficients, channel fastest.
    quats: (N,) int32: bits 30-31 say which component is left out, then three times ten bits in wxyz order.
    ranges: (B, 10 + R, 2) float32, (low, step) per block and channel, wide before narrow.
    palette: (P, 3 (K - 1)) float16 and labels: (N,) uint16, or both of no length.
    """

    wide: Any
    narrow: Any
    quats: Any
    ranges: Any
    palette: Any
    labels: Any

    def __len__(self) -> int:
        return int(self.wide.shape[1])

    @property
    def coefficients(self) -> int:
        """3 (K - 1): SH coefficients per Gaussian above degree 0."""
        return int(self.palette.shape[1]) if len(self.palette) else int(self.narrow.shape[0]) - NARROW

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, ranges and palette included."""
        return sum(int(getattr(self, f.name).nbytes) for f in fields(self))

    def to(self, device: Any) -> PackedSplats:
        """The same arrays as torch tensors on ``device``."""
        import torch

        return replace(self, **{f.name: torch.from_numpy(getattr(self, f.name)).to(device) for f in fields(self)})


def pack(splats: Splats) -> PackedSplats:
    """Quantise for video memory. Rows come out in Morton order. Raises UsageError on values that are not finite."""
    attributes = (splats.means, splats.log_scales, splats.quats, splats.logit_opacities, splats.sh)
    if not all(np.isfinite(array).all() for array in attributes):
        raise UsageError("cannot pack splats with infinite or undefined values: remove those Gaussians first")
    splats = splats.take(morton_order(splats.means))
    rest = splats.sh[:, 1:].reshape(len(splats), 3 * (splats.sh.shape[1] - 1))
    palette, labels = _palette(rest)
    opacities = 1 / (1 + np.exp(-splats.logit_opacities.astype(np.float64)))
    narrow = [splats.log_scales, opacities[:, None].astype(np.float32)]
    if not len(palette):
        narrow.append(rest)
    wide_codes, wide_ranges = _quantise(np.concatenate([splats.means, splats.sh[:, 0]], axis=1), np.uint16)
    narrow_codes, narrow_ranges = _quantise(np.concatenate(narrow, axis=1), np.uint8)
    ranges = np.concatenate([wide_ranges, narrow_ranges], axis=1)
    return PackedSplats(wide_codes, narrow_codes, _pack_quats(splats.quats), ranges, palette, labels)


def unpack(packed: PackedSplats) -> Splats:
    """The twin of the kernels in ``dequant``: float splats with the values that they render."""
    wide = _restore(packed.wide, packed.ranges[:, :WIDE])
    narrow = _restore(packed.narrow, packed.ranges[:, WIDE:])
    rest = packed.palette[packed.labels].astype(np.float32) if len(packed.palette) else narrow[:, NARROW:]
    opacities = np.clip(narrow[:, 3].astype(np.float64), 1e-7, 1 - 1e-7)
    return Splats(
        means=np.ascontiguousarray(wide[:, :3]),
        log_scales=np.ascontiguousarray(narrow[:, :3]),
        quats=_unpack_quats(packed.quats),
        logit_opacities=np.log(opacities / (1 - opacities)).astype(np.float32),
        sh=np.concatenate([wide[:, 3:], rest], axis=1).reshape(len(packed), packed.coefficients // 3 + 1, 3),
    )


def morton_order(means: F32) -> npt.NDArray[np.int64]:
    """Rows along a Z curve of 21 bits per axis."""
    if not len(means):
        return np.zeros(0, np.int64)
    low = means.min(axis=0).astype(np.float64)
    extent = max(float((means.max(axis=0) - low).max()), 1e-30)
    cells = ((means - low) * ((2**21 - 1) / extent)).astype(np.uint64)
    for shift, mask in ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F)):
        cells = (cells | cells << np.uint64(shift)) & np.uint64(mask)
    for shift, mask in ((4, 0x10C30C30C30C30C3), (2, 0x1249249249249249)):
        cells = (cells | cells << np.uint64(shift)) & np.uint64(mask)
    return np.argsort(cells[:, 0] | cells[:, 1] << np.uint64(1) | cells[:, 2] << np.uint64(2), kind="stable")


def _quantise(values: F32, dtype: type[np.unsignedinteger[Any]]) -> tuple[npt.NDArray[Any], F32]:
    """(N, C) values → (C, N) codes and (B, C, 2) ranges, each block of 256 rows over its own minimum and maximum."""
    n, channels = values.shape
    levels = int(np.iinfo(dtype).max)
    starts = np.arange(0, n, BLOCK)
    if not n:
        return np.zeros((channels, 0), dtype), np.zeros((0, channels, 2), np.float32)
    low = np.minimum.reduceat(values, starts, axis=0)
    step = ((np.maximum.reduceat(values, starts, axis=0).astype(np.float64) - low) / levels).astype(np.float32)
    block = np.arange(n) // BLOCK
    codes = np.rint((values - low[block]) / np.where(step > 0, step, 1)[block])
    return np.ascontiguousarray(np.clip(codes, 0, levels).astype(dtype).T), np.stack([low, step], axis=2)


def _restore(codes: npt.NDArray[Any], ranges: F32) -> F32:
    """(C, N) codes → (N, C) float32 values."""
    block = np.arange(codes.shape[1]) // BLOCK
    return ranges[block, :, 0] + ranges[block, :, 1] * codes.T.astype(np.float32)


def _palette(rest: F32) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.uint16]]:
    """Distinct rows and labels where a palette is smaller than 8 bits per coefficient and exists; else nothing."""
    n, width = rest.shape
    nothing = np.zeros((0, width), np.float16), np.zeros(0, np.uint16)
    if not width or not n:
        return nothing
    weights = np.random.default_rng(0).integers(0, 2**63, width, dtype=np.uint64) | np.uint64(1)
    hashes = np.zeros(n, np.uint64)
    for column in range(width):
        hashes += rest[:, column].view(np.uint32) * weights[column]
    _, first, labels = np.unique(hashes, return_index=True, return_inverse=True)
    if (
        len(first) > MAX_PALETTE
        or 2 * (n + len(first) * width) > n * width
        or not np.array_equal(rest[first][labels], rest)
    ):
        return nothing
    return rest[first].astype(np.float16), labels.astype(np.uint16)


def _pack_quats(quats: F32) -> npt.NDArray[np.int32]:
    unit = quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)
    unit[~unit.any(axis=1)] = (1, 0, 0, 0)
    largest = np.argmax(np.abs(unit), axis=1)
    unit = unit * np.where(np.take_along_axis(unit, largest[:, None], 1) < 0, -1, 1)
    kept = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[largest]
    small = np.take_along_axis(unit, kept, 1)
    codes = (np.rint(np.clip(small / QUAT_RANGE, -1, 1) * 511) + 511).astype(np.uint32)
    word = largest.astype(np.uint32) << 30 | codes[:, 0] << 20 | codes[:, 1] << 10 | codes[:, 2]
    return word.view(np.int32)


def _unpack_quats(words: npt.NDArray[np.int32]) -> F32:
    bits = words.view(np.uint32)
    codes = np.stack([bits >> 20 & 1023, bits >> 10 & 1023, bits & 1023], axis=1)
    small = (codes.astype(np.float64) - 511) * (QUAT_RANGE / 511)
    largest = np.sqrt(np.maximum(0, 1 - (small * small).sum(axis=1)))
    at = (bits >> 30).astype(np.int64)
    out = np.empty((len(words), 4), np.float32)
    np.put_along_axis(out, np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[at], small.astype(np.float32), 1)
    np.put_along_axis(out, at[:, None], largest[:, None].astype(np.float32), 1)
    return out
