"""``gscompress stream decode``: frames of a stream as splat files of any format."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from gscompress.atomic import check_target, staged
from gscompress.cli import console
from gscompress.cli.options import Force, Json
from gscompress.errors import UsageError

Stream = Annotated[Path, typer.Argument(metavar="IN", help="A stream made by 'gscompress stream encode'.")]
Target = Annotated[Path, typer.Argument(metavar="OUT", help="A folder for all frames, or a splat file for one.")]
Frame = Annotated[int | None, typer.Option("--frame", min=0, metavar="N", help="Only this frame; 0 is the first.")]
Kind = Annotated[str, typer.Option("--format", metavar="SUFFIX", help="Type of the files in the folder, such as ply.")]


def decode(
    source: Stream, target: Target, frame: Frame = None, kind: Kind = "ply", as_json: Json = False, force: Force = False
) -> None:
    """Decode a stream into a folder of splat files, or one of its frames into a file."""
    from gscompress import formats
    from gscompress.stream.file import StreamFile
    from gscompress.stream.frames import GopDecoder

    suffix = "." + kind.lstrip(".").lower()
    checked = formats.by_suffix(target if frame is not None else Path("frame" + suffix))
    if not checked.writable:
        raise UsageError(f"gscompress reads .{checked.name} files but does not write them: choose another output")
    check_target(target, force=force)
    with console.progress() as log:
        stream = StreamFile(source)
        decoder, started = GopDecoder(stream.header), time.perf_counter()
        if stream.truncated:
            log.warn(f"{source.name} is cut off: it holds {stream.frames} whole frames")
        if frame is not None:
            _, scene = next(decoder.frames(stream.data(stream.gop_of(frame)), frame))
            formats.write(scene, target, force=force, log=log)
            written = 1
        else:
            written, digits = 0, max(4, len(str(stream.frames)))
            with staged(target, force=force) as folder, log.phase("decode frames", stream.frames) as tick:
                folder.mkdir()
                for place in stream.gops:
                    for number, scene in decoder.frames(stream.data(place)):
                        formats.write(scene, folder / f"frame_{number:0{digits}d}{suffix}", log=log)
                        written += 1
                        tick(1)
    seconds = time.perf_counter() - started
    if as_json:
        facts = {"input": str(source), "output": str(target), "frames": written, "seconds": round(seconds, 3)}
        console.emit({**facts, "warnings": log.warnings})
        return
    console.say(f"{source.name} → {target} ({written} frames in {seconds:.2f} s)")
