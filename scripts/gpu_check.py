#!/usr/bin/env python3
"""Check and time the Triton kernels on this machine's GPU, beside the CPU renderer and gsplat, in one run.

    python scripts/gpu_check.py SCENE [SCENE ...] [--size 1920x1080] [--views 8] [--sweep] [--json FILE]

Errors are against the CPU renderer at full size, the worst of all views. Times are wall clock with the scene resident.
Memory is the peak while a scene is brought to the device and drawn once, above what was allocated before.
Without a GPU it says so and exits with 2; under TRITON_INTERPRET=1 it runs all the same, which tests this script
on a toy scene and measures nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from gscompress.camera import Camera
from gscompress.errors import GscompressError
from gscompress.formats import read
from gscompress.kernels.bin_tiles import bin_tiles
from gscompress.kernels.rasterize import rasterize, rasterize_backward
from gscompress.renderers.base import Image
from gscompress.renderers.cpu import CpuRenderer
from gscompress.renderers.gsplat import GsplatRenderer
from gscompress.renderers.triton import TritonRenderer
from gscompress.scene import Scene, Splats
from gscompress.viewpoints import generate

BLACK = (0.0, 0.0, 0.0)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LEAST_PSNR = {False: 60, True: 50}
Row = dict[str, Any]
T = TypeVar("T")


def main() -> int:
    """Check every scene and print the tables. 0: all within bounds, 1: not, 2: nothing to run on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", type=Path, help="any format gscompress reads; none: a synthetic scene")
    parser.add_argument("--gaussians", type=int, default=500_000, help="size of the synthetic scene")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on each measurement")
    parser.add_argument("--sweep", action="store_true", help="also time the launch settings of the tile kernels")
    parser.add_argument("--json", type=Path, help="write all rows there")
    options = parser.parse_args()
    try:
        TritonRenderer()
    except GscompressError as error:
        print(f"gpu_check: nothing was run: {error}", file=sys.stderr)
        return 2
    width, height = map(int, options.size.split("x"))
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "Triton's interpreter: times mean nothing"
    print(f"{device}, torch {torch.__version__}")
    scenes = [(path.name, read(path)) for path in options.scenes] or [("synthetic", shell(options.gaussians))]
    tables: dict[str, dict[str, list[Row]]] = {}
    for name, scene in scenes:
        cameras = generate(scene, options.views, width, height)
        print(
            f"\n{name}: {len(scene):,} Gaussians, SH {scene.splats.sh_degree}, {width}x{height}, {len(cameras)} views"
        )
        tables[name] = check(scene, cameras, options.seconds, options.sweep)
        for title, rows in tables[name].items():
            show(title, rows)
    if options.json:
        options.json.write_text(json.dumps({"device": device, "torch": torch.__version__, "scenes": tables}, indent=1))
    return 0 if all(row.get("ok", True) for found in tables.values() for rows in found.values() for row in rows) else 1


def shell(count: int) -> Scene:
    """A synthetic scene: a textured, rough shell of radius 3."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    arrays = (
        directions * rng.normal(3, 0.2, (count, 1)),
        rng.normal(np.log(6 / np.sqrt(count)), 0.5, (count, 3)),
        rng.normal(size=(count, 4)),
        rng.normal(1, 2, count),
        np.sin(directions @ rng.normal(0, 3, (3, 48))).reshape(count, 16, 3) * 0.2,
    )
    means, log_scales, quats, logits, sh = (array.astype(np.float32) for array in arrays)
    return Scene(Splats(means, log_scales, quats, logits, sh))


def check(scene: Scene, cameras: list[Camera], seconds: float, settings: bool) -> dict[str, list[Row]]:
    """All tables of one scene."""
    start = time.perf_counter()
    truth = [CpuRenderer().render(scene, camera) for camera in cameras]
    cpu_ms = (time.perf_counter() - start) / len(cameras) * 1e3
    pictures = [triton_row(scene, cameras, truth, seconds, packed) for packed in (False, True)]
    pictures += [gsplat_row(scene, cameras, truth, seconds, packed) for packed in (False, True)]
    pictures.append({"renderer": "cpu", **speed(cpu_ms)})
    tables = {
        "forward": pictures,
        "gradients: largest difference to the cpu renderer, relative to the largest entry": [
            gradient_row(scene, cameras[0], seconds)
        ],
        "ops": ops(scene, cameras, seconds),
    }
    if settings:
        tables["launch settings, first view"] = sweep(scene, cameras[0], seconds / 4)
    return tables


def triton_row(scene: Scene, cameras: list[Camera], truth: list[Image], seconds: float, packed: bool) -> Row:
    """The whole forward pass through the Triton kernels."""
    renderer = TritonRenderer(packed=packed)
    memory = peak_megabytes(lambda: renderer.render_on_device(scene, cameras[0], BLACK, None))
    ms = timed(lambda camera: renderer.render_on_device(scene, camera, BLACK, None), cameras, seconds)
    errors = against(truth, [renderer.render(scene, camera) for camera in cameras])
    ok = errors["psnr_db"] >= LEAST_PSNR[packed]
    return {"renderer": "triton, packed scene" if packed else "triton", **speed(ms), "mb": memory, **errors, "ok": ok}


def gsplat_row(scene: Scene, cameras: list[Camera], truth: list[Image], seconds: float, packed: bool) -> Row:
    """gsplat's own call in its best case: parameters activated beforehand, colour only. packed: gsplat's own option."""
    name = f"gsplat, packed={packed}"
    try:
        errors = against(truth, [GsplatRenderer().render(scene, camera) for camera in cameras])
    except GscompressError as error:
        return {"renderer": name, "note": str(error)}
    import gsplat

    held: list[torch.Tensor] = []

    def draw(camera: Camera) -> Any:
        if not held:
            s = scene.splats
            means, quats, sh = (torch.tensor(a, device=DEVICE) for a in (s.means, s.quats, s.sh))
            scales = torch.tensor(s.log_scales, device=DEVICE).exp_()
            held.extend([means, quats, scales, torch.tensor(s.logit_opacities, device=DEVICE).sigmoid_(), sh])
        pose = torch.tensor(camera.w2c, dtype=torch.float32, device=DEVICE)[None]
        lens = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
        return gsplat.rasterization(
            *held,
            pose,
            torch.tensor([lens], dtype=torch.float32, device=DEVICE),
            camera.width,
            camera.height,
            camera.near,
            sh_degree=scene.splats.sh_degree,
            packed=packed,
            rasterize_mode="antialiased" if scene.model == "mip" else "classic",
        )

    with torch.no_grad():
        memory = peak_megabytes(lambda: draw(cameras[0]))
        ms = timed(draw, cameras, seconds)
    return {"renderer": name, **speed(ms), "mb": memory, **errors}


def gradient_row(scene: Scene, camera: Camera, seconds: float) -> Row:
    """Forward and backward, with the picture and all gradients copied to the host."""
    pull = np.random.default_rng(0).normal(size=(camera.height, camera.width, 3)).astype(np.float32)
    renderer = TritonRenderer()
    _, mine = renderer.render_with_grad(scene, camera, lambda image: pull)
    _, theirs = CpuRenderer().render_with_grad(scene, camera, lambda image: pull)
    errors = {}
    for name in ("means", "log_scales", "quats", "logit_opacities", "sh", "means2d", "contribution"):
        expected = getattr(theirs, name)
        worst = np.abs(getattr(mine, name) - expected).max() / max(float(np.abs(expected).max()), 1e-30)
        errors[name] = float(f"{worst:.1e}")
    ms = timed(lambda c: renderer.render_with_grad(scene, c, lambda image: pull), [camera], seconds)
    return {"renderer": "triton", "ms": round(ms, 3), **errors, "ok": max(errors.values()) < 1e-2}


def record_row(scene: Scene, cameras: list[Camera], seconds: float, packed: bool) -> Row:
    """From the resident scene to records: projection and SH, with the decoding where the scene is packed."""
    renderer = TritonRenderer(packed=packed)
    there, mip, bands = renderer.upload(scene.splats), scene.model == "mip", (scene.splats.sh_degree + 1) ** 2
    ms = timed(lambda camera: renderer.records(there, camera, mip, bands), cameras, seconds)
    size = sum(getattr(there, name).nbytes for name in there.__dataclass_fields__) / len(scene)
    name = "project and shade, packed scene" if packed else "project and shade"
    return {"op": name, "ms": round(ms, 3), "bytes per Gaussian": round(size, 1)}


def ops(scene: Scene, cameras: list[Camera], seconds: float) -> list[Row]:
    """Every op on its own, over all views."""
    rows = [record_row(scene, cameras, seconds, packed) for packed in (False, True)]
    renderer, w, h = TritonRenderer(), cameras[0].width, cameras[0].height
    there, mip, bands = renderer.upload(scene.splats), scene.model == "mip", (scene.splats.sh_degree + 1) ** 2
    records = [renderer.records(there, camera, mip, bands) for camera in cameras]
    bins = [bin_tiles(record, w, h) for record in records]
    rgb = [rasterize(record, b, w, h, BLACK)[0] for record, b in zip(records, bins)]
    pairs = sum(len(b.ids) for b in bins) / len(bins)
    views = list(range(len(cameras)))
    binning = timed(lambda i: bin_tiles(records[i], w, h), views, seconds)
    drawing = timed(lambda i: rasterize(records[i], bins[i], w, h, BLACK), views, seconds)
    pulling = timed(lambda i: rasterize_backward(records[i], bins[i], rgb[i], rgb[i]), views, seconds)
    rows.append({"op": "bin", "ms": round(binning, 3), "pairs per Gaussian": round(pairs / len(scene), 2)})
    rows += [{"op": "rasterize", "ms": round(drawing, 3)}, {"op": "rasterize backward", "ms": round(pulling, 3)}]
    return rows


def sweep(scene: Scene, camera: Camera, seconds: float) -> list[Row]:
    """Warps per tile and records per stop test of the two tile kernels."""
    renderer = TritonRenderer()
    bands = (scene.splats.sh_degree + 1) ** 2
    records = renderer.records(renderer.upload(scene.splats), camera, scene.model == "mip", bands)
    w, h = camera.width, camera.height
    bins = bin_tiles(records, w, h)
    rgb = rasterize(records, bins, w, h, BLACK)[0]
    rows = []
    for warps in (1, 2, 4, 8):
        row: Row = {"warps": warps}
        for group in (1, 2, 4, 8):
            settings = {"group": group, "warps": warps}
            ms = timed(lambda s: rasterize(records, bins, w, h, BLACK, **s), [settings], seconds)
            row[f"rasterize, group {group}, ms"] = round(ms, 3)
        ms = timed(lambda n: rasterize_backward(records, bins, rgb, rgb, warps=n), [warps], seconds)
        rows.append({**row, "backward, ms": round(ms, 3)})
    return rows


def timed(call: Callable[[T], Any], over: Sequence[T], seconds: float) -> float:
    """Milliseconds per call, going round ``over``, one round first to warm up, the device idle at both ends."""
    for item in over:
        call(item)
    wait()
    calls, start = 0, time.perf_counter()
    while not calls or time.perf_counter() - start < seconds:
        for item in over:
            call(item)
        calls += len(over)
        wait()
    return (time.perf_counter() - start) / calls * 1e3


def wait() -> None:
    """Until the device is idle."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def peak_megabytes(call: Callable[[], Any]) -> float:
    """Peak video memory of one call, in 10^6 bytes, above what was allocated before."""
    gc.collect()
    if DEVICE.type != "cuda":
        call()
        return float("nan")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return round((torch.cuda.max_memory_allocated() - before) / 1e6, 1)


def against(truth: list[Image], images: list[Image]) -> Row:
    """Worst view: PSNR of the clipped pictures and largest difference of a channel."""
    psnr, most = 200.0, 0.0
    for expected, actual in zip(truth, images):
        error = np.clip(actual.rgb, 0, 1).astype(np.float64) - np.clip(expected.rgb, 0, 1)
        psnr = min(psnr, float(-10 * np.log10(max(np.mean(error**2), 1e-20))))
        most = max(most, float(np.abs(error).max()))
    return {"psnr_db": round(psnr, 2), "max_error": float(f"{most:.1e}")}


def speed(ms: float) -> Row:
    """Milliseconds and frames per second."""
    return {"ms": round(ms, 3), "fps": round(1e3 / ms, 1)}


def show(title: str, rows: list[Row]) -> None:
    """Print rows under the union of their columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    Console(width=200).print(table)


if __name__ == "__main__":
    sys.exit(main())
