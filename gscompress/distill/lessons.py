"""What a student learns from: rays with the colours they should have, and what the teacher says along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gscompress.camera import Camera
from gscompress.events import EventLog
from gscompress.field import Field
from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.field_points import asked
from gscompress.renderers.volume import trace_all
from gscompress.renderers.volume_math import Rays, blending_weights, rays_of, sample_by_weight, squeeze, stretch

LOWEST, HIGHEST = -5.0, 7.0
"""Log densities per unit are told apart within these: what is thinner is empty, what is denser opaque (the clamp of the
paper, without which a few huge densities are all that is learnt; its -2 lets a seventh of a ray's light be lost per
unit of empty space, which shows from where nobody looked)."""
_COARSE, _FINE = 48, 24
_PADDING = 0.02
_SIGMA = 0.15  # of the cameras' spread: how far rays are moved, per axis
_CHUNK = 512
_MOST_ASKED = 32768  # rays along which the teacher is asked


@dataclass(frozen=True)
class Lessons:
    """rays, colours (R, 3): all that is to be seen, on the student's background. For the first rays (L, S, …) of them,
    points, views, densities per unit (log, clamped), colours rgb and blending weights of what the teacher sees there.

    unit: world length of one unit. near, far: in world units, of what is asked. spans: (2, 3) box of what is seen.
    """

    rays: Rays
    colours: Tensor
    points: Tensor
    views: Tensor
    log_density: Tensor
    rgb: Tensor
    weights: Tensor
    unit: float
    near: float
    far: float
    spans: npt.NDArray[np.float64]


def lessons(
    teacher: Field,
    cameras: Sequence[Camera],
    *,
    photos: Sequence[npt.NDArray[np.uint8]] = (),
    most: int = 1 << 18,
    seed: int = 0,
    log: EventLog | None = None,
) -> Lessons:
    """Look at the teacher from ``cameras``, by at most ``most`` rays in random order; photos, where there are any, go
    before its own pictures. Raises UnreadableError, and UsageError for a teacher in normalised device coordinates."""
    log = log or EventLog()
    model = asked(teacher)
    rays = _every(cameras)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(rays)))
    order = order if len(photos) else order[:most]
    rays = rays.take(order)
    if len(photos):
        colours = torch.from_numpy(np.concatenate([p.reshape(-1, 3) for p in photos])).float()[order] / 255
    else:
        rays = _moved(rays, cameras, torch.Generator().manual_seed(seed))
        with log.phase("the teacher's pictures"):
            traced = trace_all(model, rays)
            colours = (traced.rgb + (1 - traced.alpha[:, None]) * float(model.white)).clamp(0, 1)
    near, far, unit = _reach(teacher, cameras)
    asked_rays = rays.take(slice(0, _MOST_ASKED))
    parts = []
    with log.phase("ask the teacher", len(asked_rays)) as tick, torch.no_grad():
        for start in range(0, len(asked_rays), _CHUNK):
            part = asked_rays.take(slice(start, start + _CHUNK))
            parts.append(_answers(model, part, (near, far, unit), torch.Generator().manual_seed(seed + start)))
            tick(len(part))
    points, views, density, rgb, weights = (torch.cat(column) for column in zip(*parts))
    return Lessons(rays, colours, points, views, density, rgb, weights, unit, near, far, _spans(points, weights))


def _every(cameras: Sequence[Camera]) -> Rays:
    every = [rays_of(camera) for camera in cameras]
    origins, directions = (torch.cat([getattr(r, name) for r in every]) for name in ("origins", "directions"))
    return Rays(origins, directions, every[0].window)


def _moved(rays: Rays, cameras: Sequence[Camera], noise: torch.Generator) -> Rays:
    """Half of the rays from places near the cameras: a teacher can be seen from anywhere, unlike a photo."""
    positions = np.array([camera.position for camera in cameras])
    spread = float(np.median(np.linalg.norm(positions - positions.mean(0), axis=1)))
    away = _SIGMA * spread * torch.randn(len(rays), 3, generator=noise)
    moved = torch.arange(len(rays))[:, None] % 2 == 0
    return Rays(rays.origins + away * moved, rays.directions, rays.window)


def _answers(
    model: FieldModel, rays: Rays, reach: tuple[float, float, float], jitter: torch.Generator
) -> tuple[Tensor, ...]:
    """points, views (R, S, 3), log densities (R, S), rgb, weights: places drawn half evenly, half by what is seen."""
    near, far, unit = reach
    first, last = (float(squeeze(torch.tensor(t / unit))) for t in (near, far))
    along = torch.nn.functional.normalize(rays.directions, dim=-1)

    def at(edges: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        t = stretch(first + edges * (last - first)) * unit
        middles, lengths = 0.5 * (t[:, 1:] + t[:, :-1]), t[:, 1:] - t[:, :-1]
        points = rays.origins[:, None] + along[:, None] * middles[..., None]
        views = along[:, None].expand(points.shape)
        density, rgb = model.ask(points.reshape(-1, 3), views.reshape(-1, 3))
        density = density.reshape(middles.shape)
        return points, views, density, rgb.reshape(points.shape), blending_weights(density, lengths)

    edges = torch.linspace(0, 1, _COARSE + 1).expand(len(rays), -1)
    edges = (edges + (torch.rand(len(rays), 1, generator=jitter) - 0.5) / _COARSE).clamp(0, 1)
    weights = at(edges)[-1]
    shares = torch.linspace(0, 1 - 1 / (_FINE + 1), _FINE + 1) + torch.rand(len(rays), 1, generator=jitter) / (
        _FINE + 1
    )
    points, views, density, rgb, weights = at(sample_by_weight(edges, weights + _PADDING, shares))
    log_density = torch.log((density * unit).clamp(min=1e-10)).clamp(LOWEST, HIGHEST)
    return points, views, log_density, rgb, weights


def _reach(teacher: Field, cameras: Sequence[Camera]) -> tuple[float, float, float]:
    """near, far and the unit of length, in world units."""
    geometry = teacher.spec.geometry
    zoom = 1.0
    if "world" in geometry:
        zoom = float(abs(np.linalg.det(np.asarray(geometry["world"], float)[:, :3])) ** (1 / 3))
    if "near" in geometry and "far" in geometry:
        near, far = float(geometry["near"]) / zoom, float(geometry["far"]) / zoom
        unit = 1 / zoom if geometry.get("contraction", "none") != "none" else (near + far) / 2
        return near, far, unit
    low, high = (np.asarray(corner, float) for corner in geometry["box"])
    size = float(np.linalg.norm(high - low)) / zoom
    centre = (low + high) / 2 / zoom
    reach = max(float(np.linalg.norm(camera.position - centre)) for camera in cameras)
    return max(reach - size / 2, 0.01 * size), reach + size / 2, size / 2


def _spans(points: Tensor, weights: Tensor) -> npt.NDArray[np.float64]:
    """(2, 3) box around what is seen, but for the outermost half percent of each side."""
    flat, mass = points.reshape(-1, 3).double().numpy(), weights.reshape(-1).double().numpy()
    out = np.empty((2, 3))
    for axis in range(3):
        order = np.argsort(flat[:, axis])
        shares = np.cumsum(mass[order]) / max(float(mass.sum()), 1e-30)
        low, high = np.searchsorted(shares, [0.005, 0.995])
        out[:, axis] = flat[order[low], axis], flat[order[min(high, len(order) - 1)], axis]
    pad = 0.05 * (out[1] - out[0]).max() + 1e-6
    return out + [[-pad], [pad]]
