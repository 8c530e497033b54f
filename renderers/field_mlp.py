"""Plain NeRF MLPs: hierarchical sampling by a coarse network, colours by the fine one (Mildenhall et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.volume_math import Rays, Traced, blending_weights, fourier, sample_by_weight, to_ndc

_FAR = 1e10  # what the last sample stands for
_FAINT = 1e-5  # blending weights below it change no 8-bit picture


class MlpModel(FieldModel):
    """geometry: networks, frequencies (position, direction), skips, views, first_relu, feature_relu, skip_first; near,
    far, ndc, disparity, samples (coarse, fine), white."""

    def prepare(self) -> None:
        g = self.geometry
        self._nets: list[str] = list(g["networks"])
        self._position, self._direction = (int(n) for n in g["frequencies"])
        self._samples = [min(max(int(n), 2), 4096) for n in g["samples"]]
        self._trunk = self.count(f"{self._nets[0]}.trunk")
        self._colours = self.count(f"{self._nets[0]}.colour")
        probe = torch.zeros(1, 3)
        for net in self._nets:
            self._colour(net, self._density(net, probe)[1], probe)

    def trace(self, rays: Rays, jitter: torch.Generator | None = None) -> Traced:
        views = torch.nn.functional.normalize(rays.directions, dim=-1)
        if self.geometry["ndc"]:
            rays = to_ndc(rays)
        depths = self._coarse_depths(len(rays), jitter)
        alone = len(self._nets) == 1
        with_guide = alone or torch.is_grad_enabled()
        rgb, weights = self._composite(self._nets[0], rays, views, depths, with_guide)
        if alone:
            return Traced(rgb, weights.sum(-1), (weights * depths).sum(-1))
        middles = 0.5 * (depths[:, 1:] + depths[:, :-1])
        shares = torch.linspace(0, 1, self._samples[1]).expand(len(rays), -1)
        finer = sample_by_weight(middles, weights[:, 1:-1].detach() + 1e-5, shares)
        depths = torch.sort(torch.cat([depths, finer], -1), -1).values
        guide = rgb if with_guide else None
        rgb, weights = self._composite(self._nets[-1], rays, views, depths, True)
        return Traced(rgb, weights.sum(-1), (weights * depths).sum(-1), guide)

    def ask(self, points: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """By the last network."""
        return self.ask_net(self._nets[-1], points, views)

    def ask_net(self, net: str, points: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """The same by one of the networks."""
        if self.geometry["ndc"]:
            return super().ask(points, views)
        density, hidden = self._density(net, points)
        return density, self._colour(net, hidden, torch.nn.functional.normalize(views, dim=-1))

    def _coarse_depths(self, rays: int, jitter: torch.Generator | None) -> Tensor:
        near, far = self.geometry["near"], self.geometry["far"]
        t = torch.linspace(0, 1, self._samples[0]).expand(rays, -1)
        if jitter is not None:
            middle = 0.5 * (t[:, 1:] + t[:, :-1])
            low, high = torch.cat([t[:, :1], middle], -1), torch.cat([middle, t[:, -1:]], -1)
            t = low + (high - low) * torch.rand(t.shape, generator=jitter)
        return 1 / ((1 - t) / near + t / far) if self.geometry["disparity"] else near * (1 - t) + far * t

    def _composite(self, net: str, rays: Rays, views: Tensor, depths: Tensor, coloured: bool) -> tuple[Tensor, Tensor]:
        """Colours (R, 3), zero unless ``coloured``, and blending weights (R, S) of samples at these depths.

        Without gradients, colours are worked out only where they show.
        """
        points = rays.origins[:, None] + rays.directions[:, None] * depths[..., None]
        density, hidden = self._density(net, self.snapped(points.reshape(-1, 3)))
        lengths = torch.cat([depths[:, 1:] - depths[:, :-1], torch.full_like(depths[:, :1], _FAR)], -1)
        stretch = lengths * rays.directions.norm(dim=-1, keepdim=True)
        weights = blending_weights(density.reshape(depths.shape), stretch)
        if not coloured:
            return torch.zeros_like(rays.origins), weights
        ray = torch.arange(len(rays)).repeat_interleave(depths.shape[1])
        if torch.is_grad_enabled():
            rgb = self._colour(net, hidden, views[ray])
        else:
            shown = torch.nonzero(weights.reshape(-1) > _FAINT)[:, 0]
            rgb = torch.zeros(len(ray), 3)
            rgb[shown] = self._colour(net, hidden[shown], views[ray[shown]])
        return (weights[..., None] * rgb.reshape(*depths.shape, 3)).sum(1), weights

    def _density(self, net: str, points: Tensor) -> tuple[Tensor, Tensor]:
        """Densities (S,) of points (S, 3), and what the colours are made from."""
        x = encoded = fourier(points, self._position)
        for number in range(self._trunk):
            if number in self.geometry["skips"]:
                x = torch.cat([encoded, x] if self.geometry["skip_first"] else [x, encoded], -1)
            x = self.linear(f"{net}.trunk.{number}", x)
            if number or self.geometry["first_relu"]:
                x = torch.relu(x)
        if not self.geometry["views"]:
            out = self.linear(f"{net}.output", x)
            return torch.relu(out[:, 3]), out[:, :3]
        return torch.relu(self.linear(f"{net}.density", x)[:, 0]), x

    def _colour(self, net: str, hidden: Tensor, views: Tensor) -> Tensor:
        """Colours (S, 3) of points with these hidden values, seen along unit directions (S, 3)."""
        if not self.geometry["views"]:
            return torch.sigmoid(hidden)
        feature = self.linear(f"{net}.feature", hidden)
        if self.geometry["feature_relu"]:
            feature = torch.relu(feature)
        x = torch.cat([feature, fourier(views, self._direction)], -1)
        for number in range(self._colours):
            x = torch.relu(self.linear(f"{net}.colour.{number}", x))
        return torch.sigmoid(self.linear(f"{net}.rgb", x))
