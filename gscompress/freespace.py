"""Where a scene is solid and where it is air: surface samples and a coarse extinction grid to look through.

Everything is measured by ``opacity * area``, so that a floater (faint or tiny) weighs next to nothing and a million
Gaussians cost no more than a thousand. Positions are in the scene's own units, axes right-down-forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError
from gscompress.frame import quat_to_matrix
from gscompress.scene import Splats

F64 = npt.NDArray[np.float64]
SAMPLES = 150_000
CELLS = 96
FAR = 12.0
"""Rays end at this many radii; the grid itself is unbounded (contracted)."""
EDGE_ON = 0.6
"""Mean of |cos| between a disc's normal and the rays that meet it, so extinction needs no direction."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Monte Carlo samples of the scene's surfaces, each standing for the same ``area`` (scene units squared).

    points: (M, 3). normals: (M, 3) shortest axis of the Gaussian each came from. flatness: (M,) shortest over middle
    axis, 0 for a disc. detail: (D, 3) centres drawn by opacity squared: dense where the trainer spent its Gaussians.
    """

    points: F64
    normals: F64
    flatness: F64
    area: float
    detail: F64


def sample(splats: Splats, rng: np.random.Generator, detail: int = 1200) -> Surface:
    """Draw surface samples. Raises UsageError for a scene without a visible Gaussian."""
    opacity = _opacities(splats)
    scales = np.exp(np.clip(splats.log_scales.astype(np.float64), -40, 20))
    ordered = np.sort(scales, axis=1)
    weight = opacity * ordered[:, 1] * ordered[:, 2]
    if not weight.sum() > 0:
        raise UsageError("the scene has no visible Gaussian, so no camera can be placed: give --cameras")
    rows = _draw(weight, SAMPLES, rng)
    turns = quat_to_matrix(splats.quats[rows])
    spread = np.einsum("nij,nj->ni", turns, rng.normal(size=(SAMPLES, 3)) * scales[rows])
    thin = np.argmin(scales[rows], axis=1)
    return Surface(
        splats.means[rows] + spread,
        np.take_along_axis(turns, thin[:, None, None], axis=2)[..., 0],
        ordered[rows, 0] / ordered[rows, 1],
        float(2 * np.pi * weight.sum() / SAMPLES),
        splats.means[_draw(opacity**2, detail, rng)].astype(np.float64),
    )


def _opacities(splats: Splats) -> F64:
    """(N,) opacity, zero for rows with values that are not finite."""
    opacity = 1 / (1 + np.exp(-np.clip(splats.logit_opacities.astype(np.float64), -40, 40)))
    fine = np.isfinite(splats.means).all(axis=1) & np.isfinite(splats.log_scales).all(axis=1)
    return np.where(fine & np.isfinite(opacity), opacity, 0.0)


def _draw(weight: F64, count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """``count`` row indices with probability proportional to ``weight`` (stratified, so less noisy than choice)."""
    total = np.cumsum(weight)
    picks = (np.arange(count) + rng.random(count)) / count * total[-1]
    return np.minimum(np.searchsorted(total, picks, side="right"), len(weight) - 1)


class Air:
    """Extinction on a grid that is uniform within ``radius`` of ``centre`` and contracted to infinity beyond.

    Per axis u = x / radius, contracted to 2 - 1/|u| outside [-1, 1] (Barron et al. 2022, applied axis by axis so
    that cells stay boxes).
    """

    def __init__(self, surface: Surface, centre: F64, radius: float) -> None:
        self.centre, self.radius = centre, radius
        edges = np.linspace(-2, 2, CELLS + 1)
        stretched = np.sign(edges) / np.maximum(2 - np.abs(edges), 0.25 / CELLS)
        walls = np.where(np.abs(edges) <= 1, edges, stretched) * radius
        self.width = np.diff(walls)
        cells = self._cells(surface.points)
        count = np.bincount(np.ravel_multi_index(cells, (CELLS,) * 3), minlength=CELLS**3).reshape((CELLS,) * 3)
        volume = self.width[:, None, None] * self.width[None, :, None] * self.width
        self.extinction = (EDGE_ON * surface.area * count / volume).astype(np.float32)

    def _cells(self, points: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], ...]:
        u = (points - self.centre) / self.radius
        size = np.abs(u)
        u = np.where(size > 1, np.sign(u) * (2 - 1 / np.maximum(size, 1)), u)
        index = np.clip(((u + 2) * (CELLS / 4)).astype(np.intp), 0, CELLS - 1)
        return tuple(np.moveaxis(index, -1, 0))

    def look(self, eye: F64, directions: F64, steps: int = 96) -> tuple[F64, F64]:
        """March rays outwards. Returns (steps,) distances of the step ends and (rays, steps) transmittance there."""
        ends = np.geomspace(0.03, FAR, steps + 1) * self.radius
        middle = (ends[1:] + ends[:-1]) / 2
        cells = self._cells(eye + directions[:, None] * middle[:, None])
        depth = np.cumsum(self.extinction[cells] * np.diff(ends), axis=1)
        return ends[1:], np.exp(-depth)

    def sees(self, eye: F64, targets: F64, steps: int = 48) -> F64:
        """(T,) transmittance from ``eye`` to just before each of ``targets`` (T, 3)."""
        along = targets - eye
        distance = np.linalg.norm(along, axis=1)
        margin = 2 * self.width[np.stack(self._cells(targets))].max(axis=0)
        reach = np.maximum(distance - margin, 0) / np.maximum(distance, 1e-12)
        at = (np.arange(steps) + 0.5) / steps * reach[:, None]
        cells = self._cells(eye + along[:, None] * at[..., None])
        return np.exp(-(self.extinction[cells].sum(axis=1) * distance * reach / steps))
