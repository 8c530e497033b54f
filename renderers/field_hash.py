"""Hash-grid fields: nerfstudio's nerfacto and instant-ngp (Tancik et al. 2023, Müller et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gscompress.hash_levels import Levels, levels_of
from gscompress.kernels.hash_lookup import lookup, pull_back
from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.volume_math import Rays, Traced, contract, harmonics, sample_by_weight, squeeze, stretch

_PADDING = 0.01  # added to weights before they are sampled from
_MOST_SAMPLES = 4096
_FAINT = 1e-5  # blending weights below it change no 8-bit picture


class _Lookup(torch.autograd.Function):
    """``kernels.hash_lookup`` for autograd; points get no gradient."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, levels: Levels) -> Tensor:
        ctx.points, ctx.levels, ctx.features = points, levels, table.shape[1]
        return torch.from_numpy(lookup(points.numpy(), table.detach().numpy(), levels))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, None]:
        table = pull_back(ctx.points.numpy(), grads[0].numpy(), ctx.levels, ctx.features)
        return None, torch.from_numpy(table), None


class HashModel(FieldModel):
    """geometry: levels, base, finest, log2_size, indexing (see ``hash_levels``); proposals, a list of the same; world,
    the (3, 4) matrix from the cameras' axes to the field's; contraction "inf", or "none" with box; near, far; samples,
    one number per proposal and one for the field; directions "unit" or "halved"; density_scale; background "last" (the
    last sample's colour) or "plain".
    """

    def prepare(self) -> None:
        g = self.geometry
        self.levels: dict[str, Levels] = {"grid": self._checked("grid", g)}
        for k, p in enumerate(g["proposals"]):
            name = f"proposal.{k}.grid"
            self.levels[name] = self._checked(name, {**p, "indexing": g["indexing"]})
        self._samples = [min(max(int(n), 2), _MOST_SAMPLES) for n in g["samples"]]
        if len(self._samples) != len(self.levels):
            raise ValueError("there are not as many sample counts as networks")
        self._closed = g.get("background") == "last"  # the last sample's colour lies behind everything
        world = torch.tensor(g["world"], dtype=torch.float32)
        self._turn, self._move = world[:, :3], world[:, 3]
        self._box = torch.tensor(g.get("box", [[-1.0] * 3, [1.0] * 3]), dtype=torch.float32)
        self._appearance = self.tensors["appearance"].mean(0) if "appearance" in self.tensors else None
        probe = torch.zeros(1, 3)
        self._colour(self._raw(probe)[:, 1:], probe)

    def trace(self, rays: Rays, jitter: torch.Generator | None = None) -> Traced:
        return self.trace_with_proposals(rays, jitter)[0]

    def trace_with_proposals(
        self, rays: Rays, jitter: torch.Generator | None = None
    ) -> tuple[Traced, list[tuple[Tensor, Tensor]]]:
        """What ``trace`` returns, and (edges, weights) of every network, the field last, for training."""
        origins = rays.origins @ self._turn.T + self._move
        along = rays.directions @ self._turn.T
        length = along.norm(dim=-1, keepdim=True)
        along = along / length
        near, far = float(self.geometry["near"]), float(self.geometry["far"])
        first, last = squeeze(torch.tensor(near)), squeeze(torch.tensor(far))
        edges = torch.linspace(0, 1, self._samples[0] + 1).expand(len(rays), -1)
        if jitter is not None:
            edges = edges + (torch.rand(len(rays), 1, generator=jitter) - 0.5) / self._samples[0]
            edges = edges.clamp(0, 1)
        history = []
        for number in range(len(self._samples)):
            t = stretch(edges * last + (1 - edges) * first)
            middles, lengths = 0.5 * (t[:, 1:] + t[:, :-1]), t[:, 1:] - t[:, :-1]
            points = origins[:, None] + along[:, None] * middles[..., None]
            if number == len(self._samples) - 1:
                break
            density = self._proposal_density(number, points)
            weights = _weights(density, lengths)
            history.append((edges, weights))
            edges = self._resample(edges, weights.detach(), self._samples[number + 1], jitter)
        rgb, weights = self._shade(points, along, lengths)
        history.append((edges, weights))
        alpha = torch.ones(len(rays)) if self._closed else weights.sum(-1)
        guide = _moments(history[:-1]) if torch.is_grad_enabled() and len(history) > 1 else None
        return Traced(rgb, alpha, (weights * middles / length).sum(-1), guide), history

    def at(self, points: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """(S,) density and (S, 3) colour at points in the field's axes, seen along unit directions."""
        raw = self._raw(points)
        return self._density(raw[:, 0], points), self._colour(raw[:, 1:], views)

    def _resample(self, edges: Tensor, weights: Tensor, count: int, jitter: torch.Generator | None) -> Tensor:
        shares = torch.linspace(0, 1 - 1 / (count + 1), count + 1).expand(len(edges), -1)
        offset = 0.5 if jitter is None else torch.rand(len(edges), 1, generator=jitter)
        return sample_by_weight(edges, weights + _PADDING, shares + offset / (count + 1)).detach()

    def _shade(self, points: Tensor, along: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Colours (R, 3) with background, weights (R, S)."""
        shape = lengths.shape
        raw = self._raw(points.reshape(-1, 3))
        density = self._density(raw[:, 0], points.reshape(-1, 3)).reshape(shape)
        weights = _weights(density, lengths)
        behind = torch.zeros_like(weights)
        if self._closed:
            behind[:, -1] = 1 - weights.sum(-1)
        shares = (weights + behind).reshape(-1)
        shown = torch.nonzero(shares.detach() > _FAINT)[:, 0]
        ray = shown // shape[1]
        rgb = self._colour(raw[shown, 1:], along[ray])
        return torch.zeros(len(along), 3).index_add(0, ray, shares[shown, None] * rgb), weights

    def _raw(self, points: Tensor) -> Tensor:
        """(S, 1 + G): density before activation, and the geometry features."""
        return self._mlp("base", self._features(points, "grid"))

    def _colour(self, features: Tensor, views: Tensor) -> Tensor:
        """(S, 3) in [0, 1] from geometry features and unit directions."""
        x = harmonics((views + 1) / 2 if self.geometry["directions"] == "halved" else views)
        parts = [x, features]
        if self._appearance is not None:
            parts.append(self._appearance.expand(len(x), -1))
        return torch.sigmoid(self._mlp("head", torch.cat(parts, -1)))

    def _mlp(self, stem: str, x: Tensor) -> Tensor:
        layers = self.count(stem)
        for number in range(layers):
            x = self.linear(f"{stem}.{number}", x)
            x = torch.relu(x) if number < layers - 1 else x
        return x

    def _proposal_density(self, number: int, points: Tensor) -> Tensor:
        flat = points.reshape(-1, 3)
        features = self._features(flat, f"proposal.{number}.grid")
        raw = self._mlp(f"proposal.{number}.net", features)[:, 0]
        return self._density(raw, flat).reshape(points.shape[:2])

    def _density(self, raw: Tensor, points: Tensor) -> Tensor:
        inside = ((self._place(points) > 0) & (self._place(points) < 1)).all(-1)
        return torch.exp(raw.clamp(-15, 15)) * float(self.geometry.get("density_scale", 1.0)) * inside

    def _features(self, points: Tensor, grid: str) -> Tensor:
        place = self._place(points)
        inside = ((place > 0) & (place < 1)).all(-1, keepdim=True)
        return _Lookup.apply(place * inside, self.tensors[grid], self.levels[grid])

    def _place(self, points: Tensor) -> Tensor:
        """Field axes to the grid's unit cube."""
        if self.geometry["contraction"] == "none":
            return (points - self._box[0]) / (self._box[1] - self._box[0])
        return (contract(points) + 2) / 4

    def _checked(self, name: str, geometry: Mapping[str, Any]) -> Levels:
        levels = levels_of(geometry)
        if self.tensors[name].ndim != 2 or len(self.tensors[name]) != levels.rows:
            raise ValueError(f"{name} has {len(self.tensors[name])} rows, its levels have {levels.rows}")
        return levels


def proposal_loss(history: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """How much of the field's histogram the proposals' do not cover, of (edges, weights) with the field's last.

    Barron et al. 2022 (Mip-NeRF 360), equations 12 and 13.
    """
    edges, weights = (t.detach() for t in history[-1])
    return sum((_uncovered(edges, weights, *coarse) for coarse in history[:-1]), torch.zeros(()))


def _uncovered(edges: Tensor, weights: Tensor, coarse_edges: Tensor, coarse_weights: Tensor) -> Tensor:
    sums = torch.cat([torch.zeros_like(coarse_weights[:, :1]), coarse_weights.cumsum(-1)], -1)
    last = coarse_edges.shape[1] - 1
    low = (torch.searchsorted(coarse_edges.contiguous(), edges[:, :-1].contiguous(), right=True) - 1).clamp(0, last)
    high = torch.searchsorted(coarse_edges.contiguous(), edges[:, 1:].contiguous(), right=True).clamp(0, last)
    bound = sums.gather(-1, high) - sums.gather(-1, low)
    return (torch.clamp(weights - bound, min=0) ** 2 / (weights + 1e-7)).mean()


def _moments(proposals: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """(R, 3) where the proposals see something: mass, mean and mean square of the spacing, summed over the networks."""
    total = []
    for edges, weights in proposals:
        s = 0.5 * (edges[:, 1:] + edges[:, :-1])
        total.append(torch.stack([weights.sum(-1), (weights * s).sum(-1), (weights * s * s).sum(-1)], -1))
    return torch.stack(total).sum(0)


def _weights(density: Tensor, lengths: Tensor) -> Tensor:
    """(R, S) transmittance times opacity."""
    depth = density * lengths
    before = torch.cumsum(torch.cat([torch.zeros_like(depth[:, :1]), depth[:, :-1]], -1), -1)
    return torch.exp(-before) * (1 - torch.exp(-depth))
