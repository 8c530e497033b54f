"""Regenerate docs/benchmarks-variants.md: scenes as users have them, made from the raw ones beside this repository."""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gscompress import formats
from gscompress.bench.bd import rate_at
from gscompress.bench.machine import describe
from gscompress.bench.plan import Rules, SceneSpec, codec_specs
from gscompress.bench.results import SceneResults, collect, worst_psnr
from gscompress.bench.run import load, run, save
from gscompress.bench.tables import measured_on
from gscompress.comparison import compare
from gscompress.events import EventLog, Message
from gscompress.frame import rotate_quats
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.sh import rotate_sh
from gscompress.viewpoints import for_judging

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results: written by scripts/bench_variants.py -->", "<!-- end of results -->"
FILES = {"plush": "plush/scene.ply.xz", "splatfacto": "raw/splatfacto-22k.ply.xz", "fruit": "raw/fruit-drops-4k.ply.xz"}
LINES = {"spz": (0.25, np.inf), "sog": (0.4, 50.0), "gsplat_png": (0.5, 50.0)}
"""Most of a peer's bytes that ours may take at its PSNR, where that is at most so many dB."""
LARGE = 50_000  # Gaussians from which fewer points of the dial are measured, and one target of each kind
CUTS = (10, 25, 50, 75, 90)
TURN = np.linalg.qr(np.array([[0.3, -0.8, 0.5], [0.9, 0.4, 0.1], [-0.2, 0.6, 0.8]]))[0]
Told = dict[str, Any]
CHANGES = {
    "plush": ("sh0", "sh1", "sh2", "far", "x300", "crop"),
    "splatfacto": ("sh1", "x0.01", "x20", "far"),
    "fruit": ("sh0", "sh2", "x0.01", "x300"),
    "room": ("sh1", "sh3"),
}
"""Of a scene of FILES: cut to an SH degree, cropped to a sixth, scaled, or turned and moved far away; or trained."""
VARIANTS = [f"{source}-{change}" for source, changes in CHANGES.items() for change in changes]
TURNED = {"plush-far", "plush-x300", "splatfacto-x20", "splatfacto-far", "fruit-x0.01"}
TRAINED = {
    "room-sh1": ["--width=165", "--degree=1", "--steps=1200", "--budget=15000", "--seed=1"],
    "room-sh3": ["--width=247", "--steps=700", "--method=classic", "--budget=45000", "--seed=2"],
}


def make(name: str, data: Path, target: Path) -> None:
    if name in TRAINED:
        subprocess.run(["gscompress", "train", str(data / "plush"), str(target), *TRAINED[name]], check=True)
        return
    source, _, change = name.partition("-")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "scene.ply")
        plain.write_bytes(lzma.decompress((data / FILES[source]).read_bytes()))
        scene = formats.read(plain)
    splats = scene.splats.with_sh_degree(int(change[2:])) if change.startswith("sh") else scene.splats
    if change == "crop":
        away = np.abs(splats.means - np.median(splats.means, axis=0)).max(axis=1)
        splats = splats.take(np.flatnonzero(away <= np.quantile(away, 1 / 6)))
    if name in TURNED:
        means = (splats.means @ TURN.T).astype(np.float32)
        splats = replace(splats, means=means, quats=rotate_quats(splats.quats, TURN), sh=rotate_sh(splats.sh, TURN))
    scale = float(change[1:]) if change.startswith("x") else 1.0
    means = (scale * splats.means.astype(np.float64) + 1000.0 * (change == "far")).astype(np.float32)
    log_scales = (splats.log_scales + np.log(scale)).astype(np.float32)
    formats.write(replace(scene, splats=replace(splats, means=means, log_scales=log_scales)), target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--scenes", help="names, separated by commas; default: all", default="")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "variants", help="where cells are kept")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    wish = parser.parse_args()
    log = EventLog(lambda event: print(event.text, flush=True) if isinstance(event, Message) else None)
    for name in VARIANTS:
        if not wish.report and (not wish.scenes or name in wish.scenes.split(",")):
            measure(name, wish.data, wish.out, log)
    names = [name for name in VARIANTS if (wish.out / "claims" / f"{name}.json").exists()]
    found = collect(wish.out, names, log=log)
    page = ROOT / "docs" / "benchmarks-variants.md"
    before, _, rest = page.read_text("utf-8").partition(START)
    text = "\n".join([START, "", measured_on(found, describe()), *shares(found), *promises(wish.out, found), END])
    page.write_text(f"{before}{text}{rest.partition(END)[2]}", "utf-8")


def measure(name: str, data: Path, out: Path, log: EventLog) -> None:
    """Make the scene, fill its cells, and put what else is promised into ``claims/NAME.json``."""
    path, target = out / f"{name}.ply", out / "claims" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        make(name, data, path)
    scene = formats.read(path)
    qualities = (20, 35, 50, 70, 90) if len(scene) > LARGE else range(0, 101, 10)
    dial = "+".join(f"q{quality}" for quality in qualities)
    bits = ("v4", "v2", "8 bit") if scene.splats.sh_degree == 0 else ("5/4", "palette 65536", "65536 clusters")
    peers = ",".join(f"{peer}:{point}" for peer, point in zip(LINES, bits, strict=True))
    codecs = codec_specs(f"default:{dial},progressive:q50,lossless,xz:transposed,zstd:transposed,{peers}")
    run(out, [SceneSpec(name, path)], codecs, Rules(), log=log)
    if target.exists():
        return
    cells = collect(out, [name])[0].of("default")
    ends = [] if len(scene) > LARGE else [cells[0], cells[-1]]
    sizes = [round(cell["bytes"] * (0.95 if cell is cells[-1] else 1.1)) for cell in [cells[len(cells) // 2], *ends]]
    psnrs = [round(cells[len(cells) // 2]["psnr"]), *(round(c["psnr"]) + 1 - 2 * (c is cells[-1]) for c in ends)]
    progressive = out / "cells" / name / "progressive" / "q50" / f"{name}.gscz"
    told = {"sizes": [aimed(path, scene, "size", size) for size in sorted(sizes)]}
    told["psnrs"] = [aimed(path, scene, "psnr", psnr) for psnr in sorted(psnrs)]
    save(target, {**told, "cuts": [cut_off(progressive, scene, percent) for percent in CUTS]})


def aimed(path: Path, scene: Scene, what: str, wanted: float) -> Told:
    """``--target-size`` or ``--target-psnr``: what came of it, in the views that are aimed by."""
    with tempfile.TemporaryDirectory() as folder:
        told = command("compress", path, file := Path(folder, "a.gscz"), f"--target-{what}", str(wanted))
        got = told.get("output_bytes") if what == "size" or "error" in told else shown(file, scene).get("psnr")
    return {"wanted": wanted, "got": got, "error": told.get("error")}


def cut_off(whole: Path, scene: Scene, percent: int) -> Told:
    """The first bytes of a file: what ``decompress`` makes of them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.gscz")
        file.write_bytes(whole.read_bytes()[: whole.stat().st_size * percent // 100])
        return {"percent": percent, **shown(file, scene)}


def shown(file: Path, scene: Scene) -> Told:
    """What a compressed file shows in the views of ``--target-psnr``, after ``decompress``."""
    told = command("decompress", file, back := file.with_suffix(".ply"))
    if "error" not in told:
        told["psnr"] = compare(scene, formats.read(back), for_judging(scene), CpuRenderer()).mean.psnr
    return {name: told.get(name) for name in ("gaussians", "psnr", "error")}


def command(*words: str | Path) -> Told:
    """A command of gscompress in a process of its own, with what it says."""
    done = subprocess.run(["gscompress", *map(str, words), "--json"], capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout))


def shares(scenes: list[SceneResults]) -> Iterator[str]:
    """Our bytes at each peer's PSNR, as a share of the peer's; the largest gap to the worst view; CPU seconds."""
    yield "| scene | Gaussians | SPZ v4 | SOG | gsplat PNG | gap to the worst view | CPU s |"
    yield "|---|" + "--:|" * 6
    for scene in scenes:
        ours = scene.of("default")
        row = [share(scene, peer, *line) for peer, line in LINES.items()]
        gaps = [(cell["psnr"] - (worst_psnr(cell) or 0), cell["point"]) for cell in ours]
        seconds = np.median([cell["encode"]["cpu_seconds"] for cell in ours])
        gap = f"{min(gaps)[0]:.1f} to {max(gaps)[0]:.1f} dB ({max(gaps)[1]})"
        yield f"| {scene.name} | {scene.facts['gaussians']:,} | {' | '.join(row)} | {gap} | {seconds:.1f} |"
    yield ""


def share(scene: SceneResults, peer: str, most: float, until: float) -> str:
    """One entry: the peer's PSNR, our share; bold where the line is missed."""
    cell, mine = scene.of(peer)[0], scene.curve("default")
    inside = float(np.clip(cell["psnr"], mine.psnrs[0], mine.psnrs[-1]))
    part = (rate_at(mine, inside) or 0) / cell["bytes"]
    sign = "< " if cell["psnr"] < inside else "> " if cell["psnr"] > inside else ""
    text = f"{cell['psnr']:.1f} dB: {sign}{part:.0%}"
    return f"**{text}**" if (part > most or sign == "> ") and cell["psnr"] <= until else text


def promises(out: Path, scenes: list[SceneResults]) -> Iterator[str]:
    """Dial, targets, lossless, progressive."""
    cuts = ", ".join(map(str, CUTS))
    yield f"| scene | dial rises | sizes met | dB off | lossless / xz, zstd | progressive costs | its first {cuts} % |"
    yield "|---|---|---|---|---|--:|---|"
    for scene in scenes:
        told = load(out / "claims" / f"{scene.name}.json") or {}
        dial = sorted(scene.of("default"), key=lambda cell: float(cell["point"][1:]))
        steps = [(b["bytes"] > a["bytes"] and b["psnr"] > a["psnr"], b["point"]) for a, b in pairwise(dial)]
        falls = ", ".join(f"**not at {point}**" for higher, point in steps if not higher)
        sizes = (f"{one['got'] / one['wanted']:.1%}" if one["got"] else "**refused**" for one in told["sizes"])
        psnrs = (f"{one['got'] - one['wanted']:+.2f}" if one["got"] else "**refused**" for one in told["psnrs"])
        exact, *others = (scene.of(name)[0]["bytes"] for name in ("lossless", "xz", "zstd"))
        packed = ", ".join(f"{exact / other:.0%}" for other in others)
        layered, plain = scene.of("progressive")[0], next(cell for cell in dial if cell["point"] == "q50")
        cost = f"{layered['bytes'] / plain['bytes'] - 1:+.1%} ({layered['psnr'] - plain['psnr']:+.2f} dB)"
        first = ", ".join(f"{cut['psnr']:.1f}" if cut["psnr"] else "–" for cut in told["cuts"])
        row = falls or "at all", ", ".join(sizes), ", ".join(psnrs), packed, cost, first
        yield f"| {scene.name} | {' | '.join(row)} |"


if __name__ == "__main__":
    main()
