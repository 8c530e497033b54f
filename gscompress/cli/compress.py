"""``gscompress compress``: any splat file to ``.gscz``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from gscompress.atomic import check_target
from gscompress.cli import console
from gscompress.cli.cameras import parse_colour
from gscompress.cli.options import Do, Force, Json, Source
from gscompress.errors import UsageError

Output = Annotated[Path, typer.Argument(metavar="OUT", help="The .gscz file to write.")]
Preset = Annotated[str, typer.Option(metavar="NAME", help="What to do; 'gscompress presets' lists them.")]
Quality = Annotated[float | None, typer.Option(metavar="0..100", help="0 is smallest, 100 is best.")]
Size = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Largest file, as 5MB: search the quality that fills it.")
]
Decibels = Annotated[
    float | None,
    typer.Option(metavar="DB", help="Search the quality that has this PSNR against the original's renders."),
]
Tune = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Self-distillation against the original's renders, no photos needed."),
]
Cameras = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Views to judge by (cameras.json, transforms.json, COLMAP); default: generated."),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="PHOTOS", help="Photos to tune against: a COLMAP or Blender folder or transforms.json; see presets."
    ),
]
Width = Annotated[
    int | None, typer.Option(metavar="PIXELS", help="Scale the photos to this width; default: as stored.")
]
Background = Annotated[
    str, typer.Option(metavar="COLOUR", help="Behind the scene in transparent photos: black, white or #rrggbb.")
]
Checkpoints = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Keep finished stages of tuning here and go on from them.")
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="OUT.html", help="Also write a page with sizes, pictures and the worst view."),
]


def compress(
    source: Source,
    target: Output,
    preset: Preset = "default",
    quality: Quality = None,
    target_size: Size = None,
    target_psnr: Decibels = None,
    tune: Tune = None,
    do: Do = None,
    cameras: Cameras = None,
    data: Data = None,
    width: Width = None,
    background: Background = "black",
    checkpoints: Checkpoints = None,
    page: Report = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Compress a scene to a .gscz file."""
    from gscompress import api, formats
    from gscompress.cli.views import Given, context, load
    from gscompress.codecs import gscz
    from gscompress.container.reader import Reader, ledger

    if target.suffix.lower() != ".gscz":
        raise UsageError(f"{target.name}: compress writes .gscz files; for other formats use 'gscompress convert'")
    for path in filter(None, (target, page)):
        check_target(path, force=force)
    from gscompress.cli import fields

    if fields.recognised(source):
        of_splats = {"--target-size": target_size, "--target-psnr": target_psnr, "--do": do}
        fields.compress(
            source,
            target,
            preset=preset,
            quality=quality,
            tune=tune,
            cameras=cameras,
            as_json=as_json,
            force=force,
            unused={**of_splats, "--report": page},
        )
        return
    wishes: dict[str, Any] = {"quality": quality, "tune": tune, "do": do or ()}
    recipe = api.recipe_for(preset, **wishes)
    size = None if target_size is None else console.parse_size(target_size)
    with console.progress() as log:
        scene = formats.read(source, log)
        started = time.perf_counter()
        aims = target_psnr is not None
        ctx = context(recipe, scene, log, Given(cameras, data, width, checkpoints, parse_colour(background), aims))
        result = api.compress_to_file(
            scene, target, preset, **wishes, target_size=size, target_psnr=target_psnr, ctx=ctx, force=force
        )
        seconds = time.perf_counter() - started
        measured: dict[str, Any] = {}
        if page is not None:
            from gscompress.cli.report import report_compression

            views = load(cameras)
            shown = report_compression(
                page, source, target, scene, seconds=seconds, cameras=views, log=log, force=force
            )
            measured = {"report": str(page), "quality": shown.to_json()}
    reader = Reader.open(target)
    before, spent = console.size_of(source), ledger(reader, len(scene))
    if as_json:
        console.emit(
            {
                "input": str(source),
                "output": str(target),
                "input_bytes": before,
                "output_bytes": result.size,
                "ratio": round(before / result.size, 3),
                "gaussians": len(scene),
                "stored_gaussians": gscz.stored_gaussians(reader, recipe.codec),
                "seconds": round(seconds, 3),
                "codec": reader.header["codec"],
                "recipe": reader.header["recipe"],
                "ledger": spent.to_json(),
                **measured,
                "warnings": log.warnings,
            }
        )
        return
    console.say(
        f"{source.name} {console.size_text(before)} → {target.name} {console.size_text(result.size)} "
        f"({before / result.size:.1f} times smaller, {result.size / max(len(scene), 1):.2f} bytes per Gaussian, "
        f"{seconds:.1f} s)"
    )
