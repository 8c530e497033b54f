"""The formulas that every volume renderer shares, in torch: rays, compositing, sampling by density, encodings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gscompress.camera import Camera


@dataclass(frozen=True)
class Rays:
    """origins, directions: (R, 3) world axes; a direction advances by one unit of view depth, so its length is >= 1.

    window: half width and half height of the picture at depth 1, which normalised device coordinates need.
    """

    origins: Tensor
    directions: Tensor
    window: tuple[float, float]

    def take(self, rows: Tensor | slice) -> Rays:
        return Rays(self.origins[rows], self.directions[rows], self.window)

    def __len__(self) -> int:
        return len(self.origins)


@dataclass(frozen=True)
class Traced:
    """rgb (R, 3) without background, alpha (R,), depth (R,) weighted sum. guide: (R, 3) the sampling net's picture."""

    rgb: Tensor
    alpha: Tensor
    depth: Tensor
    guide: Tensor | None = None


def rays_of(camera: Camera) -> Rays:
    """One ray per pixel through its centre, row by row."""
    y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    local = torch.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, torch.ones_like(x)], -1)
    rotation = torch.from_numpy(camera.w2c[:3, :3]).float()
    directions = local.reshape(-1, 3) @ rotation
    origins = torch.from_numpy(camera.position).float().expand(len(directions), 3)
    return Rays(origins, directions, (camera.width / (2 * camera.fx), camera.height / (2 * camera.fy)))


def to_ndc(rays: Rays) -> Rays:
    """Forward-facing rays (cameras look along -z) in normalised device coordinates: near plane at depth 1.

    Mildenhall et al. 2020, appendix C.
    """
    o, d = rays.origins, rays.directions
    o = o - ((1 + o[:, 2:]) / d[:, 2:]) * d
    ax, ay = 1 / rays.window[0], 1 / rays.window[1]
    across = torch.stack([-ax * o[:, 0] / o[:, 2], -ay * o[:, 1] / o[:, 2], 1 + 2 / o[:, 2]], -1)
    along = torch.stack(
        [
            -ax * (d[:, 0] / d[:, 2] - o[:, 0] / o[:, 2]),
            -ay * (d[:, 1] / d[:, 2] - o[:, 1] / o[:, 2]),
            -2 / o[:, 2],
        ],
        -1,
    )
    return Rays(across, along, rays.window)


def squeeze(t: Tensor) -> Tensor:
    """Distance in [0, inf) to spacing in [0, 1): linear up to one unit, then in disparity (Tancik et al. 2023)."""
    return torch.where(t < 1, t / 2, 1 - 1 / (2 * t.clamp(min=1e-9)))


def stretch(s: Tensor) -> Tensor:
    """The reverse of ``squeeze``."""
    return torch.where(s < 0.5, 2 * s, 1 / (2 - 2 * s).clamp(min=1e-9))


def contract(points: Tensor) -> Tensor:
    """All of space to [-2, 2]: the unit cube stays as it is (Mip-NeRF 360's contraction in the maximum norm)."""
    size = points.abs().amax(-1, keepdim=True).clamp(min=1)
    return points / size * (2 - 1 / size)


def blending_weights(density: Tensor, lengths: Tensor) -> Tensor:
    """(R, S) transmittance times opacity of samples with these densities, each standing for a stretch of the ray."""
    kept = torch.exp(-density * lengths)
    before = torch.cumprod(torch.cat([torch.ones_like(kept[:, :1]), kept + 1e-10], -1), -1)[:, :-1]
    return before * (1 - kept)


def sample_by_weight(edges: Tensor, weights: Tensor, positions: Tensor) -> Tensor:
    """(R, P) places at which a piecewise constant density reaches these shares (R, P) of its mass.

    weights: (R, B) mass of every bin. edges: (R, B + 1) of the bins, ascending.
    """
    shares = torch.cumsum(weights / weights.sum(-1, keepdim=True), -1)
    shares = torch.cat([torch.zeros_like(shares[:, :1]), shares.clamp(max=1)], -1)
    above = torch.searchsorted(shares, positions.contiguous(), right=True).clamp(1, edges.shape[1] - 1)
    below = above - 1
    low, high = shares.gather(-1, below), shares.gather(-1, above)
    left, right = edges.gather(-1, below), edges.gather(-1, above)
    width = torch.where(high - low < 1e-5, torch.ones_like(high), high - low)
    return left + ((positions - low) / width).clamp(0, 1) * (right - left)


def fourier(x: Tensor, frequencies: int) -> Tensor:
    """x, then sin and cos of 2^k x for k below ``frequencies``: (..., 3 + 6 frequencies)."""
    parts = [x]
    for k in range(frequencies):
        parts += [torch.sin(x * 2.0**k), torch.cos(x * 2.0**k)]
    return torch.cat(parts, -1)


def waves(x: Tensor, frequencies: int) -> Tensor:
    """(S, C) to (S, 2 C frequencies) in the order of TensoRF and DVGO: all sines, then all cosines, the frequencies of
    one value side by side."""
    angles = (x[..., None] * 2.0 ** torch.arange(frequencies)).flatten(1)
    return torch.cat([torch.sin(angles), torch.cos(angles)], -1)


_SH = (0.28209479177387814, 0.4886025119029199, 1.0925484305920792, 0.9461746957575601, 0.31539156525252)


def harmonics(d: Tensor) -> Tensor:
    """(S, 3) to the 16 real spherical harmonics in the order and with the signs of nerfstudio and tiny-cuda-nn."""
    x, y, z = d.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    c3 = math.sqrt(math.pi)
    return torch.stack(
        [
            torch.full_like(x, _SH[0]),
            _SH[1] * y,
            _SH[1] * z,
            _SH[1] * x,
            _SH[2] * x * y,
            _SH[2] * y * z,
            _SH[3] * zz - _SH[4],
            _SH[2] * x * z,
            _SH[2] / 2 * (xx - yy),
            math.sqrt(35 / 32) / c3 * y * (3 * xx - yy),
            math.sqrt(105 / 4) / c3 * x * y * z,
            math.sqrt(21 / 32) / c3 * y * (5 * zz - 1),
            math.sqrt(7 / 16) / c3 * z * (5 * zz - 3),
            math.sqrt(21 / 32) / c3 * x * (5 * zz - 1),
            math.sqrt(105 / 16) / c3 * z * (xx - yy),
            math.sqrt(35 / 32) / c3 * x * (xx - 3 * yy),
        ],
        -1,
    )
