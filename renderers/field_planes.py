"""VM planes: density and colour features as sums of planes times lines (Chen et al. 2022, "TensoRF").

Bounded fields are marched in even steps as TensoRF does, empty cells of its mask left out. Contracted ones, which
TensoRF has not, are sampled twice: evenly in spacing for density, then where that density is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gscompress.kernels.plane_lookup import PLANES, Axes, lookup, pull_back
from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.volume_math import (
    Rays,
    Traced,
    blending_weights,
    contract,
    harmonics,
    sample_by_weight,
    squeeze,
    stretch,
    to_ndc,
    waves,
)

SHADINGS = ("MLP_Fea", "MLP", "SH", "RGB")
_MOST_SAMPLES, _MOST_FREQUENCIES = 4096, 24
_SIGNS = (1, -1, 1, -1, 1, -1, 1, -1, 1)  # from the basis of ``harmonics`` to that of 3DGS, which TensoRF shares
_PADDING = 0.01  # added to weights before they are sampled from


class _Product(torch.autograd.Function):
    """``kernels.plane_lookup`` for autograd; places get no gradient."""

    @staticmethod
    def forward(ctx: Any, places: Tensor, plane: Tensor, line: Tensor, axes: Axes) -> Tensor:
        ctx.places, ctx.axes = places, axes
        ctx.save_for_backward(plane, line)
        return torch.from_numpy(lookup(places.numpy(), axes, plane.detach().numpy(), line.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor, None]:
        plane, line = (t.detach().numpy() for t in ctx.saved_tensors)
        d_plane, d_line = pull_back(ctx.places.numpy(), ctx.axes, plane, line, grads[0].numpy())
        return None, torch.from_numpy(d_plane), torch.from_numpy(d_line), None


class PlanesModel(FieldModel):
    """geometry: box; contraction "none" or "inf"; world, as for hash grids; near, far; step, between samples, in cells
    of the mean size, or samples (coarse, fine) where contracted; ndc; activation "softplus", "relu" or "exp", shift,
    scale (of distances); shading, frequencies (view, feature); faint, blending weights below which no colour is worked
    out; mask_box; white.
    """

    def prepare(self) -> None:
        g = self.geometry
        self._box = torch.tensor(g["box"], dtype=torch.float32)
        self._open = g.get("contraction", "none") == "inf"
        world = torch.tensor(g.get("world", torch.eye(4)[:3].tolist()), dtype=torch.float32)
        self._turn, self._move = world[:, :3], world[:, 3]
        self._zoom = float(torch.linalg.det(self._turn).abs() ** (1 / 3))
        sizes = [len(self.tensors[f"density.line.{k}"]) for k in (2, 1, 0)]
        self._size = torch.tensor(sizes)
        for kind in ("density", "colour"):
            for k, (a, b, c) in enumerate(PLANES):
                plane, line = self.tensors[f"{kind}.plane.{k}"], self.tensors[f"{kind}.line.{k}"]
                if plane.shape != (sizes[b], sizes[a], line.shape[1]) or line.ndim != 2 or len(line) != sizes[c]:
                    raise ValueError(f"{kind} plane {k} is {tuple(plane.shape)}, its line {tuple(line.shape)}")
        if g["shading"] not in SHADINGS or g["activation"] not in ("softplus", "relu", "exp"):
            raise ValueError(f"shading {g['shading']!r:.20}, activation {g['activation']!r:.20}")
        self._view, self._feature = (min(max(int(n), 0), _MOST_FREQUENCIES) for n in g["frequencies"])
        span = self._box[1] - self._box[0]
        self._step = float((span / (self._size - 1).clamp(min=1)).mean()) * float(g["step"])
        if not (self._step > 0 and (span > 0).all() and min(sizes) >= 1):
            raise ValueError("the box is empty")
        self._count = min(int(float((span**2).sum() ** 0.5) / self._step) + 1, _MOST_SAMPLES)
        self._coarse, self._fine = (min(max(int(n), 2), _MOST_SAMPLES) for n in g.get("samples", (2, 2)))
        self._mask = self._alive(self.tensors.get("occupancy"))
        probe = torch.zeros(1, 3)
        self._density(probe)
        self._colour(probe, probe)

    def ask(self, points: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        places = self._place(self._inner(points @ self._turn.T + self._move))
        shown = torch.nn.functional.normalize(views @ self._turn.T, dim=-1)
        return self._density(places) * self._zoom, self._colour(places, shown)

    def trace(self, rays: Rays, jitter: torch.Generator | None = None) -> Traced:
        if self.geometry.get("ndc"):
            rays = to_ndc(rays)
        origins = rays.origins @ self._turn.T + self._move
        along = rays.directions @ self._turn.T
        length = along.norm(dim=-1, keepdim=True)
        views = along / length
        if not self.geometry.get("ndc"):
            along = views
        t, lengths = self._resampled(origins, along, jitter) if self._open else self._marched(origins, along, jitter)
        if self.geometry.get("ndc"):
            lengths = lengths * length
        points = self._inner(self.snapped(origins[:, None] + along[:, None] * t[..., None]))
        places = self._place(points)
        live = torch.nonzero(self._shown(points), as_tuple=True)
        density = torch.zeros(t.shape).index_put(live, self._density(places[live]))
        weights = blending_weights(density, lengths)
        bright = weights.detach()[live] > float(self.geometry["faint"])
        rows, columns = live[0][bright], live[1][bright]
        rgb = self._colour(places[rows, columns], views[rows])
        total = torch.zeros_like(origins).index_add(0, rows, weights[rows, columns][:, None] * rgb)
        return Traced(total, weights.sum(-1), (weights * t / length).sum(-1))

    def _marched(self, origins: Tensor, along: Tensor, jitter: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Distances (R, S) and lengths as TensoRF takes them: from the box on in even steps, the last one empty."""
        near, far = float(self.geometry["near"]), float(self.geometry["far"])
        if self.geometry.get("ndc"):
            t = torch.linspace(near, far, self._count).expand(len(origins), -1)
            step = (far - near) / self._count
        else:
            slope = torch.where(along == 0, torch.full_like(along, 1e-6), along)
            sides = torch.minimum((self._box[0] - origins) / slope, (self._box[1] - origins) / slope)
            start = sides.amax(-1, keepdim=True).clamp(near, far)
            t, step = start + self._step * torch.arange(self._count), self._step
        if jitter is not None:
            t = t + step * torch.rand(len(origins), 1, generator=jitter)
        return t, torch.cat([t[:, 1:] - t[:, :-1], torch.zeros_like(t[:, :1])], -1)

    def _resampled(self, origins: Tensor, along: Tensor, jitter: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Middles (R, S) and lengths of stretches that each hold about as much of what is seen."""
        first, last = (squeeze(torch.tensor(float(self.geometry[k]))) for k in ("near", "far"))
        edges = torch.linspace(0, 1, self._coarse + 1).expand(len(origins), -1)
        offset: float | Tensor = 0.5
        if jitter is not None:
            edges = (edges + (torch.rand(len(origins), 1, generator=jitter) - 0.5) / self._coarse).clamp(0, 1)
            offset = torch.rand(len(origins), 1, generator=jitter)
        with torch.no_grad():
            t = stretch(edges * last + (1 - edges) * first)
            middles = 0.5 * (t[:, 1:] + t[:, :-1])
            places = self._place(self._inner(origins[:, None] + along[:, None] * middles[..., None]))
            density = self._density(places.reshape(-1, 3)).reshape(middles.shape)
            weights = blending_weights(density, t[:, 1:] - t[:, :-1])
            shares = torch.linspace(0, 1 - 1 / (self._fine + 1), self._fine + 1).expand(len(origins), -1)
            finer = sample_by_weight(edges, weights + _PADDING, shares + offset / (self._fine + 1))
            t = stretch(finer * last + (1 - finer) * first)
        return 0.5 * (t[:, 1:] + t[:, :-1]), t[:, 1:] - t[:, :-1]

    def _inner(self, points: Tensor) -> Tensor:
        return contract(points) if self._open else points

    def _place(self, points: Tensor) -> Tensor:
        """The box to [0, 1]."""
        return ((points - self._box[0]) / (self._box[1] - self._box[0])).contiguous()

    def _shown(self, points: Tensor) -> Tensor:
        """Which points are in the box and in live cells of the mask."""
        inside = ((points >= self._box[0]) & (points <= self._box[1])).all(-1)
        if self._mask is None:
            return inside
        low, high = self._mask_box
        size = torch.tensor(self._mask.shape).flip(0)
        at = ((points - low) / (high - low) * (size - 2)).floor().long() + 1
        cell = at.clamp(min=0).minimum(size - 1)
        known = ((at >= 0) & (at < size)).all(-1)
        return inside & known & self._mask[cell[..., 2], cell[..., 1], cell[..., 0]]

    def _alive(self, mask: Tensor | None) -> Tensor | None:
        """(Z + 1, Y + 1, X + 1) cells of a mask of samples (Z, Y, X) that have any live corner, one beyond each end."""
        if mask is None:
            return None
        low, high = torch.tensor(self.geometry.get("mask_box", self.geometry["box"]), dtype=torch.float32)
        if mask.ndim != 3 or min(mask.shape) < 2 or not (high > low).all():
            raise ValueError(f"a mask of {tuple(mask.shape)}")
        self._mask_box = low, high
        alive = torch.nn.functional.pad(mask.float()[None, None], (1,) * 6)
        return torch.nn.functional.max_pool3d(alive, 2, stride=1)[0, 0] > 0

    def _products(self, kind: str, places: Tensor) -> list[Tensor]:
        return [
            _Product.apply(places, self.tensors[f"{kind}.plane.{k}"], self.tensors[f"{kind}.line.{k}"], axes)
            for k, axes in enumerate(PLANES)
        ]

    def _density(self, places: Tensor) -> Tensor:
        """(S,) per unit length of the field."""
        feature = torch.stack([p.sum(-1) for p in self._products("density", places.reshape(-1, 3))]).sum(0)
        if self.geometry["activation"] == "relu":
            density = torch.relu(feature)
        else:
            feature = feature + float(self.geometry["shift"])
            exponential = self.geometry["activation"] == "exp"
            density = torch.exp(feature.clamp(-15, 15)) if exponential else torch.nn.functional.softplus(feature)
        return density * float(self.geometry["scale"])

    def _colour(self, places: Tensor, views: Tensor) -> Tensor:
        """(S, 3) from places in [0, 1] and unit directions."""
        features = self.linear("basis", torch.cat(self._products("colour", places.contiguous()), -1))
        shading = self.geometry["shading"]
        if shading == "RGB":
            return features
        if shading == "SH":
            basis = harmonics(views)[:, : features.shape[1] // 3]
            signed = basis * torch.tensor(_SIGNS[: basis.shape[1]])
            return torch.relu(0.5 + (features.reshape(len(features), 3, basis.shape[1]) * signed[:, None]).sum(-1))
        x = [features, views]
        if shading == "MLP_Fea" and self._feature:
            x.append(waves(features, self._feature))
        if self._view:
            x.append(waves(views, self._view))
        hidden = torch.cat(x, -1)
        for number in range(2):
            hidden = torch.relu(self.linear(f"head.{number}", hidden))
        return torch.sigmoid(self.linear("head.2", hidden))
