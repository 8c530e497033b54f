"""``gscompress distill``: a radiance field as another kind of field, or as splats."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gscompress.atomic import check_target
from gscompress.cli import console
from gscompress.cli.options import Force, Json
from gscompress.distill import STUDENTS
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.field import Field

if TYPE_CHECKING:
    from gscompress.camera import Camera
    from gscompress.datasets.view import View

Teacher = Annotated[Path, typer.Argument(metavar="IN", help="A radiance field: checkpoint, npz or .gscz.")]
Student = Annotated[Path, typer.Argument(metavar="OUT", help="The new field's file, or a splat file of any format.")]
To = Annotated[str, typer.Option("--to", metavar="KIND", help="hash_grid, planes, voxels, mlp or splats.")]
Seconds = Annotated[float, typer.Option(metavar="N", help="Of training.")]
Data = Annotated[Path | None, typer.Option(metavar="PHOTOS", help="Learn from these photos too, and from their views.")]
Cameras = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Look at the field from here; default: around it, generated.")
]
Width = Annotated[int | None, typer.Option(metavar="PIXELS", help="Scale photos and views to this width.")]
Side = Annotated[int | None, typer.Option(metavar="N", help="Samples along an axis of planes (256) or voxels (128).")]
Budget = Annotated[int, typer.Option(metavar="N", help="Most Gaussians.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Of every random draw.")]

_GENERATED = (48, 128, 128)


def distill(
    source: Teacher,
    target: Student,
    to: To,
    seconds: Seconds = 120.0,
    data: Data = None,
    cameras: Cameras = None,
    width: Width = None,
    side: Side = None,
    budget: Budget = 40_000,
    seed: Seed = 0,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Convert a radiance field to another kind by Progressive Volume Distillation, or to splats."""
    from gscompress import formats
    from gscompress.cli import fields

    if to not in (*STUDENTS, "splats"):
        raise UsageError(f"--to {to}: fields are distilled to {', '.join(STUDENTS)} or splats")
    if not (0 < seconds < 1e6 and 8 <= (side or 128) <= 512 and 64 <= budget <= 10**8):
        raise UsageError("distillation takes up to 1,000,000 seconds, a side of 8 to 512, 64 to 100,000,000 Gaussians")
    if data is not None and cameras is not None:
        raise UsageError("--data brings its own cameras: leave out --cameras")
    check_target(target, force=force)
    if to == "splats":
        formats.by_suffix(target)
    with console.progress() as log:
        teacher = fields.read(source, log)
        chosen, photos, test = _seen(teacher, data, cameras, width, log)
        started = time.perf_counter()
        student = _student(teacher, to, chosen, photos, seconds, side, budget, seed, log)
        spent = time.perf_counter() - started
        if isinstance(student, Field):
            from gscompress.formats.fields import write_field

            write_field(student, target, force=force)
        else:
            formats.write(student, target, force=force, log=log)
        scores = _scores(teacher, student, test, log)
    size = {"weights": student.weights} if isinstance(student, Field) else {"gaussians": len(student)}
    if as_json:
        facts = {"input": str(source), "output": str(target), "kind": to, **size, "seconds": round(spent, 1)}
        console.emit({**facts, **scores, "warnings": log.warnings})
        return
    (name, count), kind = next(iter(size.items())), teacher.spec.kind
    console.say(f"{source.name} ({kind}) → {target.name} ({to}, {count:,} {name}, {spent:.0f} s)")
    if scores:
        console.say(
            f"{scores['held_out_views']} held-out photos: {scores['psnr']:.2f} dB, "
            f"the original {scores['teacher_psnr']:.2f} dB"
        )


def _seen(
    teacher: Field, data: Path | None, cameras: Path | None, width: int | None, log: EventLog
) -> tuple[Sequence[Camera], list[Any], list[View]]:
    """Cameras to learn from, their photos if there are any, and views that are held out."""
    from gscompress.cli.fields import backdrop
    from gscompress.datasets import load_cameras, load_views
    from gscompress.field_views import generate

    if data is not None:
        red, green, blue = (round(255 * channel) for channel in backdrop(teacher, (0.0, 0.0, 0.0)))
        views = load_views(data, width=width, background=(red, green, blue), log=log)
        train = [view for view in views if view.split == "train"]
        return [v.camera for v in train], [v.image for v in train], [v for v in views if v.split == "test"]
    if cameras is None:
        return generate(teacher, *_GENERATED), [], []
    chosen = load_cameras(cameras, "train")
    if width is not None:
        chosen = [c.resized(width, max(1, round(c.height * width / c.width))) for c in chosen]
    return chosen, [], []


def _student(
    teacher: Field,
    to: str,
    cameras: Sequence[Camera],
    photos: list[Any],
    seconds: float,
    side: int | None,
    budget: int,
    seed: int,
    log: EventLog,
) -> Any:
    if to == "splats":
        from gscompress.distill.to_splats import SplatPlan, distill_to_splats

        return distill_to_splats(teacher, cameras, SplatPlan(seconds, budget, seed=seed), photos=photos, log=log)
    from gscompress.distill.staged import Plan, distill

    return distill(teacher, to, cameras, Plan(seconds, side=side, seed=seed), photos=photos, log=log)


def _scores(teacher: Field, student: Any, test: list[View], log: EventLog) -> dict[str, Any]:
    """Mean PSNR of both against held-out photos; nothing without any."""
    if not test:
        return {}
    import numpy as np

    from gscompress.cli.fields import backdrop
    from gscompress.metrics import eight_bit, psnr
    from gscompress.renderers.cpu import CpuRenderer
    from gscompress.renderers.volume import VolumeRenderer

    behind = backdrop(teacher, (0.0, 0.0, 0.0))
    of_fields = VolumeRenderer()  # one for all views: it prepares each field once
    of_student: Any = of_fields if isinstance(student, Field) else CpuRenderer()
    found: dict[str, list[float]] = {"psnr": [], "teacher_psnr": []}
    with log.phase("held-out photos", len(test)) as tick:
        for view in test:
            for name, thing, engine in (("psnr", student, of_student), ("teacher_psnr", teacher, of_fields)):
                picture = eight_bit(engine.render(thing, view.camera, background=behind).rgb)
                found[name].append(psnr(view.image, picture))
            tick(1)
    means = {name: round(float(np.mean(values)), 3) for name, values in found.items()}
    return {"held_out_views": len(test), **means}
