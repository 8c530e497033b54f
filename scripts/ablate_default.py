"""What each mechanism of the default codec saves: bytes at equal PSNR with it and without it, and the seconds it adds.

    python scripts/ablate_default.py SCENE [--cameras FILE] [--width PIXELS] [--tune SECONDS] [--only TEXT]
        [--qualities 20 35 50 65]

Encodes with generated views, judges by every 8th of the given cameras or by other generated ones, in pictures of that
width, and prints a Markdown table. The gap is that between the mean and the worst view, in dB, mean over all qualities.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import gscompress
from gscompress.camera import Camera
from gscompress.codecs import colour, default, importance, part, plan, skeleton
from gscompress.codecs.default import DefaultCodec
from gscompress.container.chunk import pack_streams
from gscompress.context import Context
from gscompress.datasets import load_cameras
from gscompress.entropy.neighbours import NEAR
from gscompress.metrics import eight_bit, psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.viewpoints import for_encoding, generate


@contextmanager
def patched(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def one_class(*args: Any) -> Any:
    found = importance.assess(*args)
    flat = np.full_like(found.shape, np.median(found.shape))
    return importance.Importance(flat, np.full_like(found.colour, np.median(found.colour)), found.blur)


def shared_class(*args: Any) -> Any:
    found = importance.assess(*args)
    return importance.Importance(found.shape, found.shape + np.median(found.colour - found.shape), found.blur)


def no_neighbours(coarse: Any) -> Any:
    return np.full((len(coarse), NEAR), -1, np.int32)


def large_views(ctx: Context) -> Context:
    return replace(ctx, cameras=ctx.cameras[:24])


def curve(
    codec: Callable[[float], DefaultCodec], qualities: list[float], scene: Scene, ctx: Context, held_out: list[Camera]
) -> Any:
    """(len(qualities), 3): bytes, mean and worst PSNR; and the median of encoding seconds."""
    renderer, points, seconds = CpuRenderer(), [], []
    wanted = [eight_bit(renderer.render(scene, c).rgb) for c in held_out]
    for quality in qualities:
        ctx.memo.clear()
        started = time.perf_counter()
        chunks = list(codec(quality).encode(scene, ctx))
        seconds.append(time.perf_counter() - started)
        *_, decoded = codec(quality).decode(chunks)
        shown = [psnr(w, eight_bit(renderer.render(decoded, c).rgb)) for w, c in zip(wanted, held_out)]
        points.append((sum(len(pack_streams(c.streams)) for c in chunks), float(np.mean(shown)), min(shown)))
    return np.array(points), float(np.median(seconds))


def saved(full: Any, without: Any) -> float:
    """Mean percentage of bytes that ``full`` saves against ``without`` over the PSNR range that both cover."""
    low = max(full[:, 1].min(), without[:, 1].min())
    high = min(full[:, 1].max(), without[:, 1].max())
    if high <= low:
        return float("nan")
    at = np.linspace(low, high, 50)
    logs = [np.interp(at, c[np.argsort(c[:, 1]), 1], np.log(c[np.argsort(c[:, 1]), 0])) for c in (full, without)]
    return float(100 * (1 - np.exp((logs[0] - logs[1]).mean())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--cameras", type=Path)
    parser.add_argument("--width", type=int, default=240)
    parser.add_argument("--tune", type=float, default=0.0)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--qualities", type=float, nargs="+", default=[20.0, 35.0, 50.0, 65.0])
    options = parser.parse_args()
    qualities = options.qualities
    scene = gscompress.read(options.scene)
    ctx = Context(renderer=CpuRenderer(), cameras=for_encoding(scene))
    held_out = load_cameras(options.cameras)[::8] if options.cameras else generate(scene, 24, offset=1)
    held_out = [c.resized(options.width, round(options.width * c.height / c.width)) for c in held_out]

    def plain(quality: float) -> DefaultCodec:
        return DefaultCodec(quality=quality)

    variants: dict[str, tuple[Callable[[float], DefaultCodec], tuple[Any, str, Any] | None]] = {
        "sensitivities from renders (against opacity and size)": (
            lambda q: DefaultCodec(quality=q - 8, renders=False, prune=0.0),
            None,
        ),
        "per-Gaussian steps (against one step per attribute)": (
            lambda q: DefaultCodec(quality=q + 16),
            (default, "assess", one_class),
        ),
        "a class for colour besides that for shape": (plain, (default, "assess", shared_class)),
        "finer classes where outliers need them": (plain, (plan, "_OUTLIERS", 1.0)),
        "48 small views (against 24 large ones)": (plain, (default, "glance", large_views)),
        "a floor under what views say": (plain, (importance, "_HIDDEN", 0.0)),
        "pruning by removal error": (lambda q: DefaultCodec(quality=q, prune=0.0), None),
        "settling of colours (against error diffusion)": (lambda q: DefaultCodec(quality=q, settle=0), None),
        "error diffusion of SH, without settling": (lambda q: DefaultCodec(quality=q, settle=0, diffusion=0.0), None),
        "fitted SH basis (against luma and chroma)": (plain, (colour, "_ENOUGH", 1 << 60)),
        "contexts from neighbours in space": (plain, (skeleton, "nearest_earlier", no_neighbours)),
        "one layer (against three layers of importance)": (lambda q: DefaultCodec(quality=q, layers=3), None),
    }
    full, seconds = curve(plain, qualities, scene, ctx, held_out)
    print(
        f"| mechanism | bytes saved at equal PSNR | encode seconds (all: {seconds:.1f}) | gap (all: {gap(full):.1f}) |"
    )
    print("|---|--:|--:|--:|")
    diffused = full
    for name, (codec, patch) in variants.items():
        if options.only not in name:
            continue
        # The encoder looks neighbours up in one module, the decoder in another.
        twin = patched(part, *patch[1:]) if patch and patch[0] is skeleton else nullcontext()
        with twin, patched(*patch) if patch else nullcontext():
            without, cost = curve(codec, qualities, scene, ctx, held_out)
        reference = diffused if "without settling" in name else full
        diffused = without if "against error diffusion" in name else diffused
        saving = f"{saved(reference, without):.1f} % | {seconds - cost:+.1f} | {gap(without):.1f}"
        print(f"| {name} | {saving} |", flush=True)
    if options.tune:
        tuned, cost = curve(
            lambda q: DefaultCodec(quality=q, prune=3.0, tune=options.tune), qualities, scene, ctx, held_out
        )
        print(f"| tuning, {options.tune:g} s | {saved(tuned, full):.1f} % | {cost - seconds:+.1f} | {gap(tuned):.1f} |")
    print("\n" + ", ".join(f"{int(size):,} B at {mean:.2f} dB (worst {worst:.2f})" for size, mean, worst in full))


def gap(points: Any) -> float:
    return float((points[:, 1] - points[:, 2]).mean())


if __name__ == "__main__":
    main()
