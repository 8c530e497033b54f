"""Fit a Plenoxels-type voxel grid to the training photos of a dataset, starting from a hash-grid field of the same.

    python scripts/train_voxels.py DATASET step-000004000.ckpt voxels.npz --width 165 --seconds 600

Voxels lie where the field's rays end, and around. Densities and colours are read off the field at their centres, then
fitted to the photos by Adam, with total variation as Plenoxels has: densities and spherical
harmonics of degree 2, before white.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gscompress.camera import Camera
from gscompress.cli.console import progress
from gscompress.datasets import load_views
from gscompress.datasets.view import View
from gscompress.events import EventLog
from gscompress.field import Field, Spec
from gscompress.formats.fields import read_field, write_field
from gscompress.metrics import eight_bit, psnr
from gscompress.renderers.field_hash import HashModel
from gscompress.renderers.volume import VolumeRenderer, model_of, trace_all
from gscompress.renderers.volume_math import Rays, rays_of

_BANDS = 9
_RATES = {"density": 0.03, "sh": 6e-3}  # learning rates; the first in optical depths of a cell
_LAST = 0.05
_SMOOTH = {"density": 2e-3, "sh": 2e-4}  # weights of total variation, over neighbours' mean squared difference
_PAIRS = 40_000  # neighbours that a step looks at
_LOOKS = 200_000  # rays that look for surfaces
_DARKEST = 12.0  # optical depth of a cell to start with
_SH0 = 0.28209479177387814
_CHUNK = 1 << 17


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("field", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=165, help="pixels")
    parser.add_argument("--side", type=int, default=160, help="cells along the box's longest side")
    parser.add_argument("--reach", type=float, default=1.7, help="half of that side, in units of the field's cube")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rays", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=600.0)
    wishes = parser.parse_args()
    with progress() as log:
        views = load_views(wishes.data, width=wishes.width, log=log)
        seen = [view for view in views if view.split == "train"]
        field = _start(read_field(wishes.field, log), [v.camera for v in seen], wishes.side, wishes.reach)
        print(f"{len(field.tensors['density']):,} of {field.tensors['mask'].size:,} voxels, before fitting", flush=True)
        test = [view for view in views if view.split == "test"]
        print(f"held-out PSNR {_score(field, test):.2f} dB", flush=True)
        field = _fitted(field, seen, wishes.steps, wishes.rays, wishes.seconds, log)
        write_field(field, wishes.out)
        print(f"{field.weights:,} weights, held-out PSNR {_score(field, test):.2f} dB")


def _score(field: Field, views: Sequence[View]) -> float:
    renderer = VolumeRenderer()
    return float(np.mean([psnr(v.image, eight_bit(renderer.render(field, v.camera).rgb)) for v in views]))


def _start(teacher: Field, cameras: Sequence[Camera], side: int, reach: float) -> Field:
    """Voxels with the teacher's densities, and its colours as seen from the nearest camera."""
    model = model_of(teacher)
    if not isinstance(model, HashModel):
        raise SystemExit("the field to start from must be a hash grid")
    world = np.asarray(teacher.spec.geometry["world"])
    scale, move = float(world[0, 0]), world[:, 3]
    low, high = (-reach - move) / scale, (reach - move) / scale
    axes = [a + (b - a) * (np.arange(side) + 0.5) / side for a, b in zip(low, high)]
    eyes = torch.tensor(np.stack([camera.position for camera in cameras]), dtype=torch.float32)
    cell = float((high - low)[0]) / side
    density, rgb = np.zeros(side**3, np.float32), np.zeros((side**3, 3), np.float32)
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    for start in range(0, len(centres), _CHUNK):
        rows = slice(start, start + _CHUNK)
        points = torch.from_numpy(centres[rows])
        away = points - eyes[torch.cdist(points, eyes).argmin(1)]
        away = away / away.norm(dim=-1, keepdim=True)
        with torch.no_grad():
            sigma, colour = model.at(points * scale + torch.from_numpy(move).float(), away)
        density[rows], rgb[rows] = np.minimum(sigma.numpy() * scale, _DARKEST / cell), colour.numpy()
    mask = _around(_hit(model, cameras, low, cell, side))
    chosen = mask.reshape(-1)
    sh = np.zeros((np.count_nonzero(mask), 3, _BANDS), np.float32)
    sh[:, :, 0] = (rgb[chosen] - 0.5) / _SH0
    geometry = {"box": [low.tolist(), high.tolist()], "bands": _BANDS, "step": 0.5, "white": True}
    tensors = {"mask": mask, "density": density[chosen], "sh": sh.reshape(len(sh), -1)}
    return Field(tensors, Spec("voxels", "plenoxels", geometry))


def _hit(model: HashModel, cameras: Sequence[Camera], low: np.ndarray, cell: float, side: int) -> np.ndarray:
    """(side, side, side) cells where a ray ends, on average."""
    every = [rays_of(camera) for camera in cameras]
    origins, directions = torch.cat([r.origins for r in every]), torch.cat([r.directions for r in every])
    chosen = torch.randperm(len(origins), generator=torch.Generator().manual_seed(0))[:_LOOKS]
    seen = np.zeros((side,) * 3, bool)
    rays = Rays(origins[chosen], directions[chosen], every[0].window)
    hits = rays.origins + rays.directions * trace_all(model, rays).depth[:, None]
    place = ((hits.numpy() - low) / cell).astype(np.int64)
    seen[tuple(place[((place >= 0) & (place < side)).all(1)].T)] = True
    return seen


def _around(mask: np.ndarray) -> np.ndarray:
    """The cells and their 26 neighbours."""
    out = mask.copy()
    for axis in range(3):
        before = out.copy()
        for shift in (-1, 1):
            moved = np.roll(before, shift, axis)
            edge: list[int | slice] = [slice(None)] * 3
            edge[axis] = 0 if shift == 1 else -1
            moved[tuple(edge)] = False
            out |= moved
    return out


def _fitted(field: Field, views: Sequence[View], steps: int, batch: int, seconds: float, log: EventLog) -> Field:
    every = [rays_of(view.camera) for view in views]
    rays = Rays(torch.cat([r.origins for r in every]), torch.cat([r.directions for r in every]), every[0].window)
    colours = torch.from_numpy(np.concatenate([view.image.reshape(-1, 3) for view in views])).float() / 255
    model = model_of(field)
    model.require_gradients()
    optimiser = torch.optim.Adam([{"params": [model.tensors[n]], "name": n} for n in _RATES], eps=1e-15, fused=True)
    low, high = np.asarray(field.spec.geometry["box"])
    cell = float((high - low)[0]) / field.tensors["mask"].shape[0]
    units = {"density": 1 / cell, "sh": 1.0}
    pairs = torch.from_numpy(_neighbours(field.tensors["mask"]))
    generator, started = torch.Generator().manual_seed(0), time.perf_counter()
    with log.phase("fit voxels", steps) as tick:
        for step in range(steps):
            done = max(step / steps, (time.perf_counter() - started) / seconds)
            if done >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = units[group["name"]] * _RATES[group["name"]] * _LAST**done
            chosen = torch.randint(len(rays), (batch,), generator=generator)
            optimiser.zero_grad()
            loss = _loss(model.trace(rays.take(chosen), generator), colours[chosen])
            some = pairs[torch.randint(len(pairs), (_PAIRS,), generator=generator)]
            for name, weight in _SMOOTH.items():
                value = model.tensors[name]
                loss = loss + weight / units[name] ** 2 * ((value[some[:, 0]] - value[some[:, 1]]) ** 2).sum() / _PAIRS
            loss.backward()
            optimiser.step()
            tick(1)
    tensors = {name: t.detach().numpy() for name, t in model.tensors.items()}
    return replace(field, tensors=tensors, meta={"step": step})


def _neighbours(mask: np.ndarray) -> np.ndarray:
    """(P, 2) rows of voxels that share a face."""
    links = np.full(mask.shape, -1, np.int64)
    links[mask] = np.arange(np.count_nonzero(mask))
    whole = [np.moveaxis(links, axis, 0) for axis in range(3)]
    both = np.concatenate([np.stack([a[:-1].ravel(), a[1:].ravel()], 1) for a in whole])
    return both[(both >= 0).all(1)]


def _loss(traced: object, colours: Tensor) -> Tensor:
    shown = traced.rgb + (1 - traced.alpha[:, None])  # type: ignore[attr-defined]
    return ((shown - colours) ** 2).mean()


if __name__ == "__main__":
    main()
