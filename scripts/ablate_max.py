"""What each mechanism of preset max saves: bytes at equal PSNR on held-out photos, with it and without it.

    python scripts/ablate_max.py SCENE PHOTOS [--width PIXELS] [--tune SECONDS]

Prints a Markdown table and the points behind it. Savings are means over the PSNR range that both variants cover.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import gscompress
from gscompress.codecs import max as preset
from gscompress.codecs.base import Codec
from gscompress.codecs.default import DefaultCodec
from gscompress.codecs.max import MaxCodec
from gscompress.container.chunk import pack_streams
from gscompress.context import Context
from gscompress.datasets import load_views
from gscompress.datasets.view import View
from gscompress.metrics import eight_bit, psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene

QUALITIES = (35.0, 65.0)
Points = list[tuple[int, float]]


@contextmanager
def patched(**values: Any) -> Iterator[None]:
    before = {name: getattr(preset, name) for name in values}
    for name, value in values.items():
        setattr(preset, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(preset, name, value)


def curve(codec: Codec, scene: Scene, ctx: Context, held_out: list[View]) -> Points:
    """Bytes and mean PSNR on the held-out photos, per quality."""
    points = []
    for quality in QUALITIES:
        tried = replace(codec, quality=quality)  # type: ignore[type-var]
        chunks = list(tried.encode(scene, ctx))
        points.append((sum(len(pack_streams(c.streams)) for c in chunks), shown(tried.decode_whole(chunks), held_out)))
    return points


def shown(scene: Scene, held_out: list[View]) -> float:
    pairs = [(eight_bit(CpuRenderer().render(scene, view.camera).rgb), view.image) for view in held_out]
    return float(np.mean([psnr(a, b) for a, b in pairs]))


def saved(full: Points, without: Points) -> float:
    """Mean percentage of bytes that ``full`` saves against ``without`` over the PSNR range that both cover."""
    curves = [np.array(sorted(points, key=lambda p: p[1])) for points in (full, without)]
    low, high = max(c[0, 1] for c in curves), min(c[-1, 1] for c in curves)
    if high <= low:
        return float("nan")
    at = np.linspace(low, high, 50)
    logs = [np.interp(at, c[:, 1], np.log(c[:, 0])) for c in curves]
    return float(100 * (1 - np.exp((logs[0] - logs[1]).mean())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--width", type=int, default=247)
    parser.add_argument("--tune", type=float, default=25.0)
    options = parser.parse_args()
    scene = gscompress.read(options.scene)
    views = load_views(options.photos, width=options.width)
    train = [view for view in views if view.split == "train"]
    held_out = [view for view in views if view.split == "test"]
    ctx = Context(
        renderer=CpuRenderer(), cameras=[view.camera for view in train], photos=[view.image for view in train]
    )
    full = MaxCodec(tune=options.tune)
    variants: dict[str, tuple[Codec, dict[str, Any]]] = {
        "all": (full, {}),
        "pruning": (replace(full, prune=0.0), {}),
        "pruning in rounds with recovery (against one cut)": (full, {"_ROUNDS": 1}),
        "the codec in the loop (against as many steps before it)": (full, {"_SHARES": (1.0, 0.0)}),
        "a price on bits in the loop": (replace(full, rate=0.0), {}),
        "sensitivities from every view (against every fourth)": (full, {"_VIEWS": len(train) // 4}),
        "all of it (against preset default, the same cameras)": (DefaultCodec(), {}),
    }
    print(f"original: {shown(scene, held_out):.3f} dB\n\n| mechanism | bytes saved | points |\n|---|--:|---|")
    reference: Points = []
    for name, (codec, patch) in variants.items():
        with patched(**patch):
            ctx.memo.clear()
            points = curve(codec, scene, ctx, held_out)
        reference = reference or points
        listed = ", ".join(f"{size:,} B {decibels:.2f} dB" for size, decibels in points)
        print(f"| {name} | {saved(reference, points):.1f} % | {listed} |", flush=True)


if __name__ == "__main__":
    main()
