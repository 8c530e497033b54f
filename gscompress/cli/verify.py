"""``gscompress verify``: is this file whole, and does it decode?"""

from __future__ import annotations

import time

from gscompress.cli import console
from gscompress.cli.options import Json, Source
from gscompress.errors import UnreadableError


def verify(source: Source, as_json: Json = False) -> None:
    """Check every checksum and decode the file; exit code 3 when something is wrong."""
    from gscompress import formats
    from gscompress.cli import fields
    from gscompress.codecs import gscz
    from gscompress.container.reader import Reader

    if fields.recognised(source):
        fields.verify(source, as_json=as_json)
        return
    form = formats.detect(source)
    started = time.perf_counter()
    checks = ["decodes"]
    with console.progress() as log:
        if form.name == "gscz":
            checks = ["checksums", "index", "decodes"]
            try:
                reader = Reader.open(source)
                reader.check()
                scene = gscz.decode_last(reader, log)
            except UnreadableError as error:
                raise type(error)(f"{source}: {error}") from error
        else:
            scene = form.read(source, log)
    facts = {"path": str(source), "format": form.name, "ok": True, "checks": checks, "gaussians": len(scene)}
    seconds = round(time.perf_counter() - started, 3)
    if as_json:
        console.emit({**facts, "seconds": seconds, "warnings": log.warnings})
        return
    console.say(f"{source}: ok ({', '.join(checks)}; {len(scene):,} Gaussians, {seconds:.2f} s)")
