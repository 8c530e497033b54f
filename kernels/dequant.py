"""Fused decode: project and shade straight from ``PackedSplats``; the float attributes exist in registers only.

The slow twin is ``packed.unpack`` followed by the kernels of ``project`` and ``sh_eval``. One program per block of
256 Gaussians, whose (low, step) pairs it loads once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from gscompress.kernels import packed
from gscompress.kernels.packed import PackedSplats
from gscompress.kernels.project import store_geometry
from gscompress.kernels.record import SLOTS
from gscompress.kernels.sh_eval import C0, sh_basis, view_direction

BLOCK = tl.constexpr(packed.BLOCK)
WIDE = tl.constexpr(packed.WIDE)
NARROW = tl.constexpr(packed.NARROW)
QUAT_STEP = tl.constexpr(packed.QUAT_RANGE / 511)


@triton.jit
def _value(
    codes: tl.tensor, ranges: tl.tensor, channel: tl.constexpr, n: tl.tensor, row: tl.tensor, wanted: tl.tensor
) -> tl.tensor:
    """Channel ``channel`` of the planes at ``codes``, whose first range is at ``ranges``."""
    code = tl.load(codes + channel * tl.cast(n, tl.int64) + row, mask=wanted, other=0).to(tl.float32)
    return tl.load(ranges + 2 * channel) + tl.load(ranges + 2 * channel + 1) * code


@triton.jit
def _quat(word: tl.tensor) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """w, x, y, z of a smallest-three quaternion."""
    a = (((word >> 20) & 1023) - 511).to(tl.float32) * QUAT_STEP
    b = (((word >> 10) & 1023) - 511).to(tl.float32) * QUAT_STEP
    c = ((word & 1023) - 511).to(tl.float32) * QUAT_STEP
    largest = tl.sqrt(tl.maximum(1 - a * a - b * b - c * c, 0.0))
    at = (word >> 30) & 3
    w = tl.where(at == 0, largest, a)
    x = tl.where(at == 0, a, tl.where(at == 1, largest, b))
    y = tl.where(at <= 1, b, tl.where(at == 2, largest, c))
    z = tl.where(at == 3, largest, c)
    return w, x, y, z


@triton.jit
def project_packed_kernel(
    wide: tl.tensor,
    narrow: tl.tensor,
    quats: tl.tensor,
    ranges: tl.tensor,
    camera: tl.tensor,
    records: tl.tensor,
    n: tl.tensor,
    channels: tl.tensor,
    MIP: tl.constexpr,
) -> None:
    """``project.project_kernel`` on packed splats. channels: ranges per block."""
    block = tl.program_id(0)
    row = block * BLOCK + tl.arange(0, BLOCK)
    inside = row < n
    ranges += block.to(tl.int64) * (2 * channels)
    x = _value(wide, ranges, 0, n, row, inside)
    y = _value(wide, ranges, 1, n, row, inside)
    z = _value(wide, ranges, 2, n, row, inside)
    ranges += 2 * WIDE
    s0 = tl.exp(_value(narrow, ranges, 0, n, row, inside))
    s1 = tl.exp(_value(narrow, ranges, 1, n, row, inside))
    s2 = tl.exp(_value(narrow, ranges, 2, n, row, inside))
    opacity = _value(narrow, ranges, 3, n, row, inside)
    qw, qx, qy, qz = _quat(tl.load(quats + row, mask=inside, other=0))
    store_geometry(records, row, inside, camera, x, y, z, s0, s1, s2, qw, qx, qy, qz, opacity, MIP)


@triton.jit
def sh_packed_kernel(
    wide: tl.tensor,
    narrow: tl.tensor,
    palette: tl.tensor,
    labels: tl.tensor,
    ranges: tl.tensor,
    camera: tl.tensor,
    records: tl.tensor,
    n: tl.tensor,
    channels: tl.tensor,
    palette_width: tl.tensor,
    BANDS: tl.constexpr,
    PALETTE: tl.constexpr,
) -> None:
    """``sh_eval.sh_kernel`` on packed splats; PALETTE says which of the two layouts they have."""
    block = tl.program_id(0)
    row = block * BLOCK + tl.arange(0, BLOCK)
    at = records + row.to(tl.int64) * SLOTS
    inside = row < n
    drawn = tl.load(at + 5, mask=inside, other=float("-inf")) > float("-inf")
    ranges += block.to(tl.int64) * (2 * channels)
    x = _value(wide, ranges, 0, n, row, drawn)
    y = _value(wide, ranges, 1, n, row, drawn)
    z = _value(wide, ranges, 2, n, row, drawn)
    x, y, z, _near = view_direction(camera, x, y, z)
    basis = sh_basis(x, y, z)
    if PALETTE:
        palette += tl.load(labels + row, mask=drawn, other=0).to(tl.int32) * palette_width
    for channel in tl.static_range(3):
        colour = 0.5 + C0 * _value(wide, ranges, 3 + channel, n, row, drawn)
        for band in tl.static_range(1, BANDS):
            column = 3 * (band - 1) + channel
            if PALETTE:
                rest = tl.load(palette + column, mask=drawn, other=0.0).to(tl.float32)
            else:
                rest = _value(narrow, ranges + 2 * WIDE, NARROW + column, n, row, drawn)
            colour += basis[band - 1] * rest
        tl.store(at + 6 + channel, tl.maximum(colour, 0.0), mask=inside)


def records_of_packed(splats: PackedSplats, camera: torch.Tensor, *, mip: bool, bands: int) -> torch.Tensor:
    """Records (N, 10) of packed splats on a device. camera: ``camera_vector`` there. bands: (degree + 1)^2 to use."""
    n, channels = len(splats), int(splats.ranges.shape[1])
    records = torch.empty((n, SLOTS.value), device=camera.device)
    grid = (triton.cdiv(n, packed.BLOCK),)
    project_packed_kernel[grid](
        splats.wide, splats.narrow, splats.quats, splats.ranges, camera, records, n, channels, MIP=mip
    )
    sh_packed_kernel[grid](
        splats.wide,
        splats.narrow,
        splats.palette,
        splats.labels,
        splats.ranges,
        camera,
        records,
        n,
        channels,
        splats.coefficients,
        BANDS=bands,
        PALETTE=len(splats.palette) > 0,
    )
    return records
