"""What the measurements of quantizers have in common: a scene with sensitivities, and what symbols cost."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import gscompress
from gscompress.context import Context
from gscompress.datasets import load_cameras
from gscompress.entropy.neighbours import nearest_earlier
from gscompress.entropy.octree import morton_order
from gscompress.entropy.plane import PlaneEncoder, Shape, Side
from gscompress.quant.allocation import equal_slope_steps, step_classes
from gscompress.quant.linear import LUMA_CHROMA, fit_klt
from gscompress.quant.rotation import sort_axes
from gscompress.quant.rounding import cost_table, rdoq
from gscompress.quant.sensitivity import measure
from gscompress.renderers.cpu import CpuRenderer
from gscompress.sh import C0, basis
from gscompress.viewpoints import generate

LEVELS = (34.0, 40.0, 46.0)  # dB of the picture if every one of PARAMETERS per Gaussian errs alike
PARAMETERS = 90
CLASSES = 12
LAGRANGE = np.log(2) / 6  # squared steps that a bit is worth on the slope of rounding


@dataclass(frozen=True)
class Bench:
    """A scene in coding order, without what no encoding view shows, and what is known about it.

    h: sensitivities by attribute, per pixel and channel. fisher: (N, K, K) of the SH coefficients, the same units.
    """

    scene: Any
    h: Any
    fisher: Any
    near: Any
    views: list[Any]
    held_out: list[Any]

    def steps(self, h: Any, decibel: float) -> tuple[Any, Any]:
        """Steps (N,) in octaves and their classes from 0."""
        exact = equal_slope_steps(np.maximum(h, 1e-14), 10 ** (-decibel / 10) / (PARAMETERS * len(self.scene)))
        classes = step_classes(exact, 1, *(int(np.round(np.log2(np.median(exact)))) + np.array([-8, 3])))
        return 2.0**classes, classes - classes.min()


def prepare(path: Path, cameras: Path | None, rows: int = 1 << 30) -> Bench:
    """rows: of at most so many neighbouring Gaussians, the first in coding order; all of them are in the renders."""
    scene = gscompress.read(path)
    if cameras:
        every = load_cameras(cameras)
        views, held_out = [c for i, c in enumerate(every) if i % 8][::4], every[::8]
    else:
        views, held_out = generate(scene, 24), generate(scene, 12, offset=1)
    ctx = Context(renderer=CpuRenderer(), cameras=views)
    worth = measure(scene, ctx).contribution
    means = scene.splats.means[worth > np.quantile(worth, 0.25)]
    grid = ((means - means.min(0)) / np.ptp(means, axis=0).max() * (1 << 20)).astype(np.int64)
    order = morton_order(grid)
    splats = scene.splats.take(np.flatnonzero(worth > np.quantile(worth, 0.25))[order])
    scene = replace(scene, splats=splats)
    found = measure(scene, ctx)
    names = ("means", "log_scales", "turns", "logit_opacities", "dc", "sh")
    h = {name: (getattr(found, name) / found.pixels)[:rows] for name in names}
    joint = fisher(scene, ctx, found.pixels)[:rows] if rows >= len(scene) else np.zeros((0, 1, 1))
    scene = replace(scene, splats=scene.splats.take(np.arange(min(rows, len(scene)))))
    return Bench(scene, h, joint, nearest_earlier(grid[order][:rows]), views, held_out)


def arguments(what: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--cameras", type=Path)
    parser.add_argument("--rows", type=int, default=1 << 30, help="Gaussians that are coded (all are rendered)")
    return parser.parse_args()


def groups(bench: Bench) -> Iterator[tuple[str, Any, Any]]:
    """Name, coefficients (N, C) and sensitivity (N,) of every group of attributes that is coded with one step."""
    splats = bench.scene.splats
    log_scales, _ = sort_axes(splats.log_scales, splats.quats)
    yield "scales", log_scales - np.median(log_scales, 0), bench.h["log_scales"].mean(1)
    opacity = splats.logit_opacities[:, None].astype(float)
    yield "opacity", opacity - np.median(opacity), bench.h["logit_opacities"]
    dc = splats.sh[:, 0] @ LUMA_CHROMA.T
    yield "DC", dc - np.median(dc, 0), bench.h["dc"].mean(1)
    if splats.sh_degree:
        higher = splats.sh[:, 1:].reshape(len(splats), -1)
        yield "SH", fit_klt(higher, bench.h["sh"], 1).forward(higher), bench.h["sh"]


def fisher(scene: Any, ctx: Context, pixels: int) -> Any:
    rng, n, bands = np.random.default_rng(1), len(scene), scene.splats.sh.shape[1]
    total = np.zeros((n, bands, bands))
    for camera in ctx.cameras:
        _, g = ctx.need_renderer("measuring").render_with_grad(
            scene, camera, lambda im: rng.choice(np.array([-1, 1], np.float32), im.rgb.shape)
        )
        centre = -camera.w2c[:3, :3].T @ camera.w2c[:3, 3]
        towards = scene.splats.means - centre
        seen = basis(towards / np.linalg.norm(towards, axis=1, keepdims=True), scene.splats.sh_degree)
        weight = np.square(g.sh[:, 0], dtype=np.float64).mean(1) / C0**2 / pixels
        total += weight[:, None, None] * seen[:, :, None] * seen[:, None, :]
    floor = np.trace(total, axis1=1, axis2=2)[:, None, None] / bands + 1e-14
    return 0.7 * total + 0.3 * floor * np.eye(bands)


def coded(symbols: Any, bench: Bench, classes: Any, steps: Any) -> float:
    """Bits per Gaussian of (N, C) symbols; rows end at their last nonzero symbol when there are many columns."""
    symbols = np.ascontiguousarray(symbols, np.int32)
    rows, columns = symbols.shape
    relative = np.maximum(steps / steps.min() * 16, 1).astype(np.int32)
    total, lengths = 0, None
    if columns > 8:
        used = symbols != 0
        lengths = np.where(used.any(1), columns - np.argmax(used[:, ::-1], 1), 0).astype(np.int32)
        coder = PlaneEncoder(Shape(1, CLASSES, 1, False))
        coder.add(lengths[:, None], Side(classes.astype(np.uint16), None, bench.near))
        total += len(coder.finish())
    first = classes if lengths is None else np.minimum(np.frexp(lengths.astype(float))[1], CLASSES - 1)
    coder = PlaneEncoder(Shape(columns, CLASSES, CLASSES, True))
    side = Side(first.astype(np.uint16), classes.astype(np.uint16), bench.near, relative, lengths)
    coder.add(symbols, side)
    return 8 * (total + len(coder.finish())) / rows


def entropy(symbols: Any, contexts: Any) -> float:
    """Bits per row of symbols under the frequencies of each context."""
    both, counts = np.unique(np.stack([contexts.ravel(), symbols.ravel()]), axis=1, return_counts=True)
    totals = np.bincount(both[0] - both[0].min(), counts)
    return float(counts @ np.log2(totals[both[0] - both[0].min()] / counts)) / len(symbols)


def contexts_of(symbols: Any, classes: Any) -> Any:
    """Column and either the row's class or, for long rows, the length of its nonzero part."""
    columns = symbols.shape[1]
    used = np.frexp(np.where(symbols != 0, np.arange(1, columns + 1), 0).max(1).astype(float))[1]
    return (used if columns > 8 else classes)[:, None] * columns + np.arange(columns)


def by_cost(z: Any, classes: Any, price: float) -> Any:
    q = np.rint(z).astype(np.int64)
    for _ in range(3):
        where = contexts_of(q, classes)
        q = rdoq(z, cost_table(q, where, where.max() + 1, 24), where, price * LAGRANGE)
    return q
