"""What becomes of thin and faint structures: their pixels by themselves, in views that no encoder saw.

    python scripts/thin_and_faint.py SCENE [--qualities 30,50,70] [--picture OUT.png]

A pixel belongs to needles (Gaussians whose middle axis is under a fifth of the longest) where they make up more than
half of what shows in the original, and to faint Gaussians (opacity below 0.1) likewise. *Kept* is how much of the
original's fine detail there, what is left of the picture without a blur of three pixels, is in the decoded picture too:
the slope of a line through the origin, 1 for all of it and 0 where it is gone. Every file is written and read in
processes of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

import gscompress
from gscompress.camera import Camera
from gscompress.metrics import eight_bit, psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.sh import C0
from gscompress.viewpoints import for_judging

NEEDLE, FAINT, BLUR = 0.2, 0.1, 3.0
CROP = 160  # pixels of the picture's clippings
F32 = npt.NDArray[np.float32]
Shown = tuple[list[npt.NDArray[np.uint8]], list[F32]]


def belonging(scene: Scene, members: npt.NDArray[np.bool_]) -> Scene:
    """The scene with its members white and all else black."""
    sh = np.zeros((len(scene), 1, 3), np.float32)
    sh[:, 0] = np.where(members, 0.5, -0.5)[:, None] / C0
    return replace(scene, splats=replace(scene.splats, sh=sh))


def masks(scene: Scene, cameras: list[Camera]) -> dict[str, list[npt.NDArray[np.bool_]]]:
    scales = np.sort(scene.splats.log_scales.astype(np.float64), axis=1)
    kinds = {
        "needles": scales[:, 1] - scales[:, 2] < np.log(NEEDLE),
        "faint": scene.splats.logit_opacities < np.log(FAINT / (1 - FAINT)),
    }
    return {kind: [shares(belonging(scene, of), camera) > 0.5 for camera in cameras] for kind, of in kinds.items()}


def shares(marked: Scene, camera: Camera) -> F32:
    """(H, W) of what shows, how much is white; 0 where little shows at all."""
    image = CpuRenderer().render(marked, camera)
    return np.where(image.alpha > 0.05, image.rgb[..., 0] / np.maximum(image.alpha, 1e-6), 0).astype(np.float32)


def fine(picture: npt.NDArray[np.uint8]) -> F32:
    """What a blur takes away."""
    blurred = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(BLUR)), np.float32)
    return np.asarray(picture, np.float32) - blurred


def shown(scene: Scene, cameras: list[Camera]) -> Shown:
    """Pictures by all cameras, and the fine detail of each."""
    pictures = [eight_bit(CpuRenderer().render(scene, camera).rgb) for camera in cameras]
    return pictures, [fine(picture) for picture in pictures]


def told(before: Shown, after: Shown, pixels: list[npt.NDArray[np.bool_]]) -> str:
    """PSNR of the pixels together, and how much of their detail is kept."""

    def of(pictures: list[Any]) -> Any:
        return np.concatenate([picture[mask] for picture, mask in zip(pictures, pixels, strict=True)])

    a, b, x, y = of(before[0]), of(after[0]), of(before[1]).ravel(), of(after[1]).ravel()
    if not len(a):
        return "– | –"
    return f"{psnr(a, b):.2f} | {float(x @ y / max(x @ x, 1e-9)):.3f}"


def rows(path: Path, qualities: list[str], picture: Path | None) -> Iterator[str]:
    scene = gscompress.read(path)
    cameras = for_judging(scene)
    before = shown(scene, cameras)
    found = {"all": [np.ones(p.shape[:2], bool) for p in before[0]], **masks(scene, cameras)}
    share = {kind: float(np.mean([m.mean() for m in of])) for kind, of in found.items()}
    yield "| file | bytes | " + " | ".join(f"{kind} ({share[kind]:.1%}): dB | kept" for kind in found) + " |"
    yield "|---|--:|" + "--:|--:|" * len(found)
    clips = [before[0]]
    for label, size, decoded in files(path, qualities):
        after = shown(decoded.in_frame(scene.frame), cameras)
        clips.append(after[0])
        yield f"| {label} | {size:,} | " + " | ".join(told(before, after, found[kind]) for kind in found) + " |"
    if picture is not None:
        clippings(clips, found["needles"]).save(picture)


def files(path: Path, qualities: list[str]) -> Iterator[tuple[str, int, Scene]]:
    """Name, bytes and decoded scene of our files and of SPZ's at its default bits."""
    with tempfile.TemporaryDirectory() as folder:
        spz, back = Path(folder, "a.spz"), Path(folder, "back.ply")
        command("convert", path, spz)
        command("convert", spz, back)
        yield "SPZ", spz.stat().st_size, gscompress.read(back)
        for quality in qualities:
            file = Path(folder, f"{quality}.gscz")
            command("compress", path, file, "--quality", quality)
            command("decompress", file, back, "--force")
            yield f"`default`, quality {quality}", file.stat().st_size, gscompress.read(back)


def command(*words: str | Path) -> None:
    subprocess.run(["gscompress", *map(str, words)], check=True, capture_output=True)


def clippings(shown: list[list[Any]], needles: list[npt.NDArray[np.bool_]]) -> Image.Image:
    """Side by side, twice as large, where most of the view's needles are."""
    view = int(np.argmax([mask.sum() for mask in needles]))
    sums = np.pad(np.cumsum(np.cumsum(needles[view], 0), 1), ((1, 0), (1, 0)))
    inside = sums[CROP:, CROP:] - sums[:-CROP, CROP:] - sums[CROP:, :-CROP] + sums[:-CROP, :-CROP]
    top, left = np.unravel_index(int(np.argmax(inside)), inside.shape)
    cut = [pictures[view][top : top + CROP, left : left + CROP] for pictures in shown]
    joined = Image.fromarray(np.concatenate(cut, axis=1))
    return joined.resize((2 * joined.width, 2 * joined.height), Image.Resampling.NEAREST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--qualities", default="30,50,70")
    parser.add_argument("--picture", type=Path)
    wish = parser.parse_args()
    for row in rows(wish.scene, wish.qualities.split(","), wish.picture):
        print(row, flush=True)


if __name__ == "__main__":
    main()
