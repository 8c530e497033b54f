"""``gscompress stream encode``: a sequence of splat files to one ``.gscz`` stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from gscompress.atomic import check_target, staged
from gscompress.cli import console
from gscompress.cli.options import Force, Json
from gscompress.errors import UsageError

Frames = Annotated[Path, typer.Argument(metavar="FRAMES", help="A folder or zip of per-frame splat files.")]
Output = Annotated[Path, typer.Argument(metavar="OUT", help="The .gscz file to write.")]
Rate = Annotated[float, typer.Option(metavar="FPS", help="Frames per second.")]
Group = Annotated[int, typer.Option(metavar="N", help="Most frames from one key frame to the next (seek points).")]
Quality = Annotated[float, typer.Option(metavar="0..100", help="0 is smallest, 100 is best.")]
Codec = Annotated[str, typer.Option("--codec", metavar="NAME", help="stream (ours), queen, or intra (no residuals).")]
Cameras = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Views to judge by (cameras.json, transforms.json, COLMAP); default: generated."),
]


def encode(
    frames: Frames,
    target: Output,
    fps: Rate = 30.0,
    gop: Group = 30,
    quality: Quality = 50.0,
    codec: Codec = "intra",
    cameras: Cameras = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Encode a sequence of splat files as a stream."""
    from gscompress.cli.stream_views import context_for
    from gscompress.cli.views import in_axes_of, load
    from gscompress.config import from_config
    from gscompress.sequence import read_sequence
    from gscompress.stream import STREAM_CODECS
    from gscompress.stream.file import write_stream
    from gscompress.stream.frames import Gop, encode_gops, header_for

    if target.suffix.lower() != ".gscz":
        raise UsageError(f"{target.name}: stream encode writes .gscz files")
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range: give 0 (smallest) to 100 (best)")
    check_target(target, force=force)
    chosen = from_config(STREAM_CODECS.get(codec), {"quality": quality})
    with console.progress() as log:
        sequence = read_sequence(frames, fps, log)
        started = time.perf_counter()
        first = sequence.frames[0]
        ctx = context_for(first, in_axes_of(first, load(cameras)), log)
        header = header_for(first, chosen, fps=fps, gop=gop, frames=len(sequence))
        made: list[dict[str, Any]] = []

        def reported() -> Iterator[Gop]:
            with log.phase("encode frames", len(sequence)) as tick:
                for one in encode_gops(sequence, chosen, ctx, fps, gop):
                    made.append({"first_frame": one.first_frame, "frame_bytes": list(one.frame_sizes)})
                    tick(one.frames)
                    yield one

        with staged(target, force=force) as path, path.open("wb") as out:
            size = write_stream(out, header, reported())
    seconds = time.perf_counter() - started
    rate = size / len(sequence) * fps
    if as_json:
        facts = {"output": str(target), "output_bytes": size, "frames": len(sequence), "bytes_per_second": round(rate)}
        console.emit({**facts, "seconds": round(seconds, 3), "gops": made, "warnings": log.warnings})
        return
    console.say(
        f"{len(sequence)} frames → {target.name} {console.size_text(size)} "
        f"({console.size_text(size / len(sequence))} per frame, {console.size_text(rate)}/s at {fps:g} fps, "
        f"{seconds / len(sequence):.2f} s per frame)"
    )
