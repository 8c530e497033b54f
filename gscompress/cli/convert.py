"""``gscompress convert``: any format to any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gscompress.atomic import check_target
from gscompress.cli import console
from gscompress.cli.options import Do, Force, Json
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene

Inputs = Annotated[list[Path], typer.Argument(metavar="IN...", help="Splat files of any known format.")]
Pattern = Annotated[
    str,
    typer.Argument(
        metavar="OUT", help="The output; for several inputs a pattern: {stem} input's name, {index} its number."
    ),
]


def convert(inputs: Inputs, output: Pattern, do: Do = None, as_json: Json = False, force: Force = False) -> None:
    """Convert splat files from any format to any other."""
    from gscompress import formats

    targets = expand(inputs, output)
    for target in targets:
        formats.by_suffix(target)
        check_target(target, force=force)
    done = []
    for source, target in zip(inputs, targets):
        with console.progress() as log:
            scene = write_new(formats.read(source, log), target, do or (), force, log)
        sizes = {"input_bytes": console.size_of(source), "output_bytes": console.size_of(target)}
        facts = {"input": str(source), "output": str(target), "gaussians": len(scene)}
        done.append({**facts, **sizes, "warnings": log.warnings})
        if not as_json:
            before, after = (console.size_text(size) for size in sizes.values())
            console.say(f"{source.name} {before} → {target} {after} ({len(scene):,} Gaussians)")
    if as_json:
        console.emit({"files": done})


def expand(inputs: Sequence[Path], pattern: str) -> list[Path]:
    """One output path per input. Raises UsageError when the pattern is broken or two inputs would share an output."""
    targets = []
    for index, source in enumerate(inputs):
        try:
            targets.append(Path(pattern.format(stem=console.stem(source), index=index)))
        except (KeyError, IndexError, ValueError, AttributeError):
            raise UsageError(f"output pattern '{pattern}': use {{stem}} or {{index}} in braces, nothing else") from None
    if len(set(targets)) < len(targets):
        raise UsageError(
            f"several inputs would be written to '{targets[0]}': put {{stem}} or {{index}} into the output"
        )
    return targets


def write_new(scene: Scene, target: Path, do: Sequence[str], force: bool, log: EventLog) -> Scene:
    """Apply the ``--do`` transforms and write; returns what was written. Raises UsageError, OutputExistsError.

    A .gscz is what ``compress`` would make of it by default.
    """
    from gscompress import api, formats
    from gscompress.cli.views import context
    from gscompress.context import Context
    from gscompress.recipe import parse_transforms

    for transform in parse_transforms(do):
        scene = transform(scene, Context(log=log))
    if formats.by_suffix(target).name == "gscz":
        api.compress_to_file(scene, target, ctx=context(api.recipe_for("default"), scene, log), force=force)
        return scene
    with log.phase(f"write {target.name}"):
        formats.write(scene, target, force=force, log=log)
    return scene
