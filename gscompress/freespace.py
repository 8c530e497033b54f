"""Where a scene is solid and where it is air: surface samples and a coarse extinction grid to look through.

Everything is measured by ``opacity * area``, so that a floater (faint or tiny) weighs next to nothing and a million
Gaussians cost no more than a thousand. Positions are in the scene's own units, axes right-down-forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from gscompress.errors import UsageError
from gscompress.frame import quat_to_matrix
from gscompress.scene import Splats

F64 = npt.NDArray[np.float64]
SAMPLES = 150_000
CELLS = 96
FAR = 12.0
"""Radii that a ray is followed to find out whether there is a background; the grid itself is unbounded."""
INFINITY = 1.999
"""Bent coordinate that stands for anything further out: inside the last cell."""
OPAQUE = 8.0
"""Optical depth at which a ray has ended."""
EDGE_ON = 0.6
"""Mean of |cos| between a disc's normal and the rays that meet it, so extinction needs no direction."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Monte Carlo samples of the scene's surfaces, each standing for the same ``area`` (scene units squared).

    points: (M, 3). normals: (M, 3) shortest axis of the Gaussian each came from. flatness: (M,) shortest over middle
    axis, 0 for a disc. detail: (D, 3) centres drawn by opacity: dense where the trainer spent its Gaussians.
    """

    points: F64
    normals: F64
    flatness: F64
    area: float
    detail: F64


def sample(splats: Splats, rng: np.random.Generator, detail: int = 800) -> Surface:
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
        splats.means[_draw(opacity, detail, rng)].astype(np.float64),
    )


def _opacities(splats: Splats) -> F64:
    """(N,) opacity, zero for rows with values that are not finite."""
    opacity = 1 / (1 + np.exp(-np.clip(splats.logit_opacities.astype(np.float64), -40, 40)))
    fine = np.isfinite(splats.means).all(axis=1) & np.isfinite(splats.log_scales).all(axis=1)
    fine &= np.isfinite(splats.quats).all(axis=1)
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
        self.extinction = (EDGE_ON * surface.area * count / volume).astype(np.float32).ravel()

    def _cells(self, points: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], ...]:
        u = (points - self.centre) / self.radius
        size = np.abs(u)
        u = np.where(size > 1, np.sign(u) * (2 - 1 / np.maximum(size, 1)), u)
        index = np.clip(((u + 2) * (CELLS / 4)).astype(np.intp), 0, CELLS - 1)
        return tuple(np.moveaxis(index, -1, 0))

    def between(self, eye: F64, ends: F64) -> F64:
        """(T,) transmittance from ``eye`` to each of ``ends`` (T, 3)."""
        scaled = (ends - self.centre) / self.radius
        return _transmittance(self.extinction, (eye - self.centre) / self.radius, scaled, self.radius)

    def ahead(self, eye: F64, directions: F64, radii: float) -> F64:
        """(T,) transmittance from ``eye`` over ``radii`` radii along each of ``directions`` (T, 3)."""
        return self.between(eye, eye + directions * (radii * self.radius))

    def sees(self, eye: F64, points: F64) -> F64:
        """(T,) transmittance from ``eye`` to just before each of the surface ``points`` (T, 3)."""
        along = points - eye
        margin = 2 * self.width[np.stack(self._cells(points))].max(axis=0)
        reach = np.maximum(1 - margin / np.maximum(np.linalg.norm(along, axis=1), 1e-300), 0)
        return self.between(eye, eye + along * reach[:, None])


@njit(cache=True, error_model="numpy", inline="always")
def _bend(u: float) -> Any:
    """Contract one axis: the bent coordinate in (-2, 2), and how many times wider cells are there."""
    size = abs(u)
    if size <= 1:
        return u, 1.0
    return math.copysign(min(2 - 1 / size, INFINITY), u), size * size


@njit(cache=True, error_model="numpy")
def _transmittance(extinction: Any, eye: Any, ends: Any, radius: float) -> Any:
    """Ray march in units of the radius; a step is never longer than the cell it is in, so no wall is jumped over.

    extinction: (CELLS^3,) float32 per scene unit. eye (3,), ends (T, 3). Returns (T,) float64.
    """
    out = np.empty(len(ends))
    cell = 4 / CELLS
    for i in range(len(ends)):
        dx, dy, dz = ends[i, 0] - eye[0], ends[i, 1] - eye[1], ends[i, 2] - eye[2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        at, depth = 0.0, 0.0
        while at < length and depth < OPAQUE:
            share = at / length
            x, wide_x = _bend(eye[0] + share * dx)
            y, wide_y = _bend(eye[1] + share * dy)
            z, wide_z = _bend(eye[2] + share * dz)
            place = (int((x + 2) / cell) * CELLS + int((y + 2) / cell)) * CELLS + int((z + 2) / cell)
            step = min(cell * min(wide_x, wide_y, wide_z), length - at)
            depth += extinction[place] * step * radius
            at += step
        out[i] = math.exp(-depth)
    return out
