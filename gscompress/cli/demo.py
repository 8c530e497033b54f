"""``gscompress demo``: the main job on a scene that ships with the package, in memory, without the network."""

from __future__ import annotations

import time
from importlib.resources import as_file, files
from typing import Any

from gscompress.cli import console
from gscompress.cli.info import show_ledger
from gscompress.cli.options import Json
from gscompress.events import EventLog
from gscompress.scene import Scene

SCENE = "sushi.sog"
CREDIT = "drumath2237/sog-loader, Apache-2.0"
VIEWS = 8


def demo(as_json: Json = False) -> None:
    """Compress a real scene that ships with gscompress, decode it and compare."""
    from gscompress import api, formats
    from gscompress.cli.views import context
    from gscompress.container.reader import Reader, ledger

    with as_file(files("gscompress.data") / SCENE) as source, console.progress() as log:
        scene, stored = formats.read(source, log), source.stat().st_size
        recipe = api.recipe_for("default")
        started = time.perf_counter()
        data = api.compress(scene, ctx=context(recipe, scene, log))
        encoded = time.perf_counter()
        decoded = api.decompress(data)
        done = time.perf_counter()
        psnr = compare(scene, decoded, log)
    spent = ledger(Reader(data), len(scene))
    raw = scene.splats.nbytes
    if as_json:
        sizes = {"raw_bytes": raw, "sog_bytes": stored, "gscz_bytes": len(data)}
        speed = {"encode_seconds": round(encoded - started, 3), "decode_seconds": round(done - encoded, 3)}
        quality = {"views": len(psnr), "psnr_mean": round(sum(psnr) / len(psnr), 2), "psnr_worst": round(min(psnr), 2)}
        console.emit({"scene": SCENE, "gaussians": len(scene), **sizes, **speed, **quality, "ledger": spent.to_json()})
        return
    degree = scene.splats.sh_degree
    console.say(f"scene    {SCENE}: a phone scan of sushi ({CREDIT}), {len(scene):,} Gaussians, SH degree {degree}")
    console.say(
        f"input    {console.size_text(raw)} as float32 (.ply); the .sog it ships as is {console.size_text(stored)}"
    )
    console.say(f"output   {console.size_text(len(data))} as .gscz: {raw / len(data):.1f} times smaller than the .ply")
    console.say(
        f"seconds  {encoded - started:.2f} to compress, {done - encoded:.2f} to decode (the first run compiles)"
    )
    console.say(f"quality  {sum(psnr) / len(psnr):.2f} dB PSNR over {len(psnr)} views, worst {min(psnr):.2f} dB")
    show_ledger(spent)
    console.say("try it:  gscompress compress YOUR_SCENE.ply out.gscz")


def compare(scene: Scene, decoded: Scene, log: EventLog) -> list[float]:
    """PSNR (dB, pictures clipped to [0, 1]) of the decoded scene's renders against the original's, view by view."""
    from gscompress.metrics.psnr import psnr
    from gscompress.renderers import RENDERERS
    from gscompress.viewpoints import generate

    renderer: Any = RENDERERS.get("cpu")()
    out = []
    with log.phase("compare renders", VIEWS) as tick:
        # Another seed than the encoder's: these views were not looked at for compression.
        for camera in generate(scene, VIEWS, seed=1):
            before, after = (renderer.render(s, camera).rgb for s in (scene, decoded))
            out.append(psnr(before, after))
            tick(1)
    return out
