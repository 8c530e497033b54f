"""``gscompress stream info``: what a stream holds and what its frames cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gscompress.cli import console
from gscompress.cli.options import Json

Stream = Annotated[Path, typer.Argument(metavar="IN", help="A stream made by 'gscompress stream encode'.")]


def info(source: Stream, as_json: Json = False) -> None:
    """Show what a stream holds: its codec, its groups of pictures and the bytes of its frames."""
    from gscompress.stream.file import StreamFile
    from gscompress.stream.frames import GopDecoder

    stream = StreamFile(source)
    decoder = GopDecoder(stream.header)
    keys = [place.frame_sizes[0] for place in stream.gops]
    others = [size for place in stream.gops for size in place.frame_sizes[1:]]
    facts = {
        "path": str(source),
        "size": stream.size,
        "frames": stream.frames,
        "fps": decoder.fps,
        "seconds": round(stream.frames / decoder.fps, 3),
        "gops": len(stream.gops),
        "gaussians": stream.header["scene"]["gaussians"],
        "sh_degree": stream.header["scene"]["sh_degree"],
        "codec": repr(decoder.codec),
        "bytes_per_second": round(stream.size / stream.frames * decoder.fps),
        "key_frame_bytes": round(sum(keys) / len(keys)),
        "residual_frame_bytes": round(sum(others) / len(others)) if others else 0,
        "cut_off": stream.truncated,
    }
    if as_json:
        places = [{"first_frame": p.first_frame, "offset": p.offset, "frame_bytes": p.frame_sizes} for p in stream.gops]
        console.emit({**facts, "groups": places})
        return
    for name, value in facts.items():
        console.say(f"{name.replace('_', ' ') + ':':22} {f'{value:,}' if type(value) is int else value}")
