"""The LightGaussian paper's ablations on a scene with photos: which score prunes, what is vector-quantized, and how.

    python scripts/ablate_lightgaussian.py SCENE.ply PHOTOS --width 247 --steps 300

Prints Markdown. PSNR is of the held-out photos at that width; "tuned" is after ``--steps`` updates.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gscompress import formats
from gscompress.cli.views import in_axes_of, training_photos
from gscompress.codecs.lightgaussian import _DISTILL, _RECOVER, _SETTLE, codebook
from gscompress.context import Context
from gscompress.datasets import load_views
from gscompress.events import EventLog
from gscompress.metrics import eight_bit, psnr
from gscompress.quant.vector import assign
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene, Splats
from gscompress.transforms.prune import Prune, global_significance
from gscompress.tune.loop import fit
from gscompress.tune.pseudo_views import PseudoViews
from gscompress.tune.shared_colours import SharedColours
from gscompress.tune.splat_model import Rates, SplatModel
from gscompress.tune.targets import Target, targets

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class Bench:
    """A scene, its photos and how well something does on those held out."""

    def __init__(self, scene: Path, photos: Path, width: int, steps: int) -> None:
        self.scene, self.steps, self.renderer = formats.read(scene), steps, CpuRenderer()
        cameras, pictures = training_photos(photos, width, EventLog())
        self.ctx = Context(renderer=self.renderer, cameras=in_axes_of(self.scene, cameras), photos=pictures)
        views = load_views(photos, width=width, background=(0, 0, 0))
        self.test = [view for view in views if view.split == "test"]
        self.test_cameras = in_axes_of(self.scene, [view.camera for view in self.test])
        self.goals = targets(self.scene, self.ctx)

    def quality(self, scene: Scene) -> float:
        shown = (eight_bit(self.renderer.render(scene, camera).rgb) for camera in self.test_cameras)
        return float(np.mean([psnr(picture, view.image) for picture, view in zip(shown, self.test)]))

    def tuned(self, scene: Scene, rates: Rates, goals: list[Target] | PseudoViews | None = None) -> Scene:
        model = SplatModel(scene, rates)
        fit(model, self.goals if goals is None else goals, self.ctx, self.steps)
        return model.scene()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--width", type=int, default=247)
    parser.add_argument("--steps", type=int, default=300)
    wish = parser.parse_args()
    bench = Bench(wish.scene, wish.photos, wish.width, wish.steps)
    say(f"Original: {bench.quality(bench.scene):.2f} dB at {wish.width} pixels.\n")
    recovered = scores(bench)
    vector_quantization(bench, distillation(bench, recovered))


def scores(bench: Bench) -> Scene:
    """Prune 66 % by each score; returns what recovery makes of the default one."""
    say("| score that prunes 66 % | PSNR, dB | tuned |\n|---|--:|--:|")
    best = bench.scene
    for score in ("opacity", "looks", "contribution", "significance", "removal"):
        pruned = Prune(0.66, score)(bench.scene, bench.ctx)  # type: ignore[arg-type]
        recovered = bench.tuned(pruned, _RECOVER)
        best = recovered if score == "significance" else best
        say(f"| {score} | {bench.quality(pruned):.2f} | {bench.quality(recovered):.2f} |")
    return best


def distillation(bench: Bench, scene: Scene) -> Scene:
    """Degree 3 to 2, without and with pseudo-views; returns the latter."""
    cut = replace(scene, splats=scene.splats.with_sh_degree(2))
    views = PseudoViews(scene, bench.ctx)
    given = [views[i] for i in range(len(bench.ctx.cameras))]
    student = bench.tuned(cut, _DISTILL, views)
    say("\n| SH of degree 2 | PSNR, dB |\n|---|--:|")
    say(f"| degree 3, before | {bench.quality(scene):.2f} |\n| cut off | {bench.quality(cut):.2f} |")
    say(f"| distilled, given views only | {bench.quality(bench.tuned(cut, _DISTILL, given)):.2f} |")
    say(f"| distilled, two of three pseudo-views | {bench.quality(student):.2f} |")
    return student


def vector_quantization(bench: Bench, scene: Scene) -> None:
    worth = global_significance(scene, bench.ctx)
    ranked = np.argsort(worth, kind="stable")
    share = round(0.6 * len(scene))
    arbitrary = np.random.default_rng(0).permutation(len(scene))[:share]
    choices = {"all": ranked, "random 60 %": arbitrary, "least significant 60 %": ranked[:share]}
    say("\n| vector-quantized | of Gaussians | k-means | PSNR, dB | tuned |\n|---|---|---|--:|--:|")
    for what in ("everything", "SH", "SH but DC"):
        for whose, rows in choices.items():
            for how in ("plain", "weighted"):
                weights = worth if how == "weighted" else np.ones(len(scene))
                before, after = quantized(bench, scene, what, np.sort(rows), weights)
                say(f"| {what} | {whose} | {how} | {before:.2f} | {after} |")


def quantized(bench: Bench, scene: Scene, what: str, rows: I64, weights: npt.NDArray[np.float64]) -> tuple[float, str]:
    """PSNR after vector quantization of ``rows``, and after tuning the codes (of SH)."""
    s = scene.splats
    sh = s.sh[rows].reshape(len(rows), -1)
    shape = np.concatenate([s.log_scales[rows], s.quats[rows], s.logit_opacities[rows, None]], 1)
    table = {"everything": np.concatenate([sh, shape], 1), "SH": sh, "SH but DC": sh[:, 3:]}[what]
    spread = table.std(0) + 1e-9 if what == "everything" else np.ones(table.shape[1])
    scaled = (table / spread).astype(np.float32)
    book = codebook(scaled, weights[rows], 8192, 0)
    which = assign(scaled, book)
    codes = (book.codes * spread).astype(np.float32)
    changed = replace(scene, splats=_with(s, rows, what, codes[which]))
    if what != "SH":
        return bench.quality(changed), ""
    everyone = np.full(len(scene), -1, np.int64)
    everyone[rows] = which
    model = SharedColours(scene, everyone, codes.reshape(len(codes), -1, 3), _SETTLE)
    fit(model, bench.goals, bench.ctx, bench.steps)
    return bench.quality(changed), f"{bench.quality(model.scene()):.2f}"


def _with(s: Splats, rows: I64, what: str, values: F32) -> Splats:
    """The splats with the quantized values of ``rows``."""
    flat = s.sh.reshape(len(s), -1).copy()
    coefficients = flat.shape[1]
    if what == "SH but DC":
        flat[rows, 3:] = values
    else:
        flat[rows] = values[:, :coefficients]
    changed = replace(s, sh=flat.reshape(s.sh.shape))
    if what != "everything":
        return changed
    scales, quats, opacities = s.log_scales.copy(), s.quats.copy(), s.logit_opacities.copy()
    scales[rows], quats[rows] = values[:, coefficients : coefficients + 3], values[:, coefficients + 3 : -1]
    opacities[rows] = values[:, -1]
    return replace(changed, log_scales=scales, quats=quats, logit_opacities=opacities)


def say(line: str) -> None:
    print(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
