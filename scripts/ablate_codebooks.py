"""What vector quantization costs the picture: of SH only or of everything, weighted by sensitivity or not, before and
after training.

    python scripts/ablate_codebooks.py SCENE.ply PHOTOS [--width 247] [--updates 300]

Prints the tables of docs/codecs/compact3d.md and c3dgs.md. Training aims at renders of the original by the training
cameras; PSNR is against its renders by the held-out ones, so that no gain from photos hides what codebooks cost.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gscompress import formats
from gscompress.camera import Camera
from gscompress.codecs.c3dgs import C3dgsCodec
from gscompress.codecs.ellipsoids import in_one_form
from gscompress.codecs.straight_through import Clustered
from gscompress.context import Context
from gscompress.datasets import load_views
from gscompress.frame import RDF
from gscompress.metrics import psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.tune.loop import fit
from gscompress.tune.splat_model import Rates
from gscompress.tune.targets import targets

SCOPES = {"SH only": ("sh",), "colour": ("sh", "dc"), "shape": ("scale", "rotation")}
SCOPES["everything"] = SCOPES["colour"] + SCOPES["shape"]
CLUSTERINGS = {
    "k-means": C3dgsCodec(weighted=False, own=0.0),
    "weighted by sensitivity": C3dgsCodec(own=0.0),
    "weighted, 1 % with values of their own": C3dgsCodec(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--width", type=int, default=247)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--codes", type=int, default=4096)
    wish = parser.parse_args()
    scene = formats.read(wish.scene).in_frame(RDF)
    views = load_views(wish.photos, width=wish.width)
    held_out = [view.camera for view in views if view.split == "test"]
    ctx = Context(renderer=CpuRenderer(), cameras=[view.camera for view in views if view.split == "train"])
    print("| codebooks for | dB before training | after |\n|---|--:|--:|", flush=True)
    for name, attributes in SCOPES.items():
        print(f"| {name} | {' | '.join(scopes(scene, attributes, ctx, held_out, wish))} |", flush=True)
    print("\n| clustering | dB before tuning | after | bytes |\n|---|--:|--:|--:|", flush=True)
    for name, codec in CLUSTERINGS.items():
        print(f"| {name} | {' | '.join(clusterings(scene, codec, ctx, held_out, wish))} |", flush=True)


def scopes(
    scene: Scene, attributes: Sequence[str], ctx: Context, held_out: list[Camera], wish: argparse.Namespace
) -> list[str]:
    formed = replace(scene, splats=in_one_form(scene.splats))
    model = Clustered(formed, Rates(), dict.fromkeys(attributes, wish.codes), every=50, seed=0)
    before = quality(scene, model.scene(), held_out)
    fit(model, targets(scene, ctx), ctx, wish.updates)
    return [f"{before:.2f}", f"{quality(scene, model.scene(), held_out):.2f}"]


def clusterings(
    scene: Scene, codec: C3dgsCodec, ctx: Context, held_out: list[Camera], wish: argparse.Namespace
) -> list[str]:
    cells, size = [], 0
    for updates in (0, wish.updates):
        chosen = replace(codec, prune=0.0, recover=0, updates=updates, colours=wish.codes, shapes=wish.codes)
        chunks = list(chosen.encode(scene, ctx))
        size = sum(len(stream) for chunk in chunks for stream in chunk.streams.values())
        cells.append(f"{quality(scene, chosen.decode_whole(chunks), held_out):.2f}")
    return [*cells, f"{size:,}"]


def quality(reference: Scene, shown: Scene, cameras: list[Camera]) -> float:
    renderer = CpuRenderer()
    return float(np.mean([psnr(renderer.render(reference, c).rgb, renderer.render(shown, c).rgb) for c in cameras]))


if __name__ == "__main__":
    main()
