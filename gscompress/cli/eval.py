"""``gscompress eval``: what a file lost against its original, measured on renders and, with --data, on photos."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gscompress.atomic import check_target, staged
from gscompress.cli import console
from gscompress.cli.cameras import choose, parse_colour, parse_pixels
from gscompress.cli.options import Force, Json, Source
from gscompress.cli.render import Background, RendererName, Size
from gscompress.errors import UsageError
from gscompress.events import EventLog

if TYPE_CHECKING:
    from gscompress.comparison import Comparison, Score
    from gscompress.datasets.view import View
    from gscompress.renderers.base import Renderer
    from gscompress.scene import Scene

Against = Annotated[Path, typer.Option(metavar="REF", help="The original to compare with.")]
Cameras = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|KIND:N",
        help="cameras.json, transforms.json, a COLMAP folder, or generated: auto:24 (default), orbit:24, inside:24.",
    ),
]
Data = Annotated[
    Path | None, typer.Option(metavar="PHOTOS", help="A dataset: also measure both on its held-out photos.")
]
PictureOut = Annotated[
    Path | None, typer.Option("--picture", metavar="OUT.png", help="Worst view: original, decoded and error map.")
]
Lpips = Annotated[bool, typer.Option("--lpips", help="Also LPIPS (VGG; needs torch and its weights).")]


def evaluate(
    source: Source,
    against: Against,
    cameras: Cameras = None,
    data: Data = None,
    size: Size = None,
    renderer: RendererName = "cpu",
    background: Background = "black",
    picture: PictureOut = None,
    lpips: Lpips = False,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Measure PSNR and SSIM of a splat file against its original."""
    from gscompress import formats
    from gscompress.cli import fields
    from gscompress.comparison import compare
    from gscompress.frame import RDF
    from gscompress.renderers import RENDERERS

    colour, pixels = parse_colour(background), parse_pixels(size)
    if picture is not None:
        if picture.suffix.lower() != ".png":
            raise UsageError(f"{picture.name}: --picture writes a .png file")
        check_target(picture, force=force)
    if data is not None and cameras is not None:
        raise UsageError("--data brings its own cameras: leave out --cameras")
    reference: Any
    decoded: Any
    engine: Any
    with console.progress() as log:
        of_field = fields.recognised(against)
        if of_field:
            from gscompress.renderers.volume import VolumeRenderer

            reference, decoded, engine = fields.read(against, log), fields.read(source, log), VolumeRenderer()
            colour = fields.backdrop(reference, colour)
        else:
            engine = RENDERERS.get(renderer)()
            reference = formats.read(against, log).in_frame(RDF)
            decoded = formats.read(source, log).in_frame(RDF)
        views = None if data is None else held_out(data, pixels, colour, log)
        place = fields.views if of_field else choose
        chosen = [view.camera for view in views] if views else place(reference, cameras or "auto:24", pixels)
        photos = (view.image for view in views) if views else None
        result = compare(
            reference, decoded, chosen, engine, photos=photos, background=colour, with_lpips=lpips, log=log
        )
        if picture is not None:
            worst_picture(picture, reference, decoded, result, engine, colour, force)
    if as_json:
        sizes = {"input_bytes": console.size_of(source), "reference_bytes": console.size_of(against)}
        counts: dict[str, Any] = {"renderer": engine.name}
        if not of_field:
            counts = {"gaussians": len(decoded), "reference_gaussians": len(reference), **counts}
        facts = {"input": str(source), "reference": str(against), **sizes, **counts}
        console.emit({**facts, **result.to_json(), "warnings": log.warnings})
        return
    _show(source, against, result)


def held_out(data: Path, size: tuple[int, int] | None, colour: tuple[float, float, float], log: EventLog) -> list[View]:
    """The test views of a dataset, as wide as ``size`` says. Raises UnreadableError, UsageError without any."""
    from gscompress.datasets import load_views

    under = tuple(round(255 * channel) for channel in colour)
    views = load_views(data, width=size[0] if size else None, background=(under[0], under[1], under[2]), log=log)
    test = [view for view in views if view.split == "test"]
    if not test:
        raise UsageError(f"{data}: none of its {len(views)} views is held out for testing")
    return test


def worst_picture(
    target: Path,
    reference: Scene,
    decoded: Scene,
    result: Comparison,
    engine: Renderer,
    colour: tuple[float, float, float],
    force: bool,
) -> None:
    """Original, decoded and error of the worst view as a PNG file."""
    from gscompress.comparison import picture
    from gscompress.pictures import side_by_side

    worst = result.worst
    before, after = (picture(engine, scene, worst.camera, colour)[0] for scene in (reference, decoded))
    sheet = side_by_side(before, after, (f"original: {worst.camera.name}", f"decoded: {decibels(worst.score.psnr)}"))
    with staged(target, force=force) as path:
        sheet.save(path, format="PNG")


def decibels(psnr: float) -> str:
    """For people: "42.31 dB", or "identical"."""
    return "identical" if math.isinf(psnr) else f"{psnr:.2f} dB"


def _show(source: Path, against: Path, result: Comparison) -> None:
    before, after = console.size_of(against), console.size_of(source)
    camera = result.views[0].camera
    console.say(
        f"{source.name} ({console.size_text(after)}) against {against.name} ({console.size_text(before)}, "
        f"{before / max(after, 1):.1f} times that), {len(result.views)} views of {camera.width}x{camera.height}"
    )
    worst = result.worst
    rows = [_row("mean", result.mean), _row(f"worst: {worst.camera.name}", worst.score)]
    if result.photos:
        original, decoded = result.photos
        rows += [_row("original against photos", original), _row("decoded against photos", decoded)]
        rows.append(_row("drop", _drop(original, decoded), endless="–"))
    with_lpips = result.mean.lpips is not None
    console.table(["", "PSNR dB", "SSIM", *(["LPIPS"] if with_lpips else [])], rows)


def _row(title: str, score: Score, endless: str = "identical") -> list[str]:
    numbers: list[Any] = [score.ssim] if score.lpips is None else [score.ssim, score.lpips]
    first = f"{score.psnr:.2f}" if math.isfinite(score.psnr) else endless
    return [title, first, *("" if number is None else f"{number:.4f}" for number in numbers)]


def _drop(original: Score, decoded: Score) -> Score:
    from gscompress.comparison import Score

    def less(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a - b

    lost = 0.0 if original.psnr == decoded.psnr else original.psnr - decoded.psnr
    return Score(lost, less(original.ssim, decoded.ssim), less(original.lpips, decoded.lpips))
