"""Blend the binned records front to back, one program per 16x16 tile, and pull the picture's gradient back.

Every record is loaded once per tile (one broadcast per warp) and applied to all 256 pixels, which live in
registers; the offset terms are per column or per row, so a pixel costs two operations to reach its exponent.
A tile stops when no pixel can be changed any more. Transmittance is 0 in pixels that are done.

The backward kernel walks front to back too: with rest_i = <v, colour behind i> known from the finished picture,
d alpha_i = T_i <v, c_i> - rest_i / (1 - alpha_i) (Kerbl et al. 2023, as a running difference), so that nothing but
the picture is kept from the forward pass. Sums over the tile's pixels go out as one 10-wide atomic add per pair.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from gscompress.kernels.bin_tiles import Bins
from gscompress.kernels.record import ALPHA_MAX, LOG2_ALPHA_MIN, SLOTS, TILE, TRANSMITTANCE_MIN

LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _pixels(tile: tl.tensor, columns: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Pixel columns (1, 16) and rows (16, 1) of a tile."""
    x = (tile % columns) * TILE + tl.arange(0, TILE)
    y = (tile // columns) * TILE + tl.arange(0, TILE)
    return x[None, :], y[:, None]


@triton.jit
def _blend(
    at: tl.tensor, valid: tl.tensor, px: tl.tensor, py: tl.tensor, transmittance: tl.tensor
) -> tuple[tl.tensor, ...]:
    """One record on one tile: dx, dy, e, alpha (0 under 1/255), blending weight, and the transmittance behind it."""
    dx, dy = px - tl.load(at), py - tl.load(at + 1)
    e = tl.load(at + 2) * dx + tl.load(at + 3) * dy
    f = tl.load(at + 4) * dy
    exponent = tl.load(at + 5, mask=valid, other=float("-inf")) - f * f - e * e
    alpha = tl.where(exponent >= LOG2_ALPHA_MIN, tl.minimum(tl.exp2(exponent), ALPHA_MAX), 0.0)
    weight = alpha * transmittance
    behind = transmittance - weight
    going_on = behind >= TRANSMITTANCE_MIN
    return dx, dy, e, alpha, tl.where(going_on, weight, 0.0), tl.where(going_on, behind, 0.0)


@triton.jit
def rasterize_kernel(
    records: tl.tensor,
    ids: tl.tensor,
    starts: tl.tensor,
    rgb: tl.tensor,
    alpha: tl.tensor,
    depth: tl.tensor,
    width: tl.tensor,
    height: tl.tensor,
    columns: tl.tensor,
    background_r: tl.tensor,
    background_g: tl.tensor,
    background_b: tl.tensor,
    GROUP: tl.constexpr,
) -> None:
    """Forward. Whether the tile can stop is asked once per GROUP records."""
    tile = tl.program_id(0)
    column, row = _pixels(tile, columns)
    inside = (column < width) & (row < height)
    px, py = column.to(tl.float32) + 0.5, row.to(tl.float32) + 0.5
    transmittance = tl.where(inside, 1.0, 0.0)
    red, green, blue = tl.zeros_like(transmittance), tl.zeros_like(transmittance), tl.zeros_like(transmittance)
    covered, far = tl.zeros_like(transmittance), tl.zeros_like(transmittance)
    position, end = tl.load(starts + tile), tl.load(starts + tile + 1)
    open_pixels = 1.0
    while (position < end) & (open_pixels > 0):
        for k in tl.static_range(GROUP):
            valid = position + k < end
            at = records + tl.load(ids + position + k, mask=valid, other=0).to(tl.int64) * SLOTS
            _dx, _dy, _e, _alpha, weight, transmittance = _blend(at, valid, px, py, transmittance)
            red += weight * tl.load(at + 6)
            green += weight * tl.load(at + 7)
            blue += weight * tl.load(at + 8)
            far += weight * tl.load(at + 9, mask=valid, other=0.0)
            covered += weight
        position += GROUP
        open_pixels = tl.max(transmittance)
    pixel = row.to(tl.int64) * width + column
    tl.store(rgb + pixel * 3, red + (1 - covered) * background_r, mask=inside)
    tl.store(rgb + pixel * 3 + 1, green + (1 - covered) * background_g, mask=inside)
    tl.store(rgb + pixel * 3 + 2, blue + (1 - covered) * background_b, mask=inside)
    tl.store(alpha + pixel, covered, mask=inside)
    tl.store(depth + pixel, far, mask=inside)


@triton.jit
def _total(values: tl.tensor) -> tl.tensor:
    return tl.sum(tl.sum(values, 0), 0)


@triton.jit
def _add_gradient(
    gradient: tl.tensor,
    at: tl.tensor,
    dx: tl.tensor,
    dy: tl.tensor,
    e: tl.tensor,
    weight: tl.tensor,
    pull: tl.tensor,
    red: tl.tensor,
    green: tl.tensor,
    blue: tl.tensor,
) -> None:
    """Add one tile's share to a record's ten gradient slots. pull: dL/d exponent; red, green, blue: dL/d picture."""
    pull_e, pull_y = pull * e, pull * dy
    column_e = tl.sum(pull_e, 0)[None, :]
    sum_e, sum_y = _total(column_e), _total(pull_y)
    p, r, m = tl.load(at + 2), tl.load(at + 3), tl.load(at + 4)
    slot = tl.arange(0, 16)
    out = tl.where(slot == 0, 2 * p * sum_e, 0.0)
    out = tl.where(slot == 1, 2 * (r * sum_e + m * m * sum_y), out)
    out = tl.where(slot == 2, -2 * _total(column_e * dx), out)
    out = tl.where(slot == 3, -2 * _total(pull_e * dy), out)
    out = tl.where(slot == 4, -2 * m * _total(pull_y * dy), out)
    out = tl.where(slot == 5, _total(pull), out)
    out = tl.where(slot == 6, _total(weight * red), out)
    out = tl.where(slot == 7, _total(weight * green), out)
    out = tl.where(slot == 8, _total(weight * blue), out)
    out = tl.where(slot == 9, _total(weight), out)
    tl.atomic_add(gradient + slot, out, mask=slot < SLOTS, sem="relaxed")


@triton.jit
def rasterize_backward_kernel(
    records: tl.tensor,
    ids: tl.tensor,
    starts: tl.tensor,
    rgb: tl.tensor,
    rgb_grad: tl.tensor,
    record_grads: tl.tensor,
    width: tl.tensor,
    height: tl.tensor,
    columns: tl.tensor,
) -> None:
    """Add dL/d record to ``record_grads`` (N, 10), given the finished picture ``rgb`` and dL/d rgb, both (H, W, 3)."""
    tile = tl.program_id(0)
    column, row = _pixels(tile, columns)
    inside = (column < width) & (row < height)
    px, py = column.to(tl.float32) + 0.5, row.to(tl.float32) + 0.5
    pixel = (row.to(tl.int64) * width + column) * 3
    red = tl.load(rgb_grad + pixel, mask=inside, other=0.0)
    green = tl.load(rgb_grad + pixel + 1, mask=inside, other=0.0)
    blue = tl.load(rgb_grad + pixel + 2, mask=inside, other=0.0)
    rest = red * tl.load(rgb + pixel, mask=inside, other=0.0)
    rest += green * tl.load(rgb + pixel + 1, mask=inside, other=0.0)
    rest += blue * tl.load(rgb + pixel + 2, mask=inside, other=0.0)
    transmittance = tl.where(inside, 1.0, 0.0)
    position, end = tl.load(starts + tile), tl.load(starts + tile + 1)
    open_pixels = 1.0
    while (position < end) & (open_pixels > 0):
        row_id = tl.load(ids + position).to(tl.int64) * SLOTS
        at = records + row_id
        dx, dy, e, alpha, weight, behind = _blend(at, True, px, py, transmittance)
        colour = red * tl.load(at + 6) + green * tl.load(at + 7) + blue * tl.load(at + 8)
        rest -= colour * weight
        alpha_grad = transmittance * colour - rest / (1 - alpha)
        pull = tl.where((weight > 0) & (alpha < ALPHA_MAX), alpha_grad * alpha * LN2, 0.0)
        if tl.max(weight) > 0:
            _add_gradient(record_grads + row_id, at, dx, dy, e, weight, pull, red, green, blue)
        transmittance = behind
        position += 1
        open_pixels = tl.max(transmittance)


def rasterize(
    records: torch.Tensor,
    bins: Bins,
    width: int,
    height: int,
    background: tuple[float, float, float],
    *,
    group: int = 4,
    warps: int = 2,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """rgb (H, W, 3), alpha (H, W) and alpha-weighted depth (H, W), float32 on the records' device."""
    rgb = torch.empty((height, width, 3), device=records.device)
    alpha, depth = (torch.empty((height, width), device=records.device) for _ in range(2))
    r, g, b = map(float, background)
    grid = (bins.columns * bins.rows,)
    rasterize_kernel[grid](
        records,
        bins.ids,
        bins.starts,
        rgb,
        alpha,
        depth,
        width,
        height,
        bins.columns,
        r,
        g,
        b,
        GROUP=group,
        num_warps=warps,
    )
    return rgb, alpha, depth


def rasterize_backward(
    records: torch.Tensor, bins: Bins, rgb: torch.Tensor, rgb_grad: torch.Tensor, *, warps: int = 1
) -> torch.Tensor:
    """dL/d records (N, 10) of L(rgb), and the summed blending weight in slot 9."""
    height, width = rgb.shape[:2]
    grads = torch.zeros_like(records)
    grid = (bins.columns * bins.rows,)
    rasterize_backward_kernel[grid](
        records, bins.ids, bins.starts, rgb, rgb_grad, grads, width, height, bins.columns, num_warps=warps
    )
    return grads


def rasterize_slow(
    records: torch.Tensor, width: int, height: int, background: tuple[float, float, float]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The twin of both kernels: every record on every pixel, any float dtype, differentiated by torch.

    Returns rgb, alpha, depth and the summed blending weight of each record (N,).
    """
    near_first = torch.argsort(records[:, 9].detach(), stable=True)
    x, y, p, r, m, log2_opacity = (records[near_first, slot, None, None] for slot in range(6))
    dx = torch.arange(width, dtype=records.dtype) + 0.5 - x
    dy = (torch.arange(height, dtype=records.dtype) + 0.5)[:, None] - y
    alpha = torch.clamp(2 ** (log2_opacity - (p * dx + r * dy) ** 2 - (m * dy) ** 2), max=ALPHA_MAX.value)
    alpha = torch.where(alpha >= 1 / 255, alpha, 0.0)
    behind = torch.cumprod(1 - alpha, 0)
    before = torch.cat([torch.ones_like(behind[:1]), behind[:-1]])
    weight = torch.where(behind >= TRANSMITTANCE_MIN.value, alpha * before, 0.0)
    covered = weight.sum(0)
    rgb = torch.einsum("nyx,nc->yxc", weight, records[near_first, 6:9])
    rgb = rgb + (1 - covered)[..., None] * torch.tensor(background, dtype=records.dtype)
    depth = torch.einsum("nyx,n->yx", weight, torch.nan_to_num(records[near_first, 9], posinf=0.0))
    weights = torch.empty_like(records[:, 0])
    weights[near_first] = weight.detach().sum((1, 2))
    return rgb, covered, depth, weights
