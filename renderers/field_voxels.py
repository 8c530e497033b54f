"""Sparse voxel grids: trilinear density and spherical harmonics, uniform steps, empty space left out."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.volume_math import Rays, Traced, harmonics

_FAINT = 1e-5  # blending weights below it change no 8-bit picture
_MOST_SAMPLES = 4096
_SIGNS = (1, -1, 1, -1, 1, -1, 1, -1, 1)  # from the basis of ``harmonics`` to that of 3DGS


class SparseGrid(FieldModel):
    """Values at the voxels of a mask, in a box, mixed trilinearly; where no voxel is near, there is nothing."""

    def _lay_out(self) -> int:
        """Find rows by place; returns how many voxels there are."""
        mask = self.tensors["mask"]
        if mask.ndim != 3 or min(mask.shape) < 1:
            raise ValueError(f"a mask of {tuple(mask.shape)}")
        self._size = torch.tensor(mask.shape)
        self._low, self._high = torch.tensor(self.geometry["box"], dtype=torch.float32)
        count = int(mask.sum())
        links = torch.full(tuple(n + 1 for n in mask.shape), -1, dtype=torch.long)
        links[:-1, :-1, :-1][mask] = torch.arange(count)
        self._links = links
        alive = torch.zeros(mask.shape, dtype=torch.bool)
        for dx in (0, 1):
            for dy in (0, 1):
                for dz in (0, 1):
                    shifted = links[dx : dx + mask.shape[0], dy : dy + mask.shape[1], dz : dz + mask.shape[2]]
                    alive |= shifted >= 0
        self._alive = alive
        return count

    @abstractmethod
    def _place(self, points: Tensor) -> Tensor:
        """Points (…, 3) in units of voxels, whole numbers where their values sit."""

    def _counts(self, points: Tensor) -> Tensor | bool:
        """Which points (…, 3) are worth a look, by anything but the mask."""
        return True

    def _live(self, points: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Where among (…, 3) points of the field's axes there is something; rows and shares (S, 8) of the voxels."""
        place = self._place(points)
        corner = place.floor().long()
        inside = ((corner >= 0) & (corner < self._size)).all(-1) & self._counts(points)
        x, y, z = corner.clamp(min=0).minimum(self._size - 1).unbind(-1)
        live = torch.nonzero(inside & self._alive[x, y, z], as_tuple=True)
        return live, *self._corners(corner[live], place[live])

    def _entry(self, origins: Tensor, along: Tensor) -> Tensor:
        """(R,) distance at which rays enter the box, zero from within."""
        slope = 1 / torch.where(along.abs() < 1e-9, torch.full_like(along, 1e-9), along)
        first, second = (self._low - origins) * slope, (self._high - origins) * slope
        return torch.minimum(first, second).amax(-1).clamp(min=0)

    def _corners(self, corner: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """(S, 8) rows of the voxels around (-1: none) and their trilinear shares."""
        share = place - corner
        rows, shares = [], []
        for dx in (0, 1):
            for dy in (0, 1):
                for dz in (0, 1):
                    rows.append(self._links[corner[:, 0] + dx, corner[:, 1] + dy, corner[:, 2] + dz])
                    axes = [share[:, k] if d else 1 - share[:, k] for k, d in enumerate((dx, dy, dz))]
                    shares.append(axes[0] * axes[1] * axes[2])
        return torch.stack(rows, -1), torch.stack(shares, -1)

    def _taken(self, name: str, rows: Tensor) -> Tensor:
        """Values of rows, zero for -1."""
        values = self.tensors[name][rows.clamp(min=0)]
        return values * (rows >= 0).reshape(*rows.shape, *[1] * (values.ndim - rows.ndim))


class VoxelModel(SparseGrid):
    """geometry: box, the grid's corners; bands; step, between samples, in cells; white; world, as for hash grids."""

    def prepare(self) -> None:
        g = self.geometry
        count, self._bands = self._lay_out(), int(g["bands"])
        if self.tensors["density"].shape != (count,) or self.tensors["sh"].shape != (count, 3 * self._bands):
            raise ValueError(f"{count} voxels of {self._bands} bands")
        self._cell = (self._high - self._low) / self._size
        self._step = float(g["step"]) * float(self._cell.min())
        reach = float(((self._high - self._low) ** 2).sum() ** 0.5)
        self._samples = min(int(reach / self._step) + 1, _MOST_SAMPLES)
        world = torch.tensor(g.get("world", torch.eye(4)[:3].tolist()), dtype=torch.float32)
        self._turn, self._move = world[:, :3], world[:, 3]

    def trace(self, rays: Rays, jitter: torch.Generator | None = None) -> Traced:
        origins = rays.origins @ self._turn.T + self._move
        along = rays.directions @ self._turn.T
        stretch = along.norm(dim=-1, keepdim=True)
        along = along / stretch
        t = self._entry(origins, along)[:, None] + self._step * (torch.arange(self._samples) + 0.5)
        if jitter is not None:
            t = t + self._step * (torch.rand(len(rays), 1, generator=jitter) - 0.5)
        live, rows, shares = self._live(self.snapped(origins[:, None] + along[:, None] * t[..., None]))
        density = torch.zeros(t.shape)
        density[live] = torch.relu((self._taken("density", rows) * shares).sum(-1))
        depth = density * self._step
        before = torch.cumsum(torch.cat([torch.zeros_like(depth[:, :1]), depth[:, :-1]], -1), -1)
        weights = torch.exp(-before) * (1 - torch.exp(-depth))
        shown = torch.nonzero(weights[live].detach() > _FAINT)[:, 0]
        rgb = self._colour(rows[shown], shares[shown], along[live[0][shown]])
        where = live[0][shown]
        total = torch.zeros_like(origins).index_add(0, where, weights[live][shown][:, None] * rgb)
        return Traced(total, weights.sum(-1), (weights * t / stretch).sum(-1))

    def ask(self, points: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        live, rows, shares = self._live(points @ self._turn.T + self._move)
        zoom = float(torch.linalg.det(self._turn).abs() ** (1 / 3))
        density, rgb = torch.zeros(len(points)), torch.zeros(len(points), 3)
        density = density.index_put(live, torch.relu((self._taken("density", rows) * shares).sum(-1)) * zoom)
        along = torch.nn.functional.normalize(views[live] @ self._turn.T, dim=-1)
        return density, rgb.index_put(live, self._colour(rows, shares, along))

    def _place(self, points: Tensor) -> Tensor:
        return (points - self._low) / self._cell - 0.5

    def _colour(self, rows: Tensor, shares: Tensor, views: Tensor) -> Tensor:
        mixed = (self._taken("sh", rows) * shares[..., None]).sum(1).reshape(-1, 3, self._bands)
        basis = harmonics(views)[:, : self._bands] * torch.tensor(_SIGNS[: self._bands])
        return torch.relu(0.5 + (mixed * basis[:, None]).sum(-1))
