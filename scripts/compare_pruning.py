"""What scores of pruning are worth: PSNR of held-out views after a share of the Gaussians went, without recovery.

    python scripts/compare_pruning.py SCENE [--cameras FILE] [--width PIXELS]

Scores are measured on 48 generated views. PSNR is against the unpruned scene's renders, in every 8th camera of the file
or in 24 other generated views. Prints the Markdown table of docs/pruning.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np

import gscompress
from gscompress.context import Context
from gscompress.datasets import load_cameras
from gscompress.metrics import eight_bit, psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.transforms.clean import Clean
from gscompress.transforms.prune import Prune
from gscompress.viewpoints import generate

RATIOS = (0.2, 0.4, 0.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--cameras", type=Path)
    parser.add_argument("--width", type=int, default=240)
    options = parser.parse_args()
    renderer = CpuRenderer()
    scene = Clean()(gscompress.read(options.scene), Context())
    ctx = Context(renderer=renderer, cameras=generate(scene, 48, options.width))
    if options.cameras:
        held_out = [
            c.resized(options.width, round(options.width * c.height / c.width))
            for c in load_cameras(options.cameras)[::8]
        ]
    else:
        held_out = generate(scene, 24, options.width, offset=1)
    wanted = [eight_bit(renderer.render(scene, c).rgb) for c in held_out]
    print(f"{options.scene.name}: {len(scene):,} Gaussians; mean (worst) PSNR\n")
    print("| score | " + " | ".join(f"{100 * r:.0f} %" for r in RATIOS) + " | seconds |\n|---|--:|--:|--:|--:|")
    for score in get_args(get_type_hints(Prune)["score"]):
        cells = []
        started = time.perf_counter()
        for ratio in RATIOS:
            kept = Prune(ratio, score)(scene, ctx)
            pictures = [eight_bit(renderer.render(kept, c).rgb) for c in held_out]
            shown = [min(psnr(w, p), 99.0) for w, p in zip(wanted, pictures, strict=True)]
            cells.append(f"{np.mean(shown):.2f} ({min(shown):.2f})")
            if ratio == RATIOS[0]:
                seconds = time.perf_counter() - started
        print(f"| {score} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
