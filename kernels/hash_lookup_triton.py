"""Features of points in a multi-resolution hash grid on the GPU, and the gradient of the table.

One program looks up a block of points in one level. Its twins are the numba kernel and the plain numpy loop of
``kernels.hash_lookup``; cells are found in double precision as there, so that all three read the same entries.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from gscompress.hash_levels import Levels

BLOCK = 128
Y, Z = tl.constexpr(2654435761), tl.constexpr(805459861)


@triton.jit
def hash_lookup_kernel(
    points: tl.tensor,
    table: tl.tensor,
    values: tl.tensor,
    scales: tl.tensor,
    strides: tl.tensor,
    starts: tl.tensor,
    sizes: tl.tensor,
    n: tl.tensor,
    shift: tl.tensor,
    LEVELS: tl.constexpr,
    FEATURES: tl.constexpr,
    BACKWARDS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """points (n, 3), table (rows, FEATURES), values (n, LEVELS * FEATURES): forwards filled from the table, backwards
    gradients that are *added* to it. scales (LEVELS,) float64; strides, starts, sizes (LEVELS,) int64."""
    level = tl.program_id(1)
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n
    scale, stride = tl.load(scales + level), tl.load(strides + level)
    start, size = tl.load(starts + level), tl.load(sizes + level)
    x = tl.load(points + 3 * row, mask=inside, other=0.0).to(tl.float64) * scale + shift
    y = tl.load(points + 3 * row + 1, mask=inside, other=0.0).to(tl.float64) * scale + shift
    z = tl.load(points + 3 * row + 2, mask=inside, other=0.0).to(tl.float64) * scale + shift
    fx, fy, fz = tl.floor(x), tl.floor(y), tl.floor(z)
    u, v, w = (x - fx).to(tl.float32), (y - fy).to(tl.float32), (z - fz).to(tl.float32)
    ix, iy, iz = fx.to(tl.int64), fy.to(tl.int64), fz.to(tl.int64)
    at = values + row * (LEVELS * FEATURES) + level * FEATURES
    for feature in tl.static_range(FEATURES):
        total = tl.zeros([BLOCK], tl.float32)
        if BACKWARDS:
            total += tl.load(at + feature, mask=inside, other=0.0)
        found = tl.zeros([BLOCK], tl.float32)
        for corner in tl.static_range(8):
            cx, cy, cz = ix + corner % 2, iy + (corner // 2) % 2, iz + corner // 4
            dense = cx + stride * (cy + stride * cz)
            hashed = cx ^ (cy * Y) ^ (cz * Z)
            entry = table + (start + tl.where(stride > 0, dense, hashed) % size) * FEATURES + feature
            weight = (u if corner % 2 else 1 - u) * (v if (corner // 2) % 2 else 1 - v)
            weight *= w if corner // 4 else 1 - w
            if BACKWARDS:
                tl.atomic_add(entry, weight * total, mask=inside)
            else:
                found += weight * tl.load(entry, mask=inside, other=0.0)
        if not BACKWARDS:
            tl.store(at + feature, found, mask=inside)


def lookup(points: torch.Tensor, table: torch.Tensor, levels: Levels) -> torch.Tensor:
    """(S, 3) points in [0, 1] and (rows, F) table to (S, L * F); float32, on one device."""
    out = torch.empty(len(points), len(levels) * table.shape[1], device=table.device)
    _launch(points, table, out, levels, False)
    return out


def pull_back(points: torch.Tensor, grad: torch.Tensor, levels: Levels, features: int) -> torch.Tensor:
    """Gradient (rows, F) of the table from that of the features (S, L * F)."""
    out = torch.zeros(levels.rows, features, device=grad.device)
    _launch(points, out, grad.contiguous(), levels, True)
    return out


def _launch(points: torch.Tensor, table: torch.Tensor, values: torch.Tensor, levels: Levels, backwards: bool) -> None:
    arrays = (levels.scales, levels.strides, levels.starts, levels.sizes)
    geometry = [torch.from_numpy(array).to(table.device) for array in arrays]
    grid = (triton.cdiv(len(points), BLOCK), len(levels))
    if not len(points):
        return
    hash_lookup_kernel[grid](
        points.contiguous(),
        table,
        values,
        *geometry,
        len(points),
        float(levels.shift),
        LEVELS=len(levels),
        FEATURES=table.shape[1],
        BACKWARDS=backwards,
        BLOCK=BLOCK,
    )
