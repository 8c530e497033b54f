"""Train a small nerfacto-type field from photos on the CPU, with torch and the numba hash kernel.

The recipe is nerfacto's (Tancik et al. 2023) with fewer samples and one proposal network: contracted space, a hash grid
and two small networks, a proposal network taught by the interlevel loss of Mip-NeRF 360, Adam with decaying rates.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gscompress.camera import Camera
from gscompress.events import EventLog
from gscompress.field import Field, Spec
from gscompress.hash_levels import levels_of, scales_of

_RATE, _LAST_RATE = 1e-2, 3e-4
_DIRECTIONS = 16  # spherical harmonics
_PROPOSAL = {"levels": 5, "base": 16, "finest": 64, "log2_size": 12}


@dataclass(frozen=True)
class Plan:
    """What to train. steps: at most; seconds: at most. rays per step. The rest is the field's geometry."""

    steps: int = 4000
    seconds: float = 400.0
    rays: int = 1024
    levels: int = 8
    log2_size: int = 15
    finest: int = 512
    hidden: int = 32
    features: int = 15
    samples: tuple[int, int] = (48, 24)
    seed: int = 0


def train(cameras: Sequence[Camera], photos: Sequence[Any], plan: Plan, log: EventLog) -> Field:
    """A field from photos, (H, W, 3) uint8 each, of these cameras."""
    import torch

    from gscompress.renderers.field_hash import HashModel, proposal_loss
    from gscompress.renderers.volume_math import Rays, rays_of

    torch.manual_seed(plan.seed)
    every = [rays_of(camera) for camera in cameras]
    rays = Rays(torch.cat([r.origins for r in every]), torch.cat([r.directions for r in every]), every[0].window)
    colours = torch.from_numpy(np.concatenate([photo.reshape(-1, 3) for photo in photos])).float() / 255
    model = HashModel(fresh(cameras, plan))
    optimiser = torch.optim.Adam(model.require_gradients(), lr=_RATE, eps=1e-15, fused=True)
    jitter = torch.Generator().manual_seed(plan.seed)
    started = time.perf_counter()
    with log.phase("train", plan.steps) as tick:
        for step in range(plan.steps):
            # In fiftieths, so that a run with time to spare depends on no clock.
            spent = int(50 * (time.perf_counter() - started) / plan.seconds) / 50
            done = max(step / plan.steps, spent)
            if done >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = _RATE * (_LAST_RATE / _RATE) ** done * min(1.0, (step + 1) / 20)
            chosen = torch.randint(len(rays), (plan.rays,), generator=jitter)
            traced, history = model.trace_with_proposals(rays.take(chosen), jitter)
            loss = ((traced.rgb - colours[chosen]) ** 2).mean() + proposal_loss(history)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            tick(1)
    tensors = {name: t.detach().numpy() for name, t in model.tensors.items()}
    return Field(tensors, _spec(cameras, plan), {"step": step})


def _spec(cameras: Sequence[Camera], plan: Plan) -> Spec:
    centres = np.stack([camera.position for camera in cameras])
    middle = centres.mean(0)
    scale = 1 / np.abs(centres - middle).max()
    world = np.concatenate([np.eye(3) * scale, -scale * middle[:, None]], 1)
    sizes = {"levels": plan.levels, "base": 16, "finest": plan.finest, "log2_size": plan.log2_size}
    geometry = {
        **sizes,
        "scales": scales_of({**sizes, "indexing": "nerfstudio"}),
        "indexing": "nerfstudio",
        "proposals": [{**_PROPOSAL, "scales": scales_of({**_PROPOSAL, "indexing": "nerfstudio"})}],
        "world": world.tolist(),
        "box": [[-1.0] * 3, [1.0] * 3],
        "contraction": "inf",
        "near": 0.05,
        "far": 1000.0,
        "samples": list(plan.samples),
        "directions": "halved",
        "density_scale": 1.0,
        "background": "last",
    }
    return Spec("hash_grid", "nerfacto", geometry)


def fresh(cameras: Sequence[Camera], plan: Plan) -> Field:
    """A field with the initial values of nerfstudio's torch implementation."""
    spec, rng = _spec(cameras, plan), np.random.default_rng(plan.seed)
    tensors: dict[str, Any] = {"grid": rng.uniform(-1e-3, 1e-3, (levels_of(spec.geometry).rows, 2))}
    _add_layers(rng, tensors, "base", [2 * plan.levels, plan.hidden, 1 + plan.features])
    _add_layers(rng, tensors, "head", [_DIRECTIONS + plan.features, plan.hidden, plan.hidden, 3])
    for k, proposal in enumerate(spec.geometry["proposals"]):
        rows = levels_of({**proposal, "indexing": "nerfstudio"}).rows
        tensors[f"proposal.{k}.grid"] = rng.uniform(-1e-3, 1e-3, (rows, 2))
        _add_layers(rng, tensors, f"proposal.{k}.net", [2 * proposal["levels"], 16, 1])
    return Field({name: a.astype(np.float32) for name, a in tensors.items()}, spec)


def _add_layers(rng: np.random.Generator, tensors: dict[str, Any], stem: str, widths: Sequence[int]) -> None:
    for k, (inner, outer) in enumerate(pairwise(widths)):
        bound = inner**-0.5  # PyTorch's default
        tensors[f"{stem}.{k}.weight"] = rng.uniform(-bound, bound, (outer, inner))
        tensors[f"{stem}.{k}.bias"] = rng.uniform(-bound, bound, outer)
