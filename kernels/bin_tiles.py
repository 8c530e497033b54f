"""Which Gaussians touch which 16x16 tile: count → prefix sum → emit → stable sort by tile, in depth order.

A Gaussian reaches where alpha >= 1/255, an ellipse that depends on its opacity. For one row of tiles the ellipse
covers one interval of columns, found exactly, so no pair is made that cannot colour a pixel centre (but for a slack of
1/64 px against rounding). The bounds follow from the Cholesky factor: e^2 + f^2 <= reach with f = m dy,
e = p dx + r dy. Same idea as Speedy-Splat's AccuTile (Hanson et al. 2025) and StopThePop's tile culling
(Radl et al. 2024).

Depths are sorted once per Gaussian, then pairs by tile with a stable 16-bit sort: counting radix passes, a quarter of
the bytes that one sort of 64-bit (tile, depth) keys moves at four pairs per Gaussian. The emitting kernel runs over
pairs, not Gaussians (binary search in the prefix sums), so that a Gaussian that fills the screen costs no more than
its pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl

from gscompress.errors import UsageError
from gscompress.kernels.record import LOG2_ALPHA_MIN, SLOTS, TILE

BLOCK = 128
SLACK = tl.constexpr(1 / 64)


@dataclass(frozen=True, slots=True)
class Bins:
    """ids: (P,) int32 rows of the records, tile by tile, near to far. starts: (tiles + 1,) int32 ranges of ``ids``."""

    ids: torch.Tensor
    starts: torch.Tensor
    columns: int
    rows: int


@triton.jit
def _ellipse(records: tl.tensor, row: tl.tensor, inside: tl.tensor) -> tuple[tl.tensor, ...]:
    """Centre (x, y), factor (p, r, m) and reach: alpha >= 1/255 where (p dx + r dy)^2 + (m dy)^2 <= reach."""
    at = records + row.to(tl.int64) * SLOTS
    x, y = tl.load(at, mask=inside, other=0.0), tl.load(at + 1, mask=inside, other=0.0)
    p, r = tl.load(at + 2, mask=inside, other=1.0), tl.load(at + 3, mask=inside, other=0.0)
    m = tl.load(at + 4, mask=inside, other=1.0)
    return x, y, p, r, m, tl.load(at + 5, mask=inside, other=float("-inf")) - LOG2_ALPHA_MIN


@triton.jit
def _first_and_end(low: tl.tensor, high: tl.tensor, count: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Tiles of one axis whose pixel centres reach into [low, high] pixels: first, and one past the last."""
    first = tl.ceil((tl.maximum(low, -1e6) - SLACK + 0.5) / TILE) - 1
    end = tl.floor((tl.minimum(high, 1e6) + SLACK - 0.5) / TILE) + 1
    first = tl.minimum(tl.maximum(first.to(tl.int32), 0), count)
    return first, tl.maximum(tl.minimum(tl.maximum(end.to(tl.int32), 0), count), first)


@triton.jit
def _tile_rows(y: tl.tensor, m: tl.tensor, reach: tl.tensor, rows: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Rows of tiles that the ellipse touches: first, and one past the last (none where reach < 0)."""
    half = tl.sqrt(tl.maximum(reach, 0.0)) / m
    first, end = _first_and_end(y - half, y + half, rows)
    return first, tl.where(reach >= 0, end, first)


@triton.jit
def _tile_columns(
    tile_row: tl.tensor,
    x: tl.tensor,
    y: tl.tensor,
    p: tl.tensor,
    r: tl.tensor,
    m: tl.tensor,
    reach: tl.tensor,
    columns: tl.tensor,
) -> tuple[tl.tensor, tl.tensor]:
    """Columns of tiles that the ellipse touches within one row of tiles: first, and one past the last."""
    tallest = tl.sqrt(tl.maximum(reach, 0.0)) / m
    top = tl.minimum(tl.maximum(tile_row * TILE + (0.5 - SLACK) - y, -tallest), tallest)
    bottom = tl.minimum(tl.maximum(tile_row * TILE + (TILE - 0.5 + SLACK) - y, -tallest), tallest)
    widest = -r / m * tl.sqrt(tl.maximum(reach, 0.0) / (m * m + r * r))
    at_right = tl.minimum(tl.maximum(widest, top), bottom)
    at_left = tl.minimum(tl.maximum(-widest, top), bottom)
    right = (tl.sqrt(tl.maximum(reach - m * m * at_right * at_right, 0.0)) - r * at_right) / p
    left = (-tl.sqrt(tl.maximum(reach - m * m * at_left * at_left, 0.0)) - r * at_left) / p
    return _first_and_end(x + left, x + right, columns)


@triton.jit
def count_kernel(
    records: tl.tensor,
    order: tl.tensor,
    counts: tl.tensor,
    n: tl.tensor,
    columns: tl.tensor,
    rows: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """counts[i]: tiles of the Gaussian order[i]."""
    rank = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = rank < n
    x, y, p, r, m, reach = _ellipse(records, tl.load(order + rank, mask=inside, other=0), inside)
    tile_row, end = _tile_rows(y, m, reach, rows)
    count = tl.zeros_like(tile_row)
    for _ in range(tl.max(end - tile_row)):
        left, right = _tile_columns(tile_row, x, y, p, r, m, reach, columns)
        count += tl.where(tile_row < end, right - left, 0)
        tile_row += 1
    tl.store(counts + rank, count, mask=inside)


@triton.jit
def emit_kernel(
    records: tl.tensor,
    order: tl.tensor,
    ends: tl.tensor,
    tiles: tl.tensor,
    ids: tl.tensor,
    n: tl.tensor,
    pairs: tl.tensor,
    columns: tl.tensor,
    rows: tl.tensor,
    steps: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """tiles[j], ids[j]: the j-th pair in depth order. ends: inclusive prefix sums of the counts.

    Should rounding make this kernel find fewer tiles than ``count_kernel``, the pair gets tile columns * rows,
    which sorts behind all others.
    """
    pair = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = pair < pairs
    low, high = tl.zeros_like(pair), tl.zeros_like(pair) + (n - 1)
    for _ in range(steps):
        middle = (low + high) // 2
        after = tl.load(ends + middle) <= pair
        low = tl.where(after, tl.minimum(middle + 1, n - 1), low)
        high = tl.where(after, high, middle)
    left_over = (pair - tl.load(ends + low - 1, mask=low > 0, other=0)).to(tl.int32)
    row = tl.load(order + low)
    x, y, p, r, m, reach = _ellipse(records, row, inside)
    tile_row, end = _tile_rows(y, m, reach, rows)
    tile = tl.zeros_like(tile_row) + columns * rows
    for _ in range(tl.max(end - tile_row)):
        left, right = _tile_columns(tile_row, x, y, p, r, m, reach, columns)
        here = (tile_row < end) & (left_over >= 0) & (left_over < right - left)
        tile = tl.where(here, tile_row * columns + left + left_over, tile)
        left_over -= right - left
        tile_row += 1
    tl.store(tiles + pair, tile.to(tiles.dtype.element_ty), mask=inside)
    tl.store(ids + pair, row, mask=inside)


def bin_tiles(records: torch.Tensor, width: int, height: int) -> Bins:
    """Bin records (N, 10) for a picture of ``width`` x ``height`` pixels. One host synchronisation (the pair count)."""
    n, device = len(records), records.device
    columns, rows = math.ceil(width / 16), math.ceil(height / 16)
    order = torch.sort(records[:, 9], stable=True).indices.to(torch.int32)
    counts = torch.empty(n, dtype=torch.int32, device=device)
    if n:
        count_kernel[(triton.cdiv(n, BLOCK),)](records, order, counts, n, columns, rows, BLOCK=BLOCK)
    ends = torch.cumsum(counts, 0)
    pairs = int(ends[-1]) if n else 0
    if pairs >= 2**31:
        raise UsageError(f"{n} Gaussians touch {pairs} tiles of this view: too many, render a smaller picture")
    narrow = torch.int16 if columns * rows < 32767 else torch.int32
    tiles = torch.empty(pairs, dtype=narrow, device=device)
    ids = torch.empty(pairs, dtype=torch.int32, device=device)
    if pairs:
        grid = (triton.cdiv(pairs, BLOCK),)
        steps = n.bit_length()
        emit_kernel[grid](records, order, ends, tiles, ids, n, pairs, columns, rows, steps, BLOCK=BLOCK)
    tiles, by_tile = torch.sort(tiles, stable=True)
    limits = torch.arange(columns * rows + 1, dtype=narrow, device=device)
    return Bins(ids[by_tile], torch.searchsorted(tiles, limits).to(torch.int32), columns, rows)


def bin_tiles_slow(records: npt.NDArray[np.float32], width: int, height: int) -> list[list[int]]:
    """The twin: for every tile, the rows whose alpha reaches 1/255 at one of its pixel centres, near to far."""
    r = records.astype(np.float64)
    tiles = []
    for top in range(0, height, 16):
        for left in range(0, width, 16):
            x, y = np.meshgrid(np.arange(left, left + 16) + 0.5, np.arange(top, top + 16) + 0.5)
            dx, dy = x - r[:, 0, None, None], y - r[:, 1, None, None]
            p, q, m, log2_opacity = (r[:, slot, None, None] for slot in (2, 3, 4, 5))
            alpha = 2 ** (log2_opacity - (p * dx + q * dy) ** 2 - (m * dy) ** 2)
            touching = np.flatnonzero((alpha >= 1 / 255).any(axis=(1, 2)))
            tiles.append(touching[np.argsort(r[touching, 9], kind="stable")].tolist())
    return tiles
