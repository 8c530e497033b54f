"""``gscompress train``: fit a scene to photos on the CPU."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gscompress.atomic import check_target
from gscompress.cli import console
from gscompress.cli.cameras import parse_colour
from gscompress.cli.options import Force, Json, Target
from gscompress.errors import UnreadableError
from gscompress.events import EventLog

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gscompress.camera import Camera
    from gscompress.scene import Scene

Data = Annotated[
    Path, typer.Argument(metavar="DATA", help="Photos: a COLMAP folder (with sparse points), transforms.json, Blender.")
]
Steps = Annotated[int, typer.Option(metavar="N", help="Updates; 30000 is what a GPU would do.")]
Budget = Annotated[int, typer.Option(metavar="N", help="Most Gaussians.")]
Method = Annotated[str, typer.Option(metavar="NAME", help="mcmc (3DGS-MCMC) or classic (clone and split).")]
Degree = Annotated[int, typer.Option(metavar="0..3", help="Degree of the spherical harmonics.")]
Width = Annotated[int | None, typer.Option(metavar="PIXELS", help="Scale the photos to this width.")]
Background = Annotated[
    str, typer.Option(metavar="COLOUR", help="Behind the scene in transparent photos: black, white or #rrggbb.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Of every random draw.")]


def train(
    data: Data,
    target: Target,
    steps: Steps = 3000,
    budget: Budget = 50_000,
    method: Method = "mcmc",
    degree: Degree = 3,
    width: Width = None,
    seed: Seed = 0,
    background: Background = "black",
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Train a scene from photos (minutes to hours on a CPU)."""
    from gscompress import formats
    from gscompress.cli.eval import held_out
    from gscompress.cli.views import training_photos
    from gscompress.context import Context
    from gscompress.renderers import RENDERERS
    from gscompress.tune.train import Training
    from gscompress.tune.train import train as fit

    plan = Training(steps, budget, method, degree)  # type: ignore[arg-type]
    colour = parse_colour(background)
    formats.by_suffix(target)
    check_target(target, force=force)
    renderer = RENDERERS.get("cpu")()
    with console.progress() as log:
        cameras, photos = training_photos(data, width, log, colour)
        ctx = Context(seed=seed, log=log, renderer=renderer, cameras=cameras, photos=photos, background=colour)
        points, colours = start(data, cameras, budget, seed, log)
        started = time.perf_counter()
        scene = fit(points, colours, ctx, plan)
        seconds = time.perf_counter() - started
        formats.write(scene, target, force=force, log=log)
        test = held_out(data, None if width is None else (width, 0), colour, log)
        psnr = score(scene, [view.camera for view in test], [view.image for view in test], colour)
    facts = {"output": str(target), "gaussians": len(scene), "steps": steps, "method": method}
    if as_json:
        console.emit(
            {**facts, "seconds": round(seconds, 1), "held_out_views": len(test), "psnr": psnr, "warnings": log.warnings}
        )
        return
    console.say(
        f"{target.name}: {len(scene):,} Gaussians, {psnr:.2f} dB on {len(test)} held-out photos ({seconds:.0f} s)"
    )


def start(
    data: Path, cameras: list[Camera], budget: int, seed: int, log: EventLog
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.uint8]]:
    """The dataset's sparse points, or random ones with a warning."""
    from gscompress.datasets import load_points
    from gscompress.tune.start import random_points

    try:
        return load_points(data)
    except UnreadableError as error:
        log.warn(f"{error}: starting from random points")
        return random_points(cameras, max(16, budget // 4), seed)


def score(
    scene: Scene, cameras: list[Camera], photos: list[npt.NDArray[np.uint8]], colour: tuple[float, float, float]
) -> float:
    """Mean PSNR in dB."""
    import numpy as np

    from gscompress.metrics import eight_bit, psnr
    from gscompress.renderers.cpu import CpuRenderer

    renderer = CpuRenderer()
    values = [
        psnr(eight_bit(renderer.render(scene, c, background=colour).rgb), photo) for c, photo in zip(cameras, photos)
    ]
    return round(float(np.mean(values)), 3)
