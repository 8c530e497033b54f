"""From a trainer's checkpoint to a ``.gscz``, without a word on the screen: what a trainer does when it is done."""

from __future__ import annotations

from pathlib import Path

from gscompress.atomic import staged
from gscompress.events import EventLog


def finish(checkpoint: Path, target: Path, quality: float | None = None, log: EventLog | None = None) -> int:
    """Compress a checkpoint of splats or of a radiance field; returns the size in bytes, and replaces ``target``.

    quality: 0 to 100, by default the codec's own. Raises UnreadableError, UsageError, MissingExtraError.
    """
    from gscompress.cli import fields

    log = log or EventLog()
    if fields.recognised(checkpoint):
        return _field(checkpoint, target, quality, log)
    return _splats(checkpoint, target, quality, log)


def _field(checkpoint: Path, target: Path, quality: float | None, log: EventLog) -> int:
    from gscompress.cli import fields
    from gscompress.codecs import field_gscz
    from gscompress.codecs.field_codec import FieldContext
    from gscompress.codecs.field_codecs import codec_for

    field = fields.read(checkpoint, log)
    codec = fields.with_options(codec_for(field), quality, None)
    ctx = FieldContext(log=log, judge=fields.judge(field, None, photos=False, log=log))
    with staged(target, force=True) as temporary, temporary.open("wb") as stream:
        return field_gscz.encode(stream, field, codec, ctx)


def _splats(checkpoint: Path, target: Path, quality: float | None, log: EventLog) -> int:
    from gscompress import api, formats
    from gscompress.cli.views import context

    scene = formats.read(checkpoint, log)
    ctx = context(api.recipe_for("default", quality=quality), scene, log)
    return api.compress_to_file(scene, target, "default", quality=quality, ctx=ctx, force=True).size
