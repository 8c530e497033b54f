"""Train a small nerfacto-type field from the training photos of a dataset, and say what it makes of the held-out ones.

    python scripts/train_field.py DATASET step-000004000.ckpt --width 165 --seconds 400

The checkpoint has nerfstudio's names (torch layout), with dataparser_transforms.json beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from gscompress.cli.console import progress
from gscompress.datasets import load_views
from gscompress.field_training import Plan, train
from gscompress.formats.fields import write_field
from gscompress.metrics import eight_bit, psnr
from gscompress.renderers.volume import VolumeRenderer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=165, help="pixels")
    plan = Plan()
    for name in ("steps", "rays", "levels", "log2_size", "finest", "hidden"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(plan, name))
    parser.add_argument("--seconds", type=float, default=plan.seconds)
    wishes = vars(parser.parse_args())
    data, out, width = wishes.pop("data"), wishes.pop("out"), wishes.pop("width")
    with progress() as log:
        views = load_views(data, width=width, log=log)
        seen = [view for view in views if view.split == "train"]
        field = train([view.camera for view in seen], [view.image for view in seen], Plan(**wishes), log)
        write_field(field, out)
        world = {"transform": field.spec.geometry["world"], "scale": 1.0}
        (out.parent / "dataparser_transforms.json").write_text(json.dumps(world))
        renderer = VolumeRenderer()
        test = [view for view in views if view.split == "test"]
        scores = [psnr(view.image, eight_bit(renderer.render(field, view.camera).rgb)) for view in test]
    print(f"{field.meta['step'] + 1} steps, {field.weights:,} weights, held-out PSNR {np.mean(scores):.2f} dB")


if __name__ == "__main__":
    main()
