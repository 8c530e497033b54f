"""DVGO's voxels: density activated after interpolation, colour features for a small network (Sun et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from gscompress.renderers.field_voxels import SparseGrid
from gscompress.renderers.volume_math import Rays, Traced, waves

_MOST_SAMPLES, _MOST_FREQUENCIES = 4096, 24


class FeatureVoxelModel(SparseGrid):
    """geometry: box, through whose corners the outermost voxels go; voxels and base_voxels, counts from which sizes of
    a voxel follow, and a sample's opacity is 1 - exp(-softplus(density + shift) * step * size / base size); empty, the
    density where the mask has no voxel; step, between samples, in voxels; faint, opacities and blending weights that
    are left out; direct, whether the network sees all features or adds its answer to the first three; frequencies, of
    the view; white.
    """

    def prepare(self) -> None:
        g, count = self.geometry, self._lay_out()
        features = self.tensors["features"]
        if self.tensors["density"].shape != (count,) or features.ndim != 2 or len(features) != count:
            raise ValueError(f"{count} voxels, features {tuple(features.shape)}")
        span = self._high - self._low
        volume = float(span.prod())
        if not (volume > 0 and (span > 0).all() and min(float(g[k]) for k in ("step", "voxels", "base_voxels")) > 0):
            raise ValueError("the box is empty")
        size, base = ((volume / float(g[key])) ** (1 / 3) for key in ("voxels", "base_voxels"))
        self._step = float(g["step"]) * size
        self._base, self._interval = base, self._step / base
        self._shift, self._empty, self._faint = (float(g[key]) for key in ("shift", "empty", "faint"))
        self._frequencies = min(max(int(g["frequencies"]), 0), _MOST_FREQUENCIES)
        self._samples = int(min(float((self._size + 1.0).norm()) / float(g["step"]), _MOST_SAMPLES - 1)) + 1
        self._occupied = self.tensors["occupancy"]
        if self._occupied.ndim != 3 or min(self._occupied.shape) < 1:
            raise ValueError(f"an occupancy of {tuple(self._occupied.shape)}")
        self._layers = self.count("head")
        if features.shape[1] < 3 or (not self._layers and features.shape[1] != 3):
            raise ValueError(f"{features.shape[1]} features without a network")
        probe = torch.zeros(1, 3)
        if self._shaded(torch.zeros(1, features.shape[1]), probe).shape != (1, 3):
            raise ValueError("the network does not answer with a colour")

    def trace(self, rays: Rays, jitter: torch.Generator | None = None) -> Traced:
        length = rays.directions.norm(dim=-1, keepdim=True)
        origins, along = rays.origins, rays.directions / length
        t = self._entry(origins, along)[:, None] + self._step * torch.arange(self._samples)
        if jitter is not None:
            t = t + self._step * torch.rand(len(rays), 1, generator=jitter)
        live, rows, shares = self._live(self.snapped(origins[:, None] + along[:, None] * t[..., None]))
        depth = torch.zeros(t.shape)
        depth[live] = self._mixed_density(rows, shares) * self._interval
        depth = depth * (1 - torch.exp(-depth.detach()) > self._faint)
        before = torch.cumsum(torch.cat([torch.zeros_like(depth[:, :1]), depth[:, :-1]], -1), -1)
        weights = torch.exp(-before) * (1 - torch.exp(-depth))
        shown = torch.nonzero(weights[live].detach() > self._faint)[:, 0]
        where = live[0][shown]
        rgb = self._colour(rows[shown], shares[shown], along[where])
        total = torch.zeros_like(origins).index_add(0, where, weights[live][shown][:, None] * rgb)
        return Traced(total, weights.sum(-1), (weights * t / length).sum(-1))

    def ask(self, points: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        live, rows, shares = self._live(points)
        density, rgb = torch.zeros(len(points)), torch.zeros(len(points), 3)
        density = density.index_put(live, self._mixed_density(rows, shares) / self._base)
        return density, rgb.index_put(live, self._colour(rows, shares, normalize(views[live], dim=-1)))

    def _place(self, points: Tensor) -> Tensor:
        return (points - self._low) / (self._high - self._low) * (self._size - 1)

    def _counts(self, points: Tensor) -> Tensor:
        """Within the box, and where the nearest cell of the occupancy is set."""
        size = torch.tensor(self._occupied.shape)
        share = (points - self._low) / (self._high - self._low)
        x, y, z = (share * (size - 1)).round().long().clamp(min=0).minimum(size - 1).unbind(-1)
        return ((share >= 0) & (share <= 1)).all(-1) & self._occupied[x, y, z]

    def _mixed_density(self, rows: Tensor, shares: Tensor) -> Tensor:
        """(S,) per base size; shares sum to one, so what is left of them is empty space."""
        above = (self.tensors["density"] - self._empty)[rows.clamp(min=0)] * (rows >= 0)
        return softplus((above * shares).sum(-1) + self._empty + self._shift)

    def _colour(self, rows: Tensor, shares: Tensor, views: Tensor) -> Tensor:
        return self._shaded((self._taken("features", rows) * shares[..., None]).sum(1), views)

    def _shaded(self, features: Tensor, views: Tensor) -> Tensor:
        """(S, 3) from interpolated features and unit directions."""
        if not self._layers:
            return torch.sigmoid(features)
        direct = bool(self.geometry["direct"])
        x = torch.cat([features if direct else features[:, 3:], views, waves(views, self._frequencies)], -1)
        for number in range(self._layers):
            x = self.linear(f"head.{number}", x)
            x = torch.relu(x) if number < self._layers - 1 else x
        return torch.sigmoid(x if direct else x + features[:, :3])
