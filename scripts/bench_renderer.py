"""Time the CPU renderer beside a plain torch rasterizer: ms per frame, forward and forward + backward.

    python scripts/bench_renderer.py                                  # synthetic scenes, 50k/150k/500k, two sizes
    python scripts/bench_renderer.py --scene S.ply --cameras C.json   # a real scene at its cameras' own size
    python scripts/bench_renderer.py --threads 1 --torch-share 0      # one core, without torch

Figures are the minimum over the repeats (mean over the cameras): wall-clock, and in brackets the CPU time of all
threads, which other load on the machine disturbs less. torch runs once, on one thread and on an even sample of the
tiles (``--torch-share``); its CPU time is scaled to the whole frame, and the ratios are of CPU times.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from gscompress.camera import Camera
from gscompress.datasets import load_cameras
from gscompress.formats import read
from gscompress.renderers.base import F32, Image
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene, Splats


class Times(NamedTuple):
    """Milliseconds per frame."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:7.1f} ({self.cpu:7.1f})"


SIZES = ((480, 270), (960, 540))
COUNTS = (50_000, 150_000, 500_000)


def synthetic(n: int, seed: int = 0) -> Scene:
    """n flat Gaussians on three wavy sheets that fill the view, sizes and opacities spread as in trained scans."""
    rng = np.random.default_rng(seed)
    depth = rng.choice([3.0, 4.0, 6.0], n)
    across, down = rng.uniform(-0.62, 0.62, n) * depth, rng.uniform(-0.36, 0.36, n) * depth
    depth = depth + 0.3 * np.sin(3 * across) * np.cos(4 * down) + rng.normal(0, 0.02, n)
    spacing = depth * np.sqrt(1.24 * 0.72 / (n / 3))
    log_scales = np.log(0.6 * spacing)[:, None] + rng.normal(0, 0.6, (n, 3)) - [0, 0, 2]
    sh = rng.normal(0, 0.1, (n, 16, 3))
    sh[:, 0] = rng.normal(0.3, 0.8, (n, 3))
    quats = rng.normal(0, 0.3, (n, 4)) + np.eye(4)[0]
    logits = np.where(rng.random(n) < 0.5, rng.normal(-2.5, 1, n), rng.normal(2, 1.5, n))
    means = np.stack([across, down, depth], 1)
    return Scene(Splats(*map(np.float32, (means, log_scales, quats, logits, sh))))  # type: ignore[arg-type]


def frontal(width: int, height: int) -> Camera:
    return Camera(width, height, 0.8 * width, 0.8 * width, width / 2, height / 2, np.eye(4))


def best(call: Callable[[], object], repeats: int) -> Times:
    """Least wall-clock and least CPU milliseconds of ``repeats`` calls."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Times(1e3 * min(walls), 1e3 * min(cpus))


def mean(times: list[Times]) -> Times:
    return Times(*(sum(column) / len(column) for column in zip(*times)))


def time_cpu(renderer: CpuRenderer, scene: Scene, cameras: list[Camera], repeats: int) -> tuple[Times, Times]:
    """Forward, and forward + backward with a dense image gradient."""

    def ones(image: Image) -> F32:
        return np.ones_like(image.rgb)

    renderer.render_with_grad(scene, cameras[0], ones)
    forward = [best(partial(renderer.render, scene, c), repeats) for c in cameras]
    both = [best(partial(renderer.render_with_grad, scene, c, ones), repeats) for c in cameras]
    return mean(forward), mean(both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", help="splat file of any known format")
    parser.add_argument("--cameras", help="camera file; every 16th camera is used")
    parser.add_argument("--threads", type=int, help="threads of the CPU renderer (default: all cores)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--torch-share", type=float, default=0.05, help="share of tiles that torch draws; 0: no torch")
    args = parser.parse_args()
    if bool(args.scene) != bool(args.cameras):
        parser.error("--scene and --cameras go together")
    renderer = CpuRenderer(args.threads)
    if args.scene:
        cases = [(os.path.basename(args.scene), read(args.scene), load_cameras(args.cameras)[::16])]
    else:
        cases = [("synthetic", synthetic(n), [frontal(*size)]) for n in COUNTS for size in SIZES]
    print(f"{renderer.threads} threads; ms per frame: forward | forward + backward; in brackets CPU ms")
    for name, scene, cameras in cases:
        forward, both = time_cpu(renderer, scene, cameras, args.repeats)
        size = f"{cameras[0].width}x{cameras[0].height}"
        line = f"{name} {len(scene):>7} Gaussians {size:>9}  cpu {forward} | {both}"
        if args.torch_share > 0:
            from torch_rasterizer import time_torch

            slow, slower = time_torch(scene, cameras[0], args.torch_share)
            line += f"  torch ({slow:7.0f}) | ({slower:7.0f})  ({slow / forward.cpu:.0f}x | {slower / both.cpu:.0f}x)"
        print(line, flush=True)


if __name__ == "__main__":
    main()
