"""``gscompress decompress``: ``.gscz`` to any format that can be written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from gscompress.atomic import check_target
from gscompress.cli import console
from gscompress.cli.options import Do, Force, Json, Target
from gscompress.errors import UnreadableError, UsageError

Input = Annotated[Path, typer.Argument(metavar="IN", help="A .gscz file.")]
Level = Annotated[int | None, typer.Option("--level", min=0, max=255, help="Stop after this level; 0 is the base.")]


def decompress(
    source: Input, target: Target, level: Level = None, do: Do = None, as_json: Json = False, force: Force = False
) -> None:
    """Decode a .gscz file into another format."""
    from gscompress import formats
    from gscompress.cli import fields
    from gscompress.cli.convert import write_new
    from gscompress.codecs import gscz
    from gscompress.container.reader import Reader

    check_target(target, force=force)
    if fields.recognised(source):
        if level is not None or do:
            raise UsageError(f"{source.name} holds a radiance field: --level and --do are for splats")
        fields.decompress(source, target, as_json=as_json, force=force)
        return
    formats.by_suffix(target)
    with console.progress() as log:
        started = time.perf_counter()
        if not source.exists():
            raise UnreadableError(f"{source}: no such file")
        try:
            scene = gscz.decode_last(Reader.open(source), log, level)
        except UnreadableError as error:
            raise type(error)(f"{source}: {error}") from error
        decoded = time.perf_counter() - started
        scene = write_new(scene, target, do or (), force, log)
    if as_json:
        facts = {"input": str(source), "output": str(target), "gaussians": len(scene)}
        sizes = {"input_bytes": source.stat().st_size, "output_bytes": console.size_of(target)}
        console.emit({**facts, **sizes, "decode_seconds": round(decoded, 3), "warnings": log.warnings})
        return
    console.say(
        f"{source.name} {console.size_text(source.stat().st_size)} → {target.name} "
        f"{console.size_text(console.size_of(target))} ({len(scene):,} Gaussians, decoded in {decoded:.2f} s)"
    )
